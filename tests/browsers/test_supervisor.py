"""The supervisor ends the browser and removes its profile, at once or after the time that the window may stay."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oauth_helper.browsers import supervisor

PROGRAM = Path(supervisor.__file__)
SECONDS = 20
WAITING = ("sh", "-c", "cat <&3 >/dev/null; sleep 1000")


@dataclass
class Supervised:
    """A supervisor, and this end of the browser's pipe."""

    process: subprocess.Popen[bytes]
    pipe: socket.socket
    profile: Path
    browser: int = field(default=0)

    def report(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode().strip()

    def say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def let_go(self) -> None:
        """End as oauth-helper does: all that it has open is closed."""
        assert self.process.stdin
        self.process.stdin.close()
        self.pipe.close()

    def ended(self) -> float:
        """Wait for the end of the supervisor; return how many seconds that took."""
        began = time.monotonic()
        assert self.process.wait(SECONDS) == 0
        assert not self.profile.exists()
        assert not self.browser or is_gone(self.browser)
        return time.monotonic() - began


Start = Callable[..., Supervised]


def is_gone(process: int) -> bool:
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Supervised] = []

    def start(*command: str) -> Supervised:
        (profile := tmp_path / "profile").mkdir()
        (profile / "History").touch()
        ours, theirs = socket.socketpair()
        descriptors = (os.open(profile, os.O_RDONLY), theirs.fileno(), ours.fileno())
        process = subprocess.Popen(
            [sys.executable, "-IS", str(PROGRAM), str(profile), str(descriptors[1]), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
        os.close(descriptors[0])
        theirs.close()
        supervised = Supervised(process, ours, profile)
        started.append(supervised)
        event, number = supervised.report().split()
        assert event == "started"
        supervised.browser = int(number)
        return supervised

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout, one.pipe):
            assert stream
            stream.close()


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_end_of_its_input_or_a_signal_kills_the_browser_at_once(
    start: Start, number: signal.Signals | None
) -> None:
    supervised = start(*WAITING)
    if number:
        supervised.say("stay 1000\n")
        supervised.process.send_signal(number)
    supervised.let_go()
    assert supervised.ended() < 2


def test_its_own_death_kills_the_browser(start: Start) -> None:
    supervised = start(*WAITING)
    supervised.process.kill()
    descriptor = os.pidfd_open(supervised.browser)
    assert select.select([descriptor], [], [], SECONDS)[0]
    os.close(descriptor)


@pytest.mark.parametrize(
    ("command", "status"), [(("sh", "-c", "exit 21"), 21), (("true",), 0), (("sh", "-c", "kill -9 $$"), -9)]
)
def test_the_browsers_end_is_reported_and_its_end_of_the_pipe_is_closed(
    start: Start, command: tuple[str, ...], status: int
) -> None:
    supervised = start(*command)
    assert supervised.report() == f"ended {status}"
    supervised.pipe.settimeout(SECONDS)
    assert supervised.pipe.recv(1) == b""
    assert supervised.profile.exists()
    supervised.let_go()
    supervised.ended()


def test_the_pipe_is_3_and_4_and_nothing_else_is_inherited(start: Start) -> None:
    script = (
        "import os\n"
        "os.write(4, str([n for n in range(64) if os.path.exists(f'/dev/fd/{n}')]).encode())\n"
        "os.write(4, os.read(3, 100))\n"
    )
    supervised = start(sys.executable, "-IS", "-c", script)
    supervised.pipe.settimeout(SECONDS)
    assert supervised.pipe.recv(100) == b"[0, 1, 2, 3, 4]"
    supervised.pipe.sendall(b"hello\n")
    assert supervised.pipe.recv(100) == b"hello\n"


def test_the_pipe_stays_open_while_the_window_stays(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ended")
    supervised = start("sh", "-c", f"cat <&3; echo pipe closed >{tmp_path}/ended")
    ended = os.open(tmp_path / "ended", os.O_RDWR)
    supervised.say("stay 2\n")
    supervised.let_go()
    assert 1 < supervised.ended() < 10
    assert not select.select([ended], [], [], 0)[0]
    os.close(ended)


@pytest.mark.parametrize("command", [("sleep", "0.3"), ("true",)])
def test_a_window_that_the_user_closes_stays_no_longer(start: Start, command: tuple[str, ...]) -> None:
    supervised = start(*command)
    supervised.say("stay 1000\n")
    supervised.let_go()
    supervised.ended()


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_real_browser_stays(start: Start, tmp_path: Path, name: str) -> None:
    if not (program := shutil.which(name)):
        pytest.skip(f"{name} is not installed")
    profile = tmp_path / "profile"
    command = {
        "chromium": ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}"],
        "firefox": ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile)],
    }[name]
    supervised = start(program, *command, "about:blank")
    if name == "chromium":
        supervised.pipe.settimeout(SECONDS)
        supervised.pipe.sendall(b'{"id":1,"method":"Browser.getVersion"}\0')
        assert b"Chrome" in supervised.pipe.recv(1000)
    supervised.say("stay 3\n")
    supervised.let_go()
    assert 2 < supervised.ended() < 10
