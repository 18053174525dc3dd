"""The prompt silences the terminal and leaves it as it was found, whatever kind of terminal that is."""

import asyncio
import errno
import os
import select
import selectors
import signal
import termios
from typing import Any

import pytest
from terminal_desk import ADDRESS, HASTE, OFF, ON, RedirectReceiver, Terminal, bracketed, prompting, receiver, terminal

from oauth_helper.terminal_prompt import TerminalPrompt

__all__ = ["receiver", "terminal"]


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
        offer=receiver.offer, say=receiver.said.put_nowait, fd=terminal.theirs, patience=HASTE, environ={"TERM": "dumb"}
    ):
        await terminal.types(ADDRESS.encode() + b"\r")
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert terminal.shown_to_the_end() == b""


async def test_a_terminal_open_for_reading_only_is_taken_without_marks(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    read_only = os.open(os.ttyname(terminal.theirs), os.O_RDONLY | os.O_NOCTTY)
    try:
        async with TerminalPrompt(offer=receiver.offer, say=receiver.said.put_nowait, fd=read_only, patience=HASTE):
            await terminal.types(ADDRESS.encode() + b"\r")
            await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
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
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")


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
