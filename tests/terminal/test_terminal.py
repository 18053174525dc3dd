"""The prompt silences the terminal and restores it, whatever kind of terminal it is and whatever signals come."""

import asyncio
import errno
import os
import selectors
import signal
import termios
import threading
from typing import Any

import pytest
from terminal.job_session import in_session
from terminal.pseudo_terminal import ADDRESS, CODE, OFF, ON, RedirectReceiver, Terminal, bracketed, prompting

from oauth_helper.terminal_prompt import TerminalPrompt, can_prompt


async def test_the_terminal_is_silent_until_the_wait_ends_however_it_ends(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async def wait() -> None:
        async with prompting(terminal, receiver):
            assert terminal.is_silent()
            assert termios.tcgetattr(terminal.theirs)[3] & termios.ISIG
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await terminal.shows(ON)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("kind", ["dumb", "read-only", "in a thread"])
def test_odd_terminals_are_read_too(terminal: Terminal, kind: str) -> None:
    codes: list[str] = []
    theirs = terminal.theirs

    async def wait() -> None:
        receiver = RedirectReceiver()
        async with prompting(terminal, receiver, term="dumb" if kind == "dumb" else "xterm"):
            await terminal.types(ADDRESS.encode() + b"\r")
            await receiver.hears_received()
        codes.extend(receiver.codes)

    if kind == "read-only":
        terminal.theirs = os.open(os.ttyname(theirs), os.O_RDONLY | os.O_NOCTTY)
    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start() if kind == "in a thread" else thread.run()
    if kind == "in a thread":
        thread.join(20)
    if kind == "read-only":
        os.close(terminal.theirs)
        terminal.theirs = theirs
    assert codes == [CODE]
    assert terminal.is_as_found()
    assert terminal.shown_to_the_end() == (ON + OFF if kind == "in a thread" else b"")


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
        while terminal.theirs not in {key.fd for key, _ in selector.select(10)}:
            pass
        # What is called soon comes before what the loop finds in the same turn.
        stolen: list[bytes] = []
        loop.call_soon(lambda: stolen.append(os.read(terminal.theirs, 100)))
        await asyncio.sleep(0)
        assert stolen == [b"stolen"]
        await asyncio.sleep(0)
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears_received()


class _Refusing(selectors.SelectSelector):
    """Refuses terminals, as kqueue does with /dev/tty."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if isinstance(fileobj, int) and os.isatty(fileobj):
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().register(fileobj, events, data)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_cannot_be_read_is_left_as_it_was(terminal: Terminal, is_terminal: bool) -> None:
    async def wait() -> None:
        fd = terminal.theirs if is_terminal else pipe[0]
        async with TerminalPrompt(offer=print, say=print, fd=fd):
            pytest.fail("it cannot be watched")

    pipe = os.pipe()
    loops = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Refusing()))
    with loops as runner, pytest.raises(OSError if is_terminal else termios.error):
        runner.run(wait())
    for fd in pipe:
        os.close(fd)
    assert terminal.is_as_found()
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL


async def test_after_being_stopped_and_continued_the_terminal_is_silent_again(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        await terminal.shows(ON)
        termios.tcsetattr(terminal.theirs, termios.TCSANOW, terminal.found)  # as a shell does meanwhile
        signal.raise_signal(signal.SIGCONT)
        await terminal.shows(ON, times=2)
        assert terminal.is_silent()
        signal.raise_signal(signal.SIGCONT)  # its handler has the loop call us, after this block
    await asyncio.sleep(0)
    assert terminal.is_as_found()


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
async def test_signal_handlers_are_put_back_and_an_ignored_stop_stays_ignored(
    terminal: Terminal, receiver: RedirectReceiver, before: signal.Handlers
) -> None:
    signal.signal(signal.SIGTSTP, before)
    try:
        async with prompting(terminal, receiver):
            assert (signal.getsignal(signal.SIGTSTP) is before) is (before == signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTSTP) is before
        assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)


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


@pytest.mark.parametrize("then", ["fg", "bg"])
async def test_control_z_gives_the_terminal_back_and_only_fg_takes_it_again(terminal: Terminal, then: str) -> None:
    with in_session(terminal) as session:
        session.tell("start foreground")
        await session.prints("can prompt", "open")
        await terminal.types(b"\x1a")
        session.tell("wait")
        await session.prints("stopped")
        assert terminal.is_as_found()
        await terminal.shows(OFF)
        if then == "fg":
            session.tell("foreground", "signal SIGCONT")
            await terminal.shows(ON, times=2)
            assert terminal.is_silent()
            await terminal.types(bracketed("after fg"))
            await session.prints("offered after fg", "received 8 characters")
        else:
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
        await terminal.shows(ON, times=2)
        session.tell("background", "signal SIGINT")  # its end in the background stops it neither
        await session.prints("interrupted")
        session.tell("wait")
        await session.prints("ended 0")


def test_only_a_terminal_can_be_prompted_be_it_of_our_session_or_of_none(terminal: Terminal) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert not can_prompt(reading)
    os.close(reading)
    assert not can_prompt(reading)
    assert can_prompt(terminal.theirs)
