"""Parse, call the wiring, print, return a status; the only rooms that print."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, or with those of the process; return its exit status."""
    # It would decrypt every secret that is sent, in the TLS of aiohttp and of a browser that inherits it.
    os.environ.pop("SSLKEYLOGFILE", None)
    try:
        # A Ctrl-C may come while they are imported.
        if "_OAUTH_HELPER_COMPLETE" in os.environ:
            from oauth_helper.cli.app import answer_the_shell  # noqa: PLC0415 - as said

            if (status := answer_the_shell(_program)) is not None:
                return status
        from oauth_helper.cli.app import run_program  # noqa: PLC0415 - as said

        return run_program(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted\nhint: Run the command again when you are ready.\n")
        return 130


def _program() -> click.Command:
    from oauth_helper.cli.app import program  # noqa: PLC0415 - only a shell that asks is answered from here

    return program
