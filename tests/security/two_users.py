"""Two users of one machine. They exist as numbers only: the system asks for no name before it grants or refuses."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from security.second_user import Report, Task, processes

from oauth_helper.sandbox import Sandbox

TESTS: Final = Path(__file__).parent.parent
SHARED: Final = Path("/tmp")  # noqa: S108 - the tests are about the folder that everyone shares
BROWSERS: Final = {"chromium": "--headless=new", "firefox": "--headless"}

_UNCOVER: Final = """
mount --bind "{path}" "{aside}" && mount -t tmpfs -o mode=755 none "{closed}" && mkdir -p "{path}" &&
mount --move "{aside}" "{path}" || exit 125
"""
"""In a mount namespace of its own, make ``path`` reachable below a closed folder such as /root, and nothing else."""
_HEADLESS: Final = """#!/bin/sh
# A container may know no user namespaces, without which Chromium has no sandbox.
[ {name} = chromium ] && ! unshare --user true 2>/dev/null && set -- --no-sandbox "$@"
unset WAYLAND_DISPLAY
exec {program} {switch} "$@"
"""


@dataclass(frozen=True)
class User:
    number: int
    home: Path
    runtime: Path

    def environ(self, **more: str) -> dict[str, str]:
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
        """Return what runs ``words`` as that user, if root starts it."""
        become = ["setpriv", f"--reuid={user.number}", f"--regid={user.number}", "--clear-groups", "--", *words]
        uncover = ["unshare", "--mount", "sh", "-c", f'{self._uncover}exec "$@"', "sh"] if self._uncover else []
        return [*uncover, *become]

    def program(self, user: User, name: str, *arguments: str) -> list[str]:
        return self.command(user, str(self.python), str(TESTS / name), *arguments)

    def link(self, user: User, *arguments: str) -> list[str]:
        return self.command(user, str(self.python), "-m", "oauth_helper", *arguments)

    def environ(self, user: User, sandbox: Sandbox, **more: str) -> dict[str, str]:
        keys = sandbox.environment()
        del keys["OAUTH_HELPER_TOKEN"]
        return user.environ(PYTHONPATH=self._python_path, **keys, **more)

    def write(self, user: User, name: str, text: str, mode: int = 0o600) -> Path:
        path = user.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        os.chown(path, user.number, user.number)
        return path

    def headless(self, user: User, name: str) -> str:
        program = shutil.which(name)
        if not program:
            pytest.skip(f"{name} is not installed")
        text = _HEADLESS.format(name=name, program=program, switch=BROWSERS[name])
        return str(self.write(user, f"bin/{name}", text, 0o755))

    def done_by(self, user: User, what: str, timeout: float = 10) -> Report:
        """Run the second user's program as ``user`` to its end, while this process waits."""
        shared = [str(SHARED), "/dev/shm", "/var/tmp"]  # noqa: S108 - as above
        task = Task(what, self.first.number, [str(self.first.home), str(self.first.runtime)], shared, timeout)
        command = self.program(user, "security/second_user.py", json.dumps(vars(task)))
        ended = subprocess.run(
            command, check=False, env=user.environ(), input="", capture_output=True, text=True, timeout=50
        )
        assert not ended.stderr, ended.stderr
        return Report(**json.loads(ended.stdout))

    async def attacked_by(self, user: User, timeout: float = 10) -> Report:
        return await asyncio.to_thread(self.done_by, user, "attack", timeout)

    def skip_if_processes_are_hidden(self) -> None:
        """Skip a test whose second user looks for the first one's processes, on a machine that shows none of them."""
        looked = self.command(self.second, "cat", f"/proc/{os.getpid()}/cmdline")
        if subprocess.run(looked, check=False, capture_output=True).returncode:
            pytest.skip("/proc hides the processes of other users (hidepid)")

    def clear_up(self) -> None:
        numbers = {self.first.number, self.second.number}
        for process in (process for number in numbers for process in processes(number)):
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        for entry in SHARED.iterdir():
            with suppress(FileNotFoundError):
                if entry.lstat().st_uid not in numbers:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()

    def _user(self, number: int) -> User:
        home, runtime = self._stage / f"home-{number}", self._stage / f"run-{number}"
        for folder, mode in ((home, 0o755), (runtime, 0o700)):  # homes that others can read are common
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
    stage = Path(tempfile.mkdtemp(prefix="two-users-", dir=SHARED))
    stage.chmod(0o755)
    machine = Machine(stage)
    try:
        yield machine
    finally:
        machine.clear_up()
        with suppress(FileNotFoundError):
            (stage / "aside").rmdir()  # it is empty outside the mount namespace; rmtree must not enter it otherwise
        shutil.rmtree(stage)


def _free_numbers() -> int:
    """Return the first of two numbers that no user of this machine has; test runs begin at different ones."""
    known = {user.pw_uid for user in pwd.getpwall()}
    for number in range(20_000 + 2 * (os.getpid() % 10_000), 60_000, 2):
        if not any(each in known or any(processes(each)) for each in (number, number + 1)):
            return number
    pytest.skip("every number belongs to a user")
