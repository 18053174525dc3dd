"""The prompt as a job in a session: in the foreground, in the background, stopped, and brought forward again."""

import os

from job_shell import in_session
from terminal_desk import OFF, ON, Terminal, bracketed, terminal

from oauth_helper.terminal_prompt import can_prompt

__all__ = ["terminal"]


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
        await session.prints("received 11 characters", "offered for the job")
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
        await session.prints("received 8 characters", "offered after fg")
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
        await session.prints("received 11 characters", "offered for the job")
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
