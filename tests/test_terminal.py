import asyncio
import errno
import os
import select
import selectors
import signal
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redirect_cases import REQUEST, STATE, redirect

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.terminal import Patience, TerminalPrompt, can_prompt
from oauth_helper.terminal.keyboard import LONGEST, Input, Keyboard, Kind

CODE = "0123456789planted-code9876543210"
ADDRESS = redirect(code=CODE, state=STATE)
CODE_LAST = redirect(state=STATE, code=CODE)
FOREIGN = redirect(code=CODE, state="$2a$10$foreign")

ON, OFF = b"\x1b[?2004h", b"\x1b[?2004l"
CLOSED = "The prompt is closed; the page still takes the address."
WHAT_TO_PASTE = "Paste the address of the page where the browser ended, then press Enter."


def _bracketed(text: str) -> bytes:
    return b"\x1b[200~" + text.encode() + b"\x1b[201~"


class Desk:
    """Judges as the product does, and lets a test wait for what was offered and said."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.codes: list[str] = []
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def offer(self, text: str) -> None:
        self.offered.append(text)
        try:
            self.codes.append(REQUEST.judge(text).code.reveal())
        except RedirectRejectedError as rejected:
            self.rejected = rejected
            raise
        self.said.put_nowait("taken")

    async def hears(self, *lines: str) -> None:
        async with asyncio.timeout(10):
            assert [await self.said.get() for _ in lines] == list(lines)

    async def hears_rejection(self, length: int) -> None:
        async with asyncio.timeout(10):
            assert await self.said.get() == f"received {length} characters"
            assert await self.said.get() == self.rejected.message
            assert await self.said.get() == self.rejected.hint

    def heard_nothing_more(self) -> bool:
        return self.said.empty()


class Terminal:
    """A pty: we are the terminal program and its user, the prompt gets the other end."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        self.shown = b""
        self.found = termios.tcgetattr(self.theirs)

    def close(self) -> None:
        for fd in (self.ours, self.theirs):
            if fd >= 0:
                os.close(fd)

    def hang_up(self) -> None:
        os.close(self.ours)
        self.ours = -1

    async def types(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    async def shows(self, data: bytes, times: int = 1) -> None:
        await asyncio.to_thread(self._look_until, lambda: self.shown.count(data) >= times)

    async def is_read(self) -> None:
        """Wait until the prompt has read all that was typed."""
        deadline = time.monotonic() + 10
        while select.select([self.theirs], [], [], 0)[0]:
            assert time.monotonic() < deadline
            await asyncio.to_thread(time.sleep, 0.002)  # a terminal has no event for "all was read"

    def shown_to_the_end(self) -> bytes:
        os.write(self.theirs, b"END")
        self._look_until(lambda: self.shown.endswith(b"END"))
        return self.shown.removesuffix(b"END")

    def is_as_found(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.found

    def is_silent(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & (termios.ECHO | termios.ICANON)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.ours, data) :]

    def _look_until(self, seen: Callable[[], bool]) -> None:
        while not seen():
            assert select.select([self.ours], [], [], 10)[0], f"all that was shown: {self.shown!r}"
            self.shown += os.read(self.ours, 65_536)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


HASTE = Patience(quiet=0.05, reminder=0.3, end_of_paste=0.3)


@asynccontextmanager
async def _prompt(terminal: Terminal, desk: Desk, patience: Patience = HASTE) -> AsyncIterator[TerminalPrompt]:
    async with TerminalPrompt(
        offer=desk.offer, say=desk.said.put_nowait, fd=terminal.theirs, patience=patience, environ={"TERM": "xterm"}
    ) as prompt:
        yield prompt


# What is pasted


async def test_a_bracketed_paste_is_taken_at_once_without_enter(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk, Patience(quiet=60)):
        await terminal.shows(ON)
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.codes == [CODE]


async def test_nothing_that_is_typed_or_pasted_is_ever_shown(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(FOREIGN.encode() + b"\n")
        await desk.hears_rejection(len(FOREIGN))
        await terminal.types(b"typed\x7f\x1b[A\x15" + _bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
        await terminal.types(b"after the end\n")
        await terminal.is_read()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("address", [ADDRESS, CODE_LAST])
@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("indent", ["", "  "])
async def test_an_address_wrapped_at_80_columns_is_taken_whole(
    terminal: Terminal, desk: Desk, address: str, line_break: str, indent: str
) -> None:
    wrapped = (line_break + indent).join(address[at : at + 80] for at in range(0, len(address), 80))
    assert line_break in wrapped
    async with _prompt(terminal, desk, Patience(quiet=0.3)):
        await terminal.types((wrapped + line_break).encode())
        await desk.hears(f"received {len(wrapped)} characters", "taken")
    assert desk.codes == [CODE]


async def test_lines_that_come_one_by_one_are_one_text_while_the_quiet_is_short(terminal: Terminal, desk: Desk) -> None:
    first, second = CODE_LAST[:-6], CODE_LAST[-6:]
    assert REQUEST.judge(first).code.reveal() != CODE, (
        "the trap: the first line would be taken, with a code that is cut off"
    )
    async with _prompt(terminal, desk, Patience(quiet=1.0)):
        await terminal.types(f"{first}\n".encode())
        await terminal.is_read()
        await terminal.types(f"{second}\n".encode())
        await desk.hears(f"received {len(CODE_LAST) + 1} characters", "taken")
    assert desk.codes == [CODE]


async def test_a_text_is_not_judged_before_its_last_line_has_ended(terminal: Terminal, desk: Desk) -> None:
    first, second = CODE_LAST[:80], CODE_LAST[80:-6]
    async with _prompt(terminal, desk):
        await terminal.types(f"{first}\n{second}".encode())
        await desk.hears(f"received {len(CODE_LAST) - 5} characters so far; press Enter at the end of the address")
        assert desk.offered == []
        await terminal.types(f"{CODE_LAST[-6:]}\r".encode())
        await desk.hears(f"received {len(CODE_LAST) + 1} characters", "taken")
    assert desk.codes == [CODE]


@pytest.mark.parametrize("at", range(1, 12))
async def test_the_marks_of_a_paste_may_be_split_anywhere(terminal: Terminal, desk: Desk, at: int) -> None:
    paste = _bracketed(ADDRESS)
    cut = at if at < 6 else len(paste) - 12 + at
    async with _prompt(terminal, desk):
        await terminal.types(paste[:cut])
        await terminal.is_read()
        await terminal.types(paste[cut:])
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.offered == [ADDRESS]


async def test_a_paste_of_20_kilobytes_arrives_whole(terminal: Terminal, desk: Desk) -> None:
    text = f"{'words ' * 3400}\n{ADDRESS}"
    assert len(text) > 20_000
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(text))
        await desk.hears(f"received {len(text)} characters", "taken")
    assert desk.offered == [text]


async def test_a_line_of_20_kilobytes_without_marks_arrives_whole(terminal: Terminal, desk: Desk) -> None:
    text = redirect(state=STATE, padding="x" * 20_000, code=CODE)
    async with _prompt(terminal, desk):
        await terminal.types(text.encode() + b"\r")
        await desk.hears(f"received {len(text)} characters", "taken")
    assert desk.codes == [CODE]


@pytest.mark.parametrize("marked", [True, False])
async def test_what_is_too_long_for_an_address_is_not_offered(terminal: Terminal, desk: Desk, marked: bool) -> None:
    text = f"{ADDRESS}&{'x' * 2 * LONGEST}"
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(text) if marked else text.encode() + b"\n")
        await desk.hears("That is too long for an address; copy the address alone and paste it again.")
        assert desk.offered == []
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")


async def test_a_paste_whose_end_never_comes_is_given_up(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(CODE_LAST)[:-10])
        await desk.hears("The end of the paste did not arrive; paste the address again.")
        await terminal.types(_bracketed(CODE_LAST)[-10:])
        await terminal.types(_bracketed(CODE_LAST))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.codes == [CODE]


# Rejected, and tried again


async def test_a_rejection_is_explained_and_the_wait_goes_on(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(FOREIGN))
        await desk.hears_rejection(len(FOREIGN))
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.offered == [FOREIGN, ADDRESS]


@pytest.mark.parametrize("marked", [True, False])
async def test_a_paste_in_pieces_is_put_together(terminal: Terminal, desk: Desk, marked: bool) -> None:
    at = ADDRESS.index(CODE) + 10
    pieces = [ADDRESS[:at], ADDRESS[at : at + 30], ADDRESS[at + 30 :]]
    async with _prompt(terminal, desk):
        for piece in pieces[:-1]:
            await terminal.types(_bracketed(piece) if marked else piece.encode() + b"\n")
            await desk.hears_rejection(len(piece))
        await terminal.types(_bracketed(pieces[-1]) if marked else pieces[-1].encode() + b"\n")
        await desk.hears(f"received {len(pieces[-1])} characters", "taken")
    assert desk.codes == [CODE]


async def test_a_piece_of_long_ago_is_forgotten(terminal: Terminal, desk: Desk) -> None:
    at = ADDRESS.index(CODE) + 10
    async with _prompt(terminal, desk, Patience(next_piece=-1)):
        for piece in (ADDRESS[:at], ADDRESS[at:]):
            await terminal.types(_bracketed(piece))
            await desk.hears_rejection(len(piece))
    assert desk.offered == [ADDRESS[:at], ADDRESS[at:]]


async def test_a_whole_address_after_a_cut_off_one_is_not_glued_to_it(terminal: Terminal, desk: Desk) -> None:
    cut_off = ADDRESS[: ADDRESS.index(CODE) + 4]
    no_code = redirect(state=STATE)
    assert REQUEST.judge(cut_off + no_code).code.reveal() != CODE, "the trap: together they would pass"
    async with _prompt(terminal, desk):
        for text in (cut_off, no_code):
            await terminal.types(_bracketed(text))
            await desk.hears_rejection(len(text))
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.codes == [CODE]


async def test_a_whole_query_after_a_cut_off_one_goes_alone_first(terminal: Terminal, desk: Desk) -> None:
    cut_off, whole = f"?code={CODE[:4]}", f"?code={CODE}&state={STATE}"
    assert REQUEST.judge(cut_off + whole).code.reveal() != CODE, "the trap: together they would pass"
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(cut_off))
        await desk.hears_rejection(len(cut_off))
        await terminal.types(_bracketed(whole))
        await desk.hears(f"received {len(whole)} characters", "taken")
    assert desk.codes == [CODE]


