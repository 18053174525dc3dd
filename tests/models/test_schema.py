"""The schema of the output: strict, described, valid for every event, and versioned in the CHANGELOG."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from models.examples import EVENTS, RECORD, TEXTS, error_classes, errors_of
from support.promised_json import read_event, validator

from oauth_helper import events, redirect
from oauth_helper.cli.output import EventLines
from oauth_helper.models import Authorization, RepoType
from oauth_helper.schema import OUTPUT_SCHEMA, Document, schema_of

SCHEMA: Final[dict[str, Any]] = json.loads(files("oauth_helper.schema").joinpath(OUTPUT_SCHEMA).read_text("utf-8"))
DEFINITIONS: Final = SCHEMA["$defs"]
CHANGELOG: Final = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
REASONS: Final = (*events.RejectedRequest, *redirect._MESSAGES)
"""Texts that cannot be read cause no event."""
NAMES: Final = st.from_regex(r"[A-Za-z0-9._-]{4,63}", fullmatch=True)
NUMBERS: Final = st.integers(min_value=1)
ZONES: Final = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
MOMENTS: Final = st.datetimes(datetime(2000, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 - bounds
TEXT_OR_NULL: Final = st.none() | TEXTS
RECORDS: Final = st.fixed_dictionaries(
    {"name": TEXTS.filter(bool)},
    optional={
        **{
            name: st.none() | st.integers() if described["type"][0] == "integer" else TEXT_OR_NULL
            for name, described in DEFINITIONS["authorization"]["properties"].items()
            if name != "name"
        },
        "something_new": st.dictionaries(TEXTS, TEXTS),
    },
)
EVENTS_OF_SCRIPTS: Final = st.one_of(
    st.builds(events.Checked, NAMES, st.sampled_from(RepoType)),
    st.builds(
        events.Waiting,
        st.builds("http://127.0.0.1:{}/start?k={}".format, st.integers(1, 65535), NAMES),
        st.builds("https://{}.example/login?state={}".format, st.sampled_from("ab"), NAMES),
        MOMENTS,
    ),
    st.builds(events.Opened, TEXTS.filter(bool), st.booleans(), st.booleans()),
    st.builds(events.Ignored, st.sampled_from(REASONS), NUMBERS),
    st.builds(events.Captured, st.sampled_from(events.Way)),
    st.builds(events.Exchanging, NUMBERS, st.booleans(), st.booleans()),
    st.builds(events.Looking, NAMES),
    st.builds(events.Linked, RECORDS.map(Authorization.from_json), st.booleans()),
    st.builds(events.Failed, st.sampled_from(error_classes()).flatmap(lambda each: errors_of(each, TEXTS))),
)
"""Every event in the output for scripts, with all values that it can have."""


def line_of(event: events.Event) -> str:
    with redirect_stdout(io.StringIO()) as out:
        EventLines().tell(event)
    return out.getvalue()


def fingerprint(schema: object) -> str:
    """A hash of the schema without its titles and descriptions."""

    def bare(value: object) -> object:
        if isinstance(value, list):
            return [bare(each) for each in value]
        if isinstance(value, dict):
            # A property may be called `description`; it is a schema then, not a text.
            texts = {key for key in ("title", "description") if isinstance(value.get(key), str)}
            return {key: bare(each) for key, each in value.items() if key not in texts}
        return value

    return hashlib.sha256(json.dumps(bare(schema), sort_keys=True).encode()).hexdigest()[:12]


def objects(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield path, schema
        for key, value in schema.items():
            yield from objects(value, f"{path}/{key}")


def test_the_changelog_has_the_fingerprint_of_the_schema() -> None:
    """The CHANGELOG has a line with the fingerprint of each edition of the schema.

    After a change: if the line of the newest edition is below "Unreleased", correct its fingerprint there. If it is in
    a released section, raise the number in the schema's `$id` and add a line below "Unreleased". Titles and
    descriptions do not count.
    """
    editions = re.findall(r"^.*edition (\d+), fingerprint ([0-9a-f]{12}).*$", CHANGELOG, re.MULTILINE)
    numbers = [int(number) for number, _ in editions]
    assert numbers == list(range(len(editions), 0, -1)), "newest first, one line each"
    assert SCHEMA["$id"] == f"urn:oauth-helper:output:{numbers[0]}"
    assert editions[0][1] == fingerprint(SCHEMA)


def test_each_schema_is_self_contained_described_and_closed() -> None:
    for document in get_args(Document):
        schema = schema_of(document)
        Draft202012Validator.check_schema(schema)
        assert schema["description"]
        assert set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema))) <= schema["$defs"].keys()
    found = dict(objects(SCHEMA))
    assert len(found) > len(get_args(Document))
    for path, schema in found.items():
        assert schema["description"], path
        assert schema["type"] == "object", path
        for name, described in schema["properties"].items():
            assert described["description"].endswith("."), f"{path}/{name}"
        if path != "/$defs/authorization":
            assert schema["additionalProperties"] is False, path
            optional = {"redirect"} if path == "/$defs/captured" else set()
            assert schema["required"] == [name for name in schema["properties"] if name not in optional], path


def test_the_schema_has_the_values_that_the_code_has() -> None:
    def field(of: str, name: str, keyword: str) -> object:
        return DEFINITIONS[of]["properties"][name][keyword]

    assert field("checked", "repo_type", "enum") == list(RepoType)
    assert field("captured", "way", "enum") == list(events.Way)
    assert set(field("ignored", "reason", "examples")) == set(REASONS)  # type: ignore[call-overload]
    assert set(field("error", "kind", "examples")) == {each.kind for each in error_classes()}  # type: ignore[call-overload]
    known = set(DEFINITIONS["authorization"]["properties"])
    assert known == Authorization("n", "github").to_json().keys()


@given(EVENTS_OF_SCRIPTS)
def test_every_event_is_valid(event: events.Event) -> None:
    validator("event").validate(json.loads(line_of(event)))


def test_each_event_has_all_of_its_fields_and_no_other() -> None:
    lines = [line for event in EVENTS if (line := line_of(event))]
    assert {read_event(line)["event"] for line in lines} == {
        reference["$ref"].rpartition("/")[2] for reference in DEFINITIONS["event"]["oneOf"]
    }
    for told in map(json.loads, lines):
        for broken in (told | {"something_new": 1}, *({k: told[k] for k in told if k != name} for name in told)):
            with pytest.raises(ValidationError):
                validator("event").validate(broken)


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": "2026-01-31T09:31:12.000+00:00"},
        {"listener": "http://localhost:1/start?k=KEY"},
        {"authorization_url": "javascript:alert(1)"},
        {"expires_at": 1769851872},
    ],
    ids=json.dumps,
)
def test_a_value_of_the_wrong_form_is_refused(wrong: dict[str, object]) -> None:
    event = events.Waiting("http://127.0.0.1:1/start?k=KEY", "https://github.com/login", datetime.now(UTC))
    told = read_event(line_of(event))
    with pytest.raises(ValidationError):
        read_event(json.dumps(told | wrong))


def test_an_authorization_may_have_unknown_fields() -> None:
    validator("authorization").validate(RECORD)
    with pytest.raises(ValidationError):
        validator("authorization").validate({key: value for key, value in RECORD.items() if key != "name"})
    with pytest.raises(ValidationError):
        validator("authorization").validate(RECORD | {"status": "0"})
