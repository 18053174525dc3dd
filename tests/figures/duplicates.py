"""What stands in two files: seven lines or more alike, comments, docstrings, imports and signatures apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LINES: Final = 7
_FOUND_NOTHING_ELSE: Final = frozenset({0, 8})
"""pylint's exit status is a sum of what it found; 8 is a refactoring that it asks for, as this checker does."""


def duplicates(paths: Sequence[Path]) -> list[str]:
    """Compare all modules among ``paths``; name the places that are alike, a text each.

    Raises:
        ChildProcessError: pylint could not be run, or could not read a file.
    """
    if not paths:
        return []
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pylint", f"--rcfile={os.devnull}", "--output-format=json", "--disable=all"),
            *("--enable=duplicate-code,syntax-error", f"--min-similarity-lines={LINES}"),
            *map(str, paths),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in _FOUND_NOTHING_ELSE:
        raise ChildProcessError(f"pylint ended with {run.returncode}: {run.stderr or run.stdout}")
    return [_places(message["message"]) for message in json.loads(run.stdout)]


def _places(message: str) -> str:
    """Of pylint's message the lines ``==module:[first:last]``, the first of them from 0."""
    return ", ".join(line.removeprefix("==") for line in message.splitlines() if line.startswith("=="))
