"""Imports all that a command may need; then each line of JSON on standard input is a command, forked and waited for.

A line has ``arguments``, ``environ``, the ``folder`` whose files ``in``, ``out`` and ``err`` are the streams, and
``current``, the folder to be in. The answer is a line with the exit status, or with the signal's number below zero.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from oauth_helper.cli import main


def become(asked: dict[str, Any]) -> None:
    """Take over what was asked, in the process that is to be the command."""
    folder = Path(asked["folder"])
    for number, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        opened = os.open(folder / name, flags | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["current"])
    sys.argv = ["oauth-helper", *asked["arguments"]]


gc.freeze()  # so that no fork has to copy what is there already
for line in sys.stdin:
    child = os.fork()
    if not child:
        become(json.loads(line))
        sys.exit(main())
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
