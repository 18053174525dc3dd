"""The prompt silences the terminal and restores it, whatever kind of terminal it is and whatever signals come."""

import asyncio
import errno
import os
import select
import selectors
import signal
import termios
import threading
from typing import Any

import pytest
from terminal.job_session import in_session
from terminal.pseudo_terminal import (
    ADDRESS,
    CODE,
    HASTE,
    OFF,
    ON,
    RedirectReceiver,
    Terminal,
    bracketed,
    prompting,
)

from oauth_helper.terminal_prompt import TerminalPrompt, can_prompt


async def test_the_terminal_is_silent_meanwhile_and_afterwards_exactly_as_before(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        assert terminal.is_silent()
        assert termios.tcgetattr(terminal.theirs)[3] & termios.ISIG
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("end", ["error", "cancellation"])
async def test_the_terminal_is_restored_however_the_wait_ends(
    terminal: Terminal, receiver: RedirectReceiver, end: str
) -> None:
    async def wait() -> None:
        async with prompting(terminal, receiver):
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


async def test_the_tail_of_a_paste_does_not_spill_into_the_shell(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(b"https://console")
        await terminal.is_read()
        os.write(terminal.ours, b"rm -rf something\n")  # comes right before the end, and nobody has read it
    assert not select.select([terminal.theirs], [], [], 0)[0]


async def test_commands_typed_ahead_reach_the_shell_where_nothing_was_pasted(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        os.write(terminal.ours, b"make\n")
    assert os.read(terminal.theirs, 100) == b"make\n"


async def test_a_dumb_terminal_is_sent_no_sequences(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with TerminalPrompt(
        offer=receiver.offer, say=receiver.said.put_nowait, fd=terminal.theirs, timing=HASTE, environ={"TERM": "dumb"}
    ):
        await terminal.types(ADDRESS.encode() + b"\r")
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert terminal.shown_to_the_end() == b""


async def test_a_terminal_open_for_reading_only_is_taken_without_marks(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    read_only = os.open(os.ttyname(terminal.theirs), os.O_RDONLY | os.O_NOCTTY)
    try:
        async with TerminalPrompt(offer=receiver.offer, say=receiver.said.put_nowait, fd=read_only, timing=HASTE):
            await terminal.types(ADDRESS.encode() + b"\r")
            await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    finally:
        os.close(read_only)
    assert terminal.is_as_found()


async def test_where_somebody_else_reads_first_the_loop_is_not_held_up(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    loop = asyncio.get_running_loop()
    selector = getattr(loop, "_selector", None)
    if selector is None:
        pytest.skip("another loop looks first for what is readable, and nobody could be faster")
    os.set_blocking(terminal.theirs, False)
    async with prompting(terminal, receiver):
        os.write(terminal.ours, b"stolen")
        # The loop is to find it readable, which it may a moment later than others do.
        while terminal.theirs not in {key.fd for key, _ in selector.select(10)}:
            pass
        # What is called soon comes before what the loop finds in the same turn.
        stolen: list[bytes] = []
        loop.call_soon(lambda: stolen.append(os.read(terminal.theirs, 100)))
        await asyncio.sleep(0)
        assert stolen == [b"stolen"]
        await asyncio.sleep(0)  # It finds nothing there now; what is typed before that it would read.
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")


async def test_what_is_no_terminal_is_refused_and_left_alone(receiver: RedirectReceiver) -> None:
    reading, writing = os.pipe()
    handler = signal.getsignal(signal.SIGTSTP)
    try:
        with pytest.raises(termios.error):
            async with TerminalPrompt(offer=receiver.offer, say=receiver.said.put_nowait, fd=reading):
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
        async with prompting(terminal, RedirectReceiver()):
            pytest.fail("it cannot be watched")

    loops = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Refusing()))
    with loops as runner, pytest.raises(OSError, match="Invalid argument"):
        runner.run(wait())
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


async def test_after_being_stopped_and_continued_the_terminal_is_silent_again(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        await terminal.shows(ON)
        termios.tcsetattr(terminal.theirs, termios.TCSANOW, terminal.found)  # as a shell does meanwhile
        signal.raise_signal(signal.SIGCONT)
        await terminal.shows(ON, times=2)
        assert terminal.is_silent()
    assert terminal.is_as_found()


async def test_signal_handlers_are_put_back(terminal: Terminal, receiver: RedirectReceiver) -> None:
    def mine(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGCONT, mine)
    try:
        async with prompting(terminal, receiver):
            assert signal.getsignal(signal.SIGCONT) is not mine
            assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGCONT) is mine
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCONT, before)


async def test_an_ignored_stop_stays_ignored(terminal: Terminal, receiver: RedirectReceiver) -> None:
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        async with prompting(terminal, receiver):
            assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, before)


async def test_a_signal_that_is_handled_after_the_end_takes_nothing(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        signal.raise_signal(signal.SIGCONT)  # its handler has the loop call us, after this block
    await asyncio.sleep(0)
    assert terminal.is_as_found()


def test_a_loop_beside_the_main_thread_can_prompt_too(terminal: Terminal) -> None:
    codes: list[str] = []

    async def wait() -> None:
        receiver = RedirectReceiver()
        async with prompting(terminal, receiver):
            await terminal.types(bracketed(ADDRESS))
            await receiver.hears("taken", f"received {len(ADDRESS)} characters")
        codes.extend(receiver.codes)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    thread.join(20)
    assert codes == [CODE]
    assert terminal.is_as_found()


async def test_a_job_in_the_background_leaves_the_terminal_alone_until_it_is_brought_forward(
    terminal: Terminal,
) -> None:
    with in_session(terminal) as session:
        session.tell("start background")
        await session.prints("cannot prompt", "open")
        assert terminal.is_as_found()
        session.tell("read")
        await terminal.types(b"for the shell\n")
        await session.prints("shell read for the shell")
        session.tell("foreground")  # and no signal: the job was running all the time
        await terminal.shows(ON)
        await terminal.types(bracketed("for the job"))
        await session.prints("offered for the job", "received 11 characters")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()


async def test_control_c_is_still_an_interrupt_and_restores_the_terminal(terminal: Terminal) -> None:
    with in_session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        await terminal.types(b"\x03")
        await session.prints("interrupted")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()
    assert OFF in terminal.shown_to_the_end()


async def test_control_z_gives_the_terminal_back_and_fg_takes_it_again(terminal: Terminal) -> None:
    with in_session(terminal) as session:
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
        await terminal.types(bracketed("after fg"))
        await session.prints("offered after fg", "received 8 characters")
        session.tell("wait")
        await session.prints("ended 0")
    assert terminal.is_as_found()


async def test_control_z_and_bg_leave_the_terminal_to_the_shell(terminal: Terminal) -> None:
    with in_session(terminal) as session:
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
    with in_session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        session.tell("background", "ready")
        await session.prints("shell is ready")
        await terminal.types(b"for the shell\n")
        await terminal.has_arrived()
        session.tell("signal SIGUSR1")
        await session.prints("alive")  # it has seen that there is something to read
        session.tell("read")
        await session.prints("shell read for the shell")
        session.tell("foreground")
        await terminal.types(bracketed("for the job"))
        await session.prints("offered for the job", "received 11 characters")
        session.tell("wait")
        await session.prints("ended 0")


async def test_a_job_that_ends_in_the_background_is_not_stopped_by_its_tidying(terminal: Terminal) -> None:
    with in_session(terminal) as session:
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
