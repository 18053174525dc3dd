"""How an error is said on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from oauth_helper.cli.colour import coloured
from oauth_helper.errors import OAuthHelperError


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool) -> None:
    """Say on standard error what happened and what to do next; with ``as_json`` the last line is for scripts."""
    if trace:
        from oauth_helper.fault_trace import trace_of  # noqa: PLC0415 - who uses it wrongly need not wait for it

        click.echo(trace_of(error), err=True)
    reference = f" (request id {error.request_id})" if error.request_id else ""
    click.echo(f"{coloured('error:', sys.stderr, 'red')} {error.message.rstrip('.')}{reference}", err=True)
    click.echo(f"{coloured('hint:', sys.stderr)} {error.hint}", err=True)
    if as_json:
        import json  # noqa: PLC0415 - as above

        click.echo(json.dumps({"error": error.to_json()}), err=True)


def trace_is_wanted(arguments: Sequence[str]) -> bool:
    """Whether ``--verbose`` was given twice. Read from the raw arguments: parsing them may be what failed."""
    short = sum(argument.count("v") for argument in arguments if argument[:1] == "-" and set(argument[1:]) == {"v"})
    return short + list(arguments).count("--verbose") > 1