# Keys


async def test_typed_text_can_be_corrected(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(
            b"nonsense\x15" + ADDRESS[:-1].encode() + "äö\x08\x7f".encode() + ADDRESS[-1:].encode() + b"\r"
        )
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert desk.offered == [f"{ADDRESS}\r"]


async def test_arrow_keys_and_other_control_characters_are_ignored(terminal: Terminal, desk: Desk) -> None:
    noise = b"\x1b[A\x1bOP\x1b[1;5C\x1bx\x01\x00\x1b[I\x1b\x1b[D"
    async with _prompt(terminal, desk):
        await terminal.types(noise + ADDRESS[:50].encode() + noise + ADDRESS[50:].encode() + noise + b"\r")
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")


async def test_an_empty_line_is_answered_with_what_to_paste(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(b"\r")
        await desk.hears(WHAT_TO_PASTE)
        await terminal.types(_bracketed(" \n"))
        await desk.hears(WHAT_TO_PASTE)
    assert desk.offered == []


async def test_bytes_that_are_no_utf_8_harm_nothing(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(b"\xff\xfe\xc3\r")
        await desk.hears_rejection(2)
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")


async def test_control_d_closes_the_prompt_and_gives_the_terminal_back(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(b"half an addr\x04" + _bracketed(ADDRESS))
        await desk.hears(CLOSED)
        assert terminal.is_as_found()
        await terminal.shows(OFF)
    assert desk.offered == []
    assert desk.heard_nothing_more()


async def test_a_terminal_that_hangs_up_closes_the_prompt(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        terminal.hang_up()
        await desk.hears(CLOSED)
    assert desk.offered == []


async def test_after_the_right_text_nothing_more_is_offered(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(_bracketed(ADDRESS) + _bracketed(ADDRESS) + b"\x04")
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
        await terminal.types(_bracketed(FOREIGN) + b"ls\r")
        await terminal.is_read()
    assert desk.offered == [ADDRESS]
    assert desk.heard_nothing_more()


# The terminal's settings


async def test_the_terminal_is_silent_meanwhile_and_afterwards_exactly_as_before(
    terminal: Terminal, desk: Desk
) -> None:
    async with _prompt(terminal, desk):
        assert terminal.is_silent()
        assert termios.tcgetattr(terminal.theirs)[3] & termios.ISIG
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("end", ["error", "cancellation"])
async def test_the_terminal_is_restored_however_the_wait_ends(terminal: Terminal, desk: Desk, end: str) -> None:
    async def wait() -> None:
        async with _prompt(terminal, desk):
            if end == "error":
                raise ZeroDivisionError
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await terminal.shows(ON)
    if end == "cancellation":
        waiting.cancel()
    with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
        await waiting
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


async def test_the_tail_of_a_paste_does_not_spill_into_the_shell(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.types(b"https://console")
        await terminal.is_read()
        os.write(terminal.ours, b"rm -rf something\n")  # comes right before the end, and nobody has read it
    assert not select.select([terminal.theirs], [], [], 0)[0]


async def test_commands_typed_ahead_reach_the_shell_where_nothing_was_pasted(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        os.write(terminal.ours, b"make\n")
    assert os.read(terminal.theirs, 100) == b"make\n"


async def test_a_dumb_terminal_is_sent_no_sequences(terminal: Terminal, desk: Desk) -> None:
    async with TerminalPrompt(
        offer=desk.offer, say=desk.said.put_nowait, fd=terminal.theirs, patience=HASTE, environ={"TERM": "dumb"}
    ):
        await terminal.types(ADDRESS.encode() + b"\r")
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    assert terminal.shown_to_the_end() == b""


async def test_a_terminal_open_for_reading_only_is_taken_without_marks(terminal: Terminal, desk: Desk) -> None:
    read_only = os.open(os.ttyname(terminal.theirs), os.O_RDONLY | os.O_NOCTTY)
    try:
        async with TerminalPrompt(offer=desk.offer, say=desk.said.put_nowait, fd=read_only, patience=HASTE):
            await terminal.types(ADDRESS.encode() + b"\r")
            await desk.hears(f"received {len(ADDRESS)} characters", "taken")
    finally:
        os.close(read_only)
    assert terminal.is_as_found()


async def test_where_somebody_else_reads_first_the_loop_is_not_held_up(terminal: Terminal, desk: Desk) -> None:
    os.set_blocking(terminal.theirs, False)
    loop, stolen, rivals = asyncio.get_running_loop(), asyncio.Event(), [os.dup(terminal.theirs) for _ in range(2)]

    def steal(fd: int) -> None:
        with suppress(BlockingIOError):
            if os.read(fd, 100):
                stolen.set()

    loop.add_reader(rivals[0], steal, rivals[0])  # one before the prompt and one after it, in whichever order
    async with _prompt(terminal, desk):
        loop.add_reader(rivals[1], steal, rivals[1])
        await terminal.types(b"stolen")
        await asyncio.wait_for(stolen.wait(), 10)
        for fd in rivals:
            loop.remove_reader(fd)
            os.close(fd)
        await terminal.types(_bracketed(ADDRESS))
        await desk.hears(f"received {len(ADDRESS)} characters", "taken")


async def test_what_is_no_terminal_is_refused_and_left_alone(desk: Desk) -> None:
    reading, writing = os.pipe()
    handler = signal.getsignal(signal.SIGTSTP)
    try:
        with pytest.raises(termios.error):
            async with TerminalPrompt(offer=desk.offer, say=desk.said.put_nowait, fd=reading):
                pytest.fail("it was taken for a terminal")
    finally:
        os.close(reading)
        os.close(writing)
    assert signal.getsignal(signal.SIGTSTP) == handler


class _Refusing(selectors.SelectSelector):
    """Refuses terminals, as kqueue does with /dev/tty."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if isinstance(fileobj, int) and os.isatty(fileobj):
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().register(fileobj, events, data)


def test_a_terminal_that_the_loop_cannot_watch_is_given_back(terminal: Terminal) -> None:
    async def wait() -> None:
        async with _prompt(terminal, Desk()):
            pytest.fail("it cannot be watched")

    loops = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Refusing()))
    with loops as runner, pytest.raises(OSError, match="Invalid argument"):
        runner.run(wait())
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


async def test_after_being_stopped_and_continued_the_terminal_is_silent_again(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        await terminal.shows(ON)
        termios.tcsetattr(terminal.theirs, termios.TCSANOW, terminal.found)  # as a shell does meanwhile
        signal.raise_signal(signal.SIGCONT)
        await terminal.shows(ON, times=2)
        assert terminal.is_silent()
    assert terminal.is_as_found()


async def test_signal_handlers_are_put_back(terminal: Terminal, desk: Desk) -> None:
    def mine(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGCONT, mine)
    try:
        async with _prompt(terminal, desk):
            assert signal.getsignal(signal.SIGCONT) is not mine
            assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGCONT) is mine
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCONT, before)


async def test_an_ignored_stop_stays_ignored(terminal: Terminal, desk: Desk) -> None:
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        async with _prompt(terminal, desk):
            assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, before)


async def test_a_signal_that_is_handled_after_the_end_takes_nothing(terminal: Terminal, desk: Desk) -> None:
    async with _prompt(terminal, desk):
        signal.raise_signal(signal.SIGCONT)  # its handler has the loop call us, after this block
    await asyncio.sleep(0)
    assert terminal.is_as_found()


def test_a_loop_beside_the_main_thread_can_prompt_too(terminal: Terminal) -> None:
    codes: list[str] = []

    async def wait() -> None:
        desk = Desk()
        async with _prompt(terminal, desk):
            await terminal.types(_bracketed(ADDRESS))
            await desk.hears(f"received {len(ADDRESS)} characters", "taken")
        codes.extend(desk.codes)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    thread.join(20)
    assert codes == [CODE]
    assert terminal.is_as_found()


# In a session of its own, with jobs

JOB = """
    import asyncio, signal
    from oauth_helper.terminal import TerminalPrompt, can_prompt

    async def main():
        taken = asyncio.Event()
        def offer(text):
            print("offered", text.strip(), flush=True)
            taken.set()
        print("can prompt" if can_prompt() else "cannot prompt", flush=True)
        async with TerminalPrompt(offer=offer, say=lambda line: print(line, flush=True)):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print("alive", flush=True))
            print("open", flush=True)
            await taken.wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""

SHELL = """
    import fcntl, os, signal, subprocess, sys, termios

    def job_begins(in_foreground):
        if in_foreground:
            os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    for command in os.fdopen(int(sys.argv[1])):
        match command.split():
            case ["start", where]:
                job = subprocess.Popen([sys.executable, "-c", sys.argv[2]], process_group=0,
                                       preexec_fn=lambda: job_begins(where == "foreground"))
            case ["foreground"]:
                os.tcsetpgrp(0, job.pid)
            case ["background"]:
                os.tcsetpgrp(0, os.getpgrp())
            case ["signal", name]:
                os.killpg(job.pid, getattr(signal, name))
            case ["wait"]:
                _, status = os.waitpid(job.pid, os.WUNTRACED)
                os.tcsetpgrp(0, os.getpgrp())
                print("stopped" if os.WIFSTOPPED(status) else f"ended {status}", flush=True)
            case ["ready"]:
                print("shell is ready", flush=True)
            case ["read"]:
                print("shell read", input(), flush=True)
"""
"""As little of a shell as controls a job. It mends no settings, as dash does not."""


class Session:
    """A shell on ``terminal``, told by a pipe what to do; shell and job print to another one."""

    def __init__(self, terminal: Terminal, job: str) -> None:
        told, self._tell = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SHELL), str(told), textwrap.dedent(job)],
            stdin=terminal.theirs,
            stdout=subprocess.PIPE,
            pass_fds=[told],
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(told)

    def tell(self, *commands: str) -> None:
        os.write(self._tell, "".join(f"{command}\n" for command in commands).encode())

    async def prints(self, *lines: str) -> None:
        for line in lines:
            assert await asyncio.to_thread(self._line) == line

    def end(self) -> None:
        os.close(self._tell)
        with self.process as process:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _line(self) -> str:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], 20)[0]:
            return "(nothing)"
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self.process.stdout.fileno(), 1)):
            line += byte
        return line.decode().strip()


@contextmanager
def _session(terminal: Terminal, job: str = JOB) -> Iterator[Session]:
    session = Session(terminal, job)
    try:
        yield session
    finally:
        session.end()


async def test_a_job_in_the_background_leaves_the_terminal_alone_until_it_is_brought_forward(
    terminal: Terminal,
) -> None:
    with _session(terminal) as session:
        session.tell("start background")
        await session.prints("cannot prompt", "open")
        assert terminal.is_as_found()
        session.tell("read")
        await terminal.types(b"for the shell\n")
        await session.prints("shell read for the shell")
        session.tell("foreground")  # and no signal: the job was running all the time
        await terminal.shows(ON)
        await terminal.types(_bracketed("for the job"))
        await session.prints("received 11 characters", "offered for the job")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()


async def test_control_c_is_still_an_interrupt_and_restores_the_terminal(terminal: Terminal) -> None:
    with _session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        await terminal.types(b"\x03")
        await session.prints("interrupted")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()
    assert OFF in terminal.shown_to_the_end()


async def test_control_z_gives_the_terminal_back_and_fg_takes_it_again(terminal: Terminal) -> None:
    with _session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        await terminal.types(b"\x1a")
        session.tell("wait")
        await session.prints("stopped")
        assert terminal.is_as_found()
        await terminal.shows(OFF)
        session.tell("foreground", "signal SIGCONT")
        await terminal.shows(ON, times=2)
        assert terminal.is_silent()
        await terminal.types(_bracketed("after fg"))
        await session.prints("received 8 characters", "offered after fg")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()


async def test_control_z_and_bg_leave_the_terminal_to_the_shell(terminal: Terminal) -> None:
    with _session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        await terminal.types(b"\x1a")
        session.tell("wait")
        await session.prints("stopped")
        session.tell("signal SIGCONT", "read")
        await terminal.types(b"for the shell\n")
        await session.prints("shell read for the shell")
        assert terminal.is_as_found()
        session.tell("signal SIGINT")
        await session.prints("interrupted")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()


async def test_a_job_that_loses_the_foreground_neither_reads_nor_is_stopped(terminal: Terminal) -> None:
    with _session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        session.tell("background", "ready")
        await session.prints("shell is ready")
        await terminal.types(b"for the shell\n")
        session.tell("signal SIGUSR1")
        await session.prints("alive")  # it has seen that there is something to read
        session.tell("read")
        await session.prints("shell read for the shell")
        session.tell("foreground")
        await terminal.types(_bracketed("for the job"))
        await session.prints("received 11 characters", "offered for the job")
        session.tell("wait")
        await session.prints("ended 0")


async def test_a_job_that_ends_in_the_background_is_not_stopped_by_its_tidying(terminal: Terminal) -> None:
    with _session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        session.tell("background", "signal SIGINT")
        await session.prints("interrupted")
        session.tell("wait")
        await session.prints("ended 0")


def test_only_a_terminal_can_be_prompted_be_it_of_our_session_or_of_none(terminal: Terminal) -> None:
    reading, writing = os.pipe()
    try:
        assert not can_prompt(reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert not can_prompt(reading)
    assert can_prompt(terminal.theirs)


# The bytes, cut anywhere

_PIECES = st.lists(
    st.sampled_from(
        [
            _bracketed("pasted\r\n\x15\x04 text"),
            b"typed",
            "ä€".encode(),
            b"\r",
            b"\x7f",
            b"\x15",
            b"\x04",
            b"\x1b[1;5C",
        ]
    )
)


def _merged(inputs: list[Input]) -> list[Input]:
    merged: list[Input] = []
    for each in inputs:
        if merged and each.kind is merged[-1].kind is Kind.TEXT:
            merged[-1] = Input(Kind.TEXT, merged[-1].text + each.text)
        elif each.text:
            merged.append(each)
    return merged


@given(_PIECES, st.lists(st.integers(1, 7), min_size=1))
def test_where_one_read_ends_and_the_next_begins_makes_no_difference(pieces: list[bytes], sizes: list[int]) -> None:
    data, keyboard, cut = b"".join(pieces), Keyboard(), []
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        cut += keyboard.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert _merged(cut) == _merged(Keyboard().feed(data))


@given(st.lists(st.binary(max_size=40)))
def test_no_bytes_confuse_the_keyboard_for_ever(noise: list[bytes]) -> None:
    keyboard = Keyboard()
    for data in noise:
        keyboard.feed(data)
    keyboard.feed(b"\x1b[201~" * 2)
    assert keyboard.feed(_bracketed("whole"))[-1] == Input(Kind.PASTE, "whole")


def test_a_sequence_without_an_end_is_not_kept() -> None:
    inputs = Keyboard().feed(b"\x1b[" + b"0" * 100)
    assert _merged(inputs) == [Input(Kind.TEXT, "[" + "0" * 100)]
