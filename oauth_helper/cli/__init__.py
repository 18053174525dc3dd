"""The shell: parse, call the wiring, print, return a status. Only these rooms print."""

from oauth_helper.cli.program import main

__all__ = ["main"]
