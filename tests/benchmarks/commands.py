"""How long a command takes that does nothing but say something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks.environments import OURS, PROGRAMS, empty_folder, our_command, python_of, surroundings
from benchmarks.rows import BARE_CLICK, Row, beside
from benchmarks.turns import Plan, in_turn, progress

_OURS = {"`oauth-helper --help`": "--help", "`oauth-helper --version`": "--version", "usage error": "no-such-command"}
_NOTHING = "`python -c pass`"


async def measure(plan: Plan) -> list[Row]:
    """Run them all in turn."""
    with empty_folder() as home:
        took = await in_turn(plan, _commands(home), warm=True)
    progress("commands")
    rows = [beside(what, took[what], BARE_CLICK, took[BARE_CLICK]) for what in _OURS]
    others = [name for name in took if name not in {*_OURS, BARE_CLICK}]
    return [
        *rows,
        *(beside("`oauth-helper --help`", took["`oauth-helper --help`"], name, took[name]) for name in others),
    ]


def _commands(home: Path) -> dict[str, Callable[[], Awaitable[float]]]:
    ours = python_of(OURS) or sys.executable
    commands = {what: [*our_command(), argument] for what, argument in _OURS.items()}
    commands[BARE_CLICK] = [ours, str(PROGRAMS / "bare_click.py"), "--help"]
    commands[_NOTHING] = [ours, "-c", "pass"]
    if sdk := python_of("huaweicloudsdkservicestage"):
        commands["the vendor SDK's import"] = [sdk, "-c", "import huaweicloudsdkservicestage.v2"]
    # A version manager's shim on the path would add its own time.
    path = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.environ.get("PATH", os.defpath)])
    for name, argument in (("gh", "--help"), ("aws", "--version")):
        if found := shutil.which(name, path=path):
            commands[f"`{name} {argument}`"] = [found, argument]
    environ = surroundings(home)
    return {what: partial(_took, command, environ) for what, command in commands.items()}


async def _took(command: list[str], environ: dict[str, str]) -> float:
    """Milliseconds from the start to the end; the loop has nothing else to do meanwhile."""
    began = time.perf_counter()
    subprocess.run(  # noqa: ASYNC221
        command, env=environ, cwd=environ["HOME"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return (time.perf_counter() - began) * 1000
