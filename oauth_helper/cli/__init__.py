"""The command line: parse, call the package, print, return an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, or with those of the process; return its exit status."""
    # The TLS of aiohttp, and of a browser that inherits it, would write the keys of all connections there.
    os.environ.pop("SSLKEYLOGFILE", None)
    try:
        # Inside, because Ctrl-C may come during the imports.
        from oauth_helper.cli.app import run_program  # noqa: PLC0415 - see above

        return run_program(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        sys.stderr.write("error: Cancelled\nhint: Run the command again when you are ready.\n")
        return 130
