"""A machine whose programs record how they were started, and an address that is easily harmed."""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ADDRESS = "http://127.0.0.1:4321/start?k=planted-KEY&a=$HOME&b='x y'&c=`id`;%20\\#"
"""Longer than the real one: everything that a shell, or a careless split, would harm."""

DISPLAY = {"DISPLAY": ":0"}

RECORDER = """#!{python} -IS
import json, os, sys
record = {{
    "arguments": sys.argv[1:],
    "pid": os.getpid(),
    "session": os.getsid(0),
    "environ": dict(os.environ),
    "null": [os.path.samestat(os.fstat(fd), os.stat(os.devnull)) for fd in (0, 1, 2)],
    "held": [fd for fd in range(3, 256) if os.path.exists(f"/dev/fd/{{fd}}")],
}}
with open({record!r} + ".part", "w") as file:
    json.dump(record, file)
os.rename({record!r} + ".part", {record!r})
print("chatter")
print("chatter", file=sys.stderr)
if {hold!r}:
    open({hold!r}).read()  # a FIFO: until the test lets go
sys.exit({status})
"""


@dataclass
class Machine:
    """A folder of programs that record how they were started, and the environment in which only they exist."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.folder / "bin")}

    def install(self, name: str, *, status: int = 0, hold: Path | None = None) -> Path:
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        record = str(self._record(name))
        program.write_text(
            RECORDER.format(python=sys.executable, record=record, hold=str(hold or ""), status=status),
            encoding="utf-8",
        )
        program.chmod(0o755)
        return program

    def started(self, name: str) -> bool:
        return self._record(name).exists()

    def record(self, name: str) -> dict[str, Any]:
        """Return what ``name`` recorded; wait for it where it was only just started."""
        deadline = time.monotonic() + 20
        while not self.started(name) and time.monotonic() < deadline:
            time.sleep(0.01)
        found: dict[str, Any] = json.loads(self._record(name).read_text(encoding="utf-8"))
        return found

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A program that holds on to it runs until the test ends, or opens it for writing."""
    path = tmp_path / "hold"
    os.mkfifo(path)
    yield path
    writer = os.open(path, os.O_RDWR)  # never blocks, unlike O_WRONLY where nobody reads
    os.close(writer)
