"""Read the output for scripts, and validate it with the schema of the package."""

import json
from datetime import datetime
from functools import cache
from typing import Any, cast

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
    return Draft202012Validator(schema_of(what), format_checker=_FORMATS)


def _read(what: Document, text: str | bytes) -> Any:
    value = json.loads(text)
    validator(what).validate(value)
    if what == "event":
        written = [value["authorization"]] if value["event"] == "linked" else []
    else:
        written = {"authorization": [value], "authorizations": value}.get(what, [])
    for record in written:
        # The schema allows unknown fields, because ServiceStage may send them; the servers of the tests send none.
        assert record.keys() <= schema_of("authorization")["$defs"]["authorization"]["properties"].keys()
    return value


def read_event(line: str | bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", _read("event", line))


def read_authorization(text: str | bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", _read("authorization", text))


def read_authorizations(text: str | bytes) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", _read("authorizations", text))


def read_error(line: str | bytes) -> dict[str, Any]:
    """Read the last line of standard error."""
    return cast("dict[str, Any]", _read("error_line", line)["error"])
