"""What tests of files that are ours alone need of another user: who it is, and code that runs as one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")

_BECOME_NOBODY = f"""
import os, resource, sys
from pathlib import Path
from oauth_helper.errors import MachineError
from oauth_helper.private_files import *
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
path = Path(sys.argv[1])
"""


def as_nobody(script: str, path: Path) -> str:
    """Run ``script``, which imports nothing, with ``path`` as a user whom permissions bind; return what it prints."""
    command = [sys.executable, "-W", "error", "-c", _BECOME_NOBODY + script, str(path)]
    # That user may not write where coverage is counted.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=environ)
    assert not ended.stderr, ended.stderr
    return ended.stdout


@contextmanager
def acting_as_nobody() -> Iterator[None]:
    """Let permissions bind this process too, root's as any other user's."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Be another user for a while: files and sockets of that time are that user's. Only root can."""
    os.setresuid(user, user, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder of that user's; pytest's own folders let nobody in but who runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)
        Path(name).chmod(0o700)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
