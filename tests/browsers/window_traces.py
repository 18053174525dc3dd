"""What a window leaves behind in the machine, which must be nothing."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Traces:
    """What windows leave in the machine: processes by a mark in their environment, profiles by our number."""

    def __init__(self, temporary: Path, process: int | None = None) -> None:
        self._mark = f"WINDOW_TEST={secrets.token_hex(8)}"
        self._temporary = temporary
        self.process = process or os.getpid()
        name, _, value = self._mark.partition("=")
        # A short TMPDIR: Chromium aborts where the name of its socket is too long.
        self.environ = {**os.environ, "TMPDIR": str(temporary), name: value}

    def processes(self) -> list[str]:
        """The commands of the browsers that run, their children included."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if self.has_marked(entry) or self._profile.encode() in command:
                    found.append(command.replace(b"\0", b" ").decode())
        return found

    def has_marked(self, entry: Path) -> bool:
        """Whether this is a browser of the test's."""
        return self._mark.encode() in (entry / "environ").read_bytes()

    def leaders(self) -> list[int]:
        """The first processes of browsers: those that their supervisors started."""
        return [child for supervisor in self.supervisors() for child in children(supervisor)]

    def supervisors(self) -> list[int]:
        return [child for child in children(self.process) if self.has_marked(Path(f"/proc/{child}"))]

    def profiles(self) -> list[Path]:
        home = Path(self.environ["HOME"])
        folders = (Path(tempfile.gettempdir()), self._temporary, home / "snap/chromium/common")
        return [path for folder in folders for path in folder.glob(f"{self._profile}*")]

    @property
    def _profile(self) -> str:
        return f"oauth-helper-{self.process}-"

    async def gone(self, *, seconds: float = 5) -> None:
        """Wait until nothing is left."""
        try:
            async with asyncio.timeout(seconds):
                while self.processes() or self.profiles():  # noqa: ASYNC110 nobody tells when a stranger's process ends
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"left over: {self.processes()} {self.profiles()}")


def children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


@pytest.fixture
def traces() -> Iterator[Traces]:
    with tempfile.TemporaryDirectory(prefix="w") as short:
        yield Traces(Path(short))
