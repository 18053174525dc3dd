"""How an error is said on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from oauth_helper.cli.error_stream import ErrorStream
from oauth_helper.cli.voice import Voice
from oauth_helper.errors import OAuthHelperError
from oauth_helper.phrase import phrase


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool) -> None:
    """Say on standard error what happened and what to do next; with ``as_json`` the last line is for scripts."""
    if trace:
        from oauth_helper.fault_trace import trace_of  # noqa: PLC0415 - who uses it wrongly need not wait for it

        ErrorStream().lines([trace_of(error)])
    message = error.message
    if error.request_id:
        message = phrase("{message} (request id {request_id})", message=message, request_id=error.request_id)
    Voice(quiet=True).report(message, error.hint)
    if as_json:
        import json  # noqa: PLC0415 - as above

        ErrorStream().lines([json.dumps({"error": error.to_json()})])


def trace_is_wanted(arguments: Sequence[str]) -> bool:
    """Whether ``--verbose`` was given twice. Read from the raw arguments: parsing them may be what failed."""
    short = sum(argument.count("v") for argument in arguments if argument[:1] == "-" and set(argument[1:]) == {"v"})
    return short + list(arguments).count("--verbose") > 1
