"""Read the output for scripts, and validate it with the schema of the package."""

import json
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from yarl import URL

from oauth_helper.schema import Document, schema_of

_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("uri", raises=ValueError)
def _is_address(value: object) -> bool:
    return not isinstance(value, str) or URL(value).absolute


@cache
def validator(what: Document) -> Draft202012Validator:
    """The validator of one kind of document."""
    return Draft202012Validator(schema_of(what), format_checker=_FORMATS)


def read_event(line: str | bytes) -> dict[str, Any]:
    """Read a line of ``link --events``."""
    event: dict[str, Any] = _read("event", line)
    if event["event"] == "linked":
        _assert_documented(event["authorization"])
    return event


def read_authorization(text: str | bytes) -> dict[str, Any]:
    """Read the record that ``--json`` prints."""
    record: dict[str, Any] = _read("authorization", text)
    _assert_documented(record)
    return record


def read_authorizations(text: str | bytes) -> list[dict[str, Any]]:
    """Read the records that ``--json`` prints."""
    records: list[dict[str, Any]] = _read("authorizations", text)
    for record in records:
        _assert_documented(record)
    return records


def read_error(line: str | bytes) -> dict[str, Any]:
    """Read the last line of standard error."""
    error: dict[str, Any] = _read("error_line", line)["error"]
    return error


def _read(what: Document, text: str | bytes) -> Any:
    value = json.loads(text)
    validator(what).validate(value)
    return value


def _assert_documented(record: dict[str, Any]) -> None:
    """The schema allows unknown fields, because ServiceStage may send them; the servers of the tests send none."""
    assert record.keys() <= schema_of("authorization")["$defs"]["authorization"]["properties"].keys()
