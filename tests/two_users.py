"""Two users of one machine: the first one's link runs as one of them, the second one's program as the other.

They exist as numbers alone, which is how the system knows a user: it asks for no name before it grants or refuses.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from second_user import Report, Task, processes

from oauth_helper.sandbox import Sandbox

TESTS: Final = Path(__file__).parent
SHARED: Final = Path("/tmp")  # noqa: S108 the tests are about the folder that everybody shares
BROWSERS: Final = {"chromium": "--headless=new", "firefox": "--headless"}

_UNCOVER: Final = """
mount --bind "{path}" "{aside}" && mount -t tmpfs -o mode=755 none "{closed}" && mkdir -p "{path}" &&
mount --move "{aside}" "{path}" || exit 125
"""
"""In a mount namespace of its own: a folder that lets nobody in, such as root's home, is empty but for ``path``."""
_HEADLESS: Final = """#!/bin/sh
# A container may know no user namespaces, without which Chromium has no sandbox.
[ {name} = chromium ] && ! unshare --user true 2>/dev/null && set -- --no-sandbox "$@"
unset DISPLAY
exec {program} {switch} "$@"
"""


@dataclass(frozen=True)
class User:
    """One of them."""

    number: int
    home: Path
    runtime: Path

    def environ(self, **more: str) -> dict[str, str]:
        """What a session gives: nothing of this process's own."""
        return {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(SHARED),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "LOGNAME": f"user-{self.number}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }


class Machine:
    """Where both live."""

    def __init__(self, stage: Path) -> None:
        self._stage = stage
        self._uncover = ""
        number = _free_numbers()
        self.first, self.second = self._user(number), self._user(number + 1)
        packages = Path(aiohttp.__file__).parent.parent
        self.python = Path(sys.executable).resolve()
        self._python_path = f"{TESTS.parent}:{packages}"
        self._bring_within_reach(Path(sys.base_prefix).resolve(), TESTS.parent, packages)

    def command(self, user: User, *words: str) -> list[str]:
        """What runs ``words`` as that user, when root starts it."""
        become = ["setpriv", f"--reuid={user.number}", f"--regid={user.number}", "--clear-groups", "--", *words]
        return (
            ["unshare", "--mount", "sh", "-c", f'{self._uncover}exec "$@"', "sh", *become] if self._uncover else become
        )

    def program(self, user: User, name: str, *arguments: str) -> list[str]:
        """What runs a program of the tests as that user."""
        return self.command(user, str(self.python), str(TESTS / name), *arguments)

    def link(self, user: User, *arguments: str) -> list[str]:
        """What runs ``oauth-helper`` as that user."""
        return self.command(user, str(self.python), "-m", "oauth_helper", *arguments)

    def environ(self, user: User, sandbox: Sandbox, **more: str) -> dict[str, str]:
        """What that user's ``oauth-helper`` needs for the sandbox, with an access key."""
        keys = sandbox.environment()
        del keys["OAUTH_HELPER_TOKEN"]
        return user.environ(PYTHONPATH=self._python_path, **keys, **more)

    def write(self, user: User, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file of that user's."""
        path = user.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.chown(path, user.number, user.number)
        return path

    def headless(self, user: User, name: str) -> str:
        """Return a browser of that user's own that shows no window, and is the machine's own apart from that."""
        program = shutil.which(name)
        if not program:
            pytest.skip(f"{name} is not installed")
        text = _HEADLESS.format(name=name, program=program, switch=BROWSERS[name])
        return str(self.write(user, f"bin/{name}", text, 0o755))

    def skip_if_processes_are_hidden(self) -> None:
        """Skip a test whose second user looks for the first one's processes, on a machine that shows none of them."""
        ours = f"/proc/{os.getpid()}/cmdline"
        looked = subprocess.run(self.command(self.second, "cat", ours), check=False, capture_output=True)
        if looked.returncode:
            pytest.skip("/proc hides the processes of other users (hidepid)")

    def clear_up(self) -> None:
        """End what still runs as one of them, and remove what they left in the shared folder."""
        for user in (self.first, self.second):
            for process in processes(user.number):
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)
        for entry in SHARED.iterdir():
            with suppress(FileNotFoundError):
                if entry.lstat().st_uid in {self.first.number, self.second.number}:
                    remove(entry)

    def _user(self, number: int) -> User:
        home, runtime = self._stage / f"home-{number}", self._stage / f"run-{number}"
        for folder, mode in ((home, 0o755), (runtime, 0o700)):  # a home into which others can look is common
            folder.mkdir()
            folder.chmod(mode)
            os.chown(folder, number, number)
        return User(number, home, runtime)

    def _bring_within_reach(self, *needed: Path) -> None:
        for path in needed:
            closed = [folder for folder in (*reversed(path.parents), path) if not folder.stat().st_mode & 0o001]
            if not closed:
                continue
            if self._uncover:
                pytest.skip(f"more than one folder that others need is closed to them, {path} among them")
            if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
                pytest.skip(f"{path} is closed to other users, and nothing can be mounted here")
            aside = self._stage / "aside"
            aside.mkdir()
            self._uncover = _UNCOVER.format(path=path, aside=aside, closed=closed[0])


@contextmanager
def two_users() -> Iterator[Machine]:
    """Set the machine up."""
    stage = Path(tempfile.mkdtemp(prefix="two-users-", dir=SHARED))
    stage.chmod(0o755)
    machine = Machine(stage)
    try:
        yield machine
    finally:
        machine.clear_up()
        with suppress(FileNotFoundError):
            (stage / "aside").rmdir()  # Nothing is mounted there outside; if it were, it must not go with the rest.
        shutil.rmtree(stage)


def _free_numbers() -> int:
    """Return the first of two numbers that no user of this machine has; different test runs begin at different ones."""
    known = {user.pw_uid for user in pwd.getpwall()}
    for number in range(20_000 + 2 * (os.getpid() % 10_000), 60_000, 2):
        if not any(each in known or any(processes(each)) for each in (number, number + 1)):
            return number
    pytest.skip("every number is some user's")


def remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def task(what: str, machine: Machine, *, connections: int = 0, patience: float = 10) -> str:
    """What the second user's program is told: all that anybody can find out about the first user."""
    first = machine.first
    places = [str(first.home), str(first.runtime)]
    shared = [str(SHARED), "/dev/shm", "/var/tmp"]  # noqa: S108 as above
    if what == "plant":
        shared = shared[:1]
    return json.dumps(vars(Task(what, first.number, places, shared, patience, connections)))


def done_by(user: User, what: str, machine: Machine) -> Report:
    """Run the second user's program as ``user`` to its end, while everything else in this process stands still."""
    command = machine.program(user, "second_user.py", task(what, machine))
    ended = subprocess.run(
        command, check=False, env=user.environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert not ended.stderr, ended.stderr
    return Report(**json.loads(ended.stdout))


@asynccontextmanager
async def attacked_by(
    user: User, machine: Machine, *, connections: int = 0, patience: float = 10
) -> AsyncIterator[Report]:
    """Let the second user's program look and try as ``user``; what it opened stays open within the context."""
    command = machine.program(
        user, "second_user.py", task("attack", machine, connections=connections, patience=patience)
    )
    process = await asyncio.create_subprocess_exec(
        *command, env=user.environ(), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=1 << 26
    )
    assert process.stdout
    try:
        async with asyncio.timeout(40):
            line = await process.stdout.readline()
        if not line:
            raise AssertionError((await process.communicate())[1].decode())
        yield Report(**json.loads(line))
        async with asyncio.timeout(10):
            await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def keys_in_arguments() -> set[str]:
    """Every KEY in the arguments of any process."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found |= set(re.findall(r"\bk=([\w-]{43})", (process / "cmdline").read_text(errors="replace")))
    return found
