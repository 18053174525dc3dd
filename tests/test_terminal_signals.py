"""The signals of job control while a prompt is open, and a prompt where no signal can be handled."""

import asyncio
import signal
import termios
import threading

from terminal_desk import ADDRESS, CODE, ON, RedirectReceiver, Terminal, bracketed, prompting, receiver, terminal

__all__ = ["receiver", "terminal"]


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
            await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
        codes.extend(receiver.codes)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    thread.join(20)
    assert codes == [CODE]
    assert terminal.is_as_found()
