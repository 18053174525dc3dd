"""What a freedesktop.org desktop entry starts (Desktop Entry Specification 1.5). No I/O."""

from __future__ import annotations

import re
import shlex
from itertools import dropwhile, takewhile
from pathlib import PurePosixPath
from typing import Final

_ESCAPES: Final = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_FIELD_CODE: Final = re.compile("%[A-Za-z]")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


def started_by(entry: str) -> list[str]:
    """Return the program and the arguments that ``entry`` starts, without field codes such as ``%u``.

    ``env`` and its variables before the program are left out: they tell a dock which icon is meant
    (``BAMF_DESKTOP_FILE_HINT`` at snaps). Empty where nothing is started, or the quotes do not match.
    """
    try:
        # A shell's reading, as GLib has it; of its escapes in quotes, shlex does not know these two.
        words = shlex.split(re.sub(r"\\([`$])", r"\1", _exec(entry)))
    except ValueError:
        return []
    return _without_env([word.replace("%%", "%") for word in words if not _FIELD_CODE.fullmatch(word)])


def _exec(entry: str) -> str:
    # The groups that follow are actions, such as a private window, with an Exec of their own.
    after = list(dropwhile(lambda line: line.strip() != "[Desktop Entry]", entry.splitlines()))[1:]
    for line in takewhile(lambda line: not line.startswith("["), after):
        key, _, value = line.partition("=")
        if key.strip() == "Exec":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value.strip())
    return ""


def _without_env(words: list[str]) -> list[str]:
    if not words or PurePosixPath(words[0]).name != "env":
        return words
    rest = words[1:]
    while rest and (rest[0].startswith("-") or _ASSIGNMENT.fullmatch(rest[0])):
        takes_an_argument = rest[0] in {"-u", "--unset", "-C", "--chdir"}
        rest = rest[2 if takes_an_argument else 1 :]
    return rest
