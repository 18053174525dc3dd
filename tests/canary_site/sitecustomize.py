"""Found by Python at its start where this folder is on PYTHONPATH: makes ``python -m oauth_helper`` note all it does.

Into the folder ``CANARY_FOLDER`` go ``log`` (every logger at its lowest level, and every warning), ``children`` (argv
and environment of each started process) and ``issued`` (each random value, with who asked for it). With
``CANARY_CRASH`` as ``module:Class.function`` that function fails; with ``:bearing`` behind it, because of an error in
whose words all that it was called with stands.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_STARTING: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.exec"})
"""Audit events of a process that is started."""


def note(folder: Path, name: str, record: dict[str, object]) -> None:
    """Add a line of JSON. Not by a file left open: that would be one more thing for the product to warn about."""
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def log_everything(folder: Path) -> None:
    """Have all loggers write all they have, the arguments as well: handlers for log servers send them along."""
    handler = logging.FileHandler(folder / "log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s %(args)r"))
    logging.root.addHandler(handler)
    logging.root.setLevel(1)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("always")


def note_random_values(folder: Path) -> None:
    """Note what ``secrets`` gives out."""

    def noting(function: Callable[..., str]) -> Callable[..., str]:
        def noted(*arguments: int) -> str:
            value, caller = function(*arguments), sys._getframe(1)
            asked = {"module": caller.f_globals.get("__name__", ""), "function": caller.f_code.co_name}
            note(folder, "issued", {**asked, "value": value})
            return value

        return noted

    for name in ("token_urlsafe", "token_hex"):
        setattr(secrets, name, noting(getattr(secrets, name)))


def note_children(folder: Path) -> None:
    """Note each process that is started, by Python's own audit events (PEP 578)."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.system":
            note(folder, "children", {"argv": [os.fsdecode(arguments[0])], "environ": dict(os.environ)})
        elif event in _STARTING:
            argv, environ = arguments[1], arguments[3] if event == "subprocess.Popen" else arguments[2]
            words = [argv] if isinstance(argv, str | bytes | Path) else argv
            inherited = os.environ if environ is None else environ
            told = {os.fsdecode(name): os.fsdecode(value) for name, value in inherited.items()}
            note(folder, "children", {"argv": [os.fsdecode(word) for word in words], "environ": told})

    sys.addaudithook(hear)


def plant_crash(place: str) -> None:
    """Let the function at ``place`` fail with what is no error of ours."""
    module, path, *how = place.split(":")
    *owners, name = path.split(".")
    owner = reduce(getattr, owners, import_module(module))
    getattr(owner, name)  # a place that is not there any more must not pass for one that does not leak

    def crash(*arguments: object, **named: object) -> object:
        if not how:
            raise RuntimeError("planted crash")
        told = " ".join(map(_opened, [*arguments, *named.values()]))
        raise RuntimeError("planted crash") from ValueError(f"cannot use {told}")

    setattr(owner, name, crash)


def _opened(value: object) -> str:
    return str(value.reveal() if hasattr(value, "reveal") else value)


def begin(folder: Path) -> None:
    """Begin to note."""
    log_everything(folder)
    note_random_values(folder)
    note_children(folder)
    if place := os.environ.get("CANARY_CRASH"):
        plant_crash(place)


# Others that are started with the same environment, browsers for one, are not looked at.
if (
    sys.orig_argv[1:3] in (["-m", "oauth_helper"], ["-m", "canary_commands"])
    or Path(sys.orig_argv[1]).name == "command_to_fork.py"
):
    begin(Path(os.environ["CANARY_FOLDER"]))
