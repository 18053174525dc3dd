"""A paste into the terminal arrives whole, however the terminal delivers it, and is never shown."""

import pytest
from support.redirect_cases import REQUEST, STATE, redirect
from terminal_desk import (
    ADDRESS,
    CODE,
    CODE_LAST,
    FOREIGN,
    OFF,
    ON,
    RedirectReceiver,
    Terminal,
    bracketed,
    prompting,
    receiver,
    terminal,
)

from oauth_helper.terminal_prompt import LONGEST, Patience

__all__ = ["receiver", "terminal"]


async def test_a_bracketed_paste_is_taken_at_once_without_enter(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver, Patience(quiet=60)):
        await terminal.shows(ON)
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.codes == [CODE]


async def test_nothing_that_is_typed_or_pasted_is_ever_shown(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(FOREIGN.encode() + b"\n")
        await receiver.hears_rejection(len(FOREIGN))
        await terminal.types(b"typed\x7f\x1b[A\x15" + bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
        await terminal.types(b"after the end\n")
        await terminal.is_read()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("address", [ADDRESS, CODE_LAST])
@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("indent", ["", "  "])
async def test_an_address_wrapped_at_80_columns_is_taken_whole(
    terminal: Terminal, receiver: RedirectReceiver, address: str, line_break: str, indent: str
) -> None:
    wrapped = (line_break + indent).join(address[at : at + 80] for at in range(0, len(address), 80))
    assert line_break in wrapped
    async with prompting(terminal, receiver, Patience(quiet=0.3)):
        await terminal.types((wrapped + line_break).encode())
        await receiver.hears(f"received {len(wrapped)} characters", "taken")
    assert receiver.codes == [CODE]


async def test_lines_that_come_one_by_one_are_one_text_while_the_quiet_is_short(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    first, second = CODE_LAST[:-6], CODE_LAST[-6:]
    assert REQUEST.judge(first).code.reveal() != CODE, (
        "the trap: the first line would be taken, with a code that is cut off"
    )
    async with prompting(terminal, receiver, Patience(quiet=1.0)):
        await terminal.types(f"{first}\n".encode())
        await terminal.is_read()
        await terminal.types(f"{second}\n".encode())
        await receiver.hears(f"received {len(CODE_LAST) + 1} characters", "taken")
    assert receiver.codes == [CODE]


async def test_a_text_is_not_judged_before_its_last_line_has_ended(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    first, second = CODE_LAST[:80], CODE_LAST[80:-6]
    async with prompting(terminal, receiver):
        await terminal.types(f"{first}\n{second}".encode())
        await receiver.hears(f"received {len(CODE_LAST) - 5} characters so far; press Enter at the end of the address")
        assert receiver.offered == []
        await terminal.types(f"{CODE_LAST[-6:]}\r".encode())
        await receiver.hears(f"received {len(CODE_LAST) + 1} characters", "taken")
    assert receiver.codes == [CODE]


@pytest.mark.parametrize("at", range(1, 12))
async def test_the_marks_of_a_paste_may_be_split_anywhere(
    terminal: Terminal, receiver: RedirectReceiver, at: int
) -> None:
    paste = bracketed(ADDRESS)
    cut = at if at < 6 else len(paste) - 12 + at
    async with prompting(terminal, receiver):
        await terminal.types(paste[:cut])
        await terminal.is_read()
        await terminal.types(paste[cut:])
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.offered == [ADDRESS]


async def test_a_paste_of_20_kilobytes_arrives_whole(terminal: Terminal, receiver: RedirectReceiver) -> None:
    text = f"{'words ' * 3400}\n{ADDRESS}"
    assert len(text) > 20_000
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(text))
        await receiver.hears(f"received {len(text)} characters", "taken")
    assert receiver.offered == [text]


async def test_a_line_of_20_kilobytes_without_marks_arrives_whole(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    text = redirect(state=STATE, padding="x" * 20_000, code=CODE)
    async with prompting(terminal, receiver):
        await terminal.types(text.encode() + b"\r")
        await receiver.hears(f"received {len(text)} characters", "taken")
    assert receiver.codes == [CODE]


@pytest.mark.parametrize("marked", [True, False])
async def test_what_is_too_long_for_an_address_is_not_offered(
    terminal: Terminal, receiver: RedirectReceiver, marked: bool
) -> None:
    text = f"{ADDRESS}&{'x' * 2 * LONGEST}"
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(text) if marked else text.encode() + b"\n")
        await receiver.hears("That is too long for an address; copy the address alone and paste it again.")
        assert receiver.offered == []
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")


async def test_a_paste_whose_end_never_comes_is_given_up(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(CODE_LAST)[:-10])
        await receiver.hears("The end of the paste did not arrive; paste the address again.")
        await terminal.types(bracketed(CODE_LAST)[-10:])
        await terminal.types(bracketed(CODE_LAST))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.codes == [CODE]
