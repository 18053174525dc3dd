"""Python imports this at its start if the folder is on PYTHONPATH: records what the command does, for the search.

The folder ``RECORDED_IN`` gets ``issued`` (each random value, with the caller) and ``children`` (the arguments and the
environment of each process that the command starts).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.exec"})


def record(name: str, content: dict[str, object]) -> None:
    folder = os.environ.get("RECORDED_IN")
    if folder and os.path.isdir(folder):  # noqa: PTH112 - cheaper at every start
        with open(f"{folder}/{name}", "a", encoding="utf-8") as file:  # noqa: PTH123 - as above
            file.write(json.dumps(content) + "\n")


def recording(function: Callable[..., str]) -> Callable[..., str]:
    def issue(*arguments: int) -> str:
        value, caller = function(*arguments), sys._getframe(1)
        where = {"module": caller.f_globals.get("__name__", ""), "function": caller.f_code.co_name}
        record("issued", {**where, "value": value})
        return value

    return issue


def hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Record each process that is started (audit events, PEP 578)."""
    if event not in _STARTS:
        return
    argv, environ = arguments[1], arguments[3] if event == "subprocess.Popen" else arguments[2]
    words = [argv] if isinstance(argv, str | bytes | Path) else argv
    inherited = os.environ if environ is None else environ
    told = {os.fsdecode(name): os.fsdecode(value) for name, value in inherited.items()}
    record("children", {"argv": [os.fsdecode(word) for word in words], "environ": told})


def is_command(argv: list[str]) -> bool:
    """Whether this process is the command; browsers and other children start with the same environment."""
    return argv[1:3] == ["-m", "oauth_helper"] or (len(argv) > 1 and argv[1].endswith("command_to_fork.py"))


if is_command(sys.orig_argv):
    for name in ("token_urlsafe", "token_hex"):
        setattr(secrets, name, recording(getattr(secrets, name)))
    sys.addaudithook(hear)
