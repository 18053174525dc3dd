"""The prompt: what is taken as one text, and what the user is told."""

import os

import pytest
from support.redirect_cases import REQUEST, STATE, redirect
from terminal.pseudo_terminal import (
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
)

from oauth_helper.terminal_prompt import LONGEST

CLOSED = "The prompt is closed; you can still paste the address on the page."
WHAT_TO_PASTE = "Paste the final address from the browser, then press Enter."
NOISE = b"\x1b[A\x1bOP\x1b[1;5C\x1bx\x01\x00\x1b[I\x1b\x1b[D"


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        (b"nonsense\x15" + ADDRESS[:-1].encode() + "äö\b\x7f".encode() + ADDRESS[-1:].encode(), len(ADDRESS)),
        (NOISE + ADDRESS[:50].encode() + NOISE + ADDRESS[50:].encode() + NOISE, len(ADDRESS) + 1),
        (b"\x1b[" + b"0" * 50 + b"\x15" + ADDRESS.encode() + b"\r\x1b[O", len(ADDRESS)),
        *((ADDRESS.encode() + gap + b"ServiceStage", len(ADDRESS) + 13) for gap in (b"\t", b"\x1b[201~", b"\x00")),
    ],
    ids=["corrected", "keys", "broken", "tab", "mark", "nul"],
)
async def test_keys_correct_the_text_or_separate_what_is_around_them(
    terminal: Terminal, receiver: RedirectReceiver, typed: bytes, count: int
) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(typed + b"\r")
        await receiver.hears_received(count)


async def test_whatever_is_typed_or_pasted_by_mistake_the_wait_goes_on_and_nothing_is_shown(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        for empty in (b"\r", bracketed(" \n")):
            await terminal.types(empty)
            await receiver.hears(WHAT_TO_PASTE)
        for wrong in (b"\xff\xfe\xc3\r", FOREIGN.encode() + b"\n", bracketed(FOREIGN)):
            await terminal.types(wrong)
            await receiver.hears_rejection()
        await terminal.types(b"typed\x7f\x1b[A" + bracketed(ADDRESS))
        await receiver.hears_received()
        await terminal.types(bracketed(ADDRESS) + b"ls\r\x04")
        await terminal.is_read()
    assert len(receiver.offered) == 4
    assert receiver.codes == [CODE]
    assert receiver.messages.empty()
    assert terminal.shown_to_the_end() == ON + OFF


@pytest.mark.parametrize("end", [b"half an addr\x04" + bracketed(ADDRESS), None])
async def test_control_d_or_a_hang_up_closes_the_prompt(
    terminal: Terminal, receiver: RedirectReceiver, end: bytes | None
) -> None:
    async with prompting(terminal, receiver):
        if end:
            await terminal.types(end)
        else:
            terminal.hang_up()
        await receiver.hears(CLOSED)
        if end:
            assert terminal.is_as_found()
            await terminal.shows(OFF)
    assert receiver.offered == []
    assert receiver.messages.empty()


@pytest.mark.parametrize("at", range(12))
async def test_a_marked_paste_is_taken_at_once_however_its_marks_are_split(
    terminal: Terminal, receiver: RedirectReceiver, at: int
) -> None:
    paste = bracketed(ADDRESS)
    cut = at if at < 6 else len(paste) - 12 + at
    async with prompting(terminal, receiver, quiet=60):
        await terminal.types(paste[:cut])
        await terminal.is_read()
        await terminal.types(paste[cut:])
        await receiver.hears_received()
    assert receiver.offered == [ADDRESS]


@pytest.mark.parametrize("address", [ADDRESS, CODE_LAST])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r  "])
async def test_an_address_wrapped_at_80_columns_is_taken_whole(
    terminal: Terminal, receiver: RedirectReceiver, address: str, line_break: str
) -> None:
    wrapped = line_break.join(address[at : at + 80] for at in range(0, len(address), 80))
    async with prompting(terminal, receiver, quiet=0.3):
        await terminal.types(wrapped.encode() + b"\r")
        await receiver.hears_received(len(wrapped))
    assert receiver.codes == [CODE]


async def test_lines_that_come_one_by_one_are_one_text_while_the_quiet_is_short(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    first, second = CODE_LAST[:-6], CODE_LAST[-6:]
    assert REQUEST.judge(first).code.reveal() != CODE, "the first line alone would be taken, with a part of the code"
    async with prompting(terminal, receiver, quiet=1.0):
        await terminal.types(f"{first}\n".encode())
        await terminal.is_read()
        await terminal.types(f"{second}\n".encode())
        await receiver.hears_received(len(CODE_LAST) + 1)
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
        await receiver.hears_received(len(CODE_LAST) + 1)
    assert receiver.codes == [CODE]


@pytest.mark.parametrize("marked", [True, False])
async def test_20_kilobytes_arrive_whole_and_what_is_too_long_is_not_offered(
    terminal: Terminal, receiver: RedirectReceiver, marked: bool
) -> None:
    text = redirect(state=STATE, padding="x" * 20_000, code=CODE)
    too_long = text + "x" * 2 * LONGEST
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(too_long) if marked else too_long.encode() + b"\n")
        await receiver.hears("That is too long for an address. Copy only the address, and paste it again.")
        await terminal.types(bracketed(text) if marked else text.encode() + b"\n")
        await receiver.hears_received(len(text))
    assert receiver.codes == [CODE]


async def test_a_paste_whose_end_never_comes_is_given_up(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(CODE_LAST)[:-10])
        await receiver.hears("The paste was cut off. Paste the address again.")
        await terminal.types(bracketed(CODE_LAST)[-10:] + bracketed(CODE_LAST))
        await receiver.hears_received()
    assert receiver.codes == [CODE]


async def test_texts_are_not_joined(terminal: Terminal, receiver: RedirectReceiver) -> None:
    cut_off, no_code = ADDRESS[: ADDRESS.index(CODE) + 4], redirect(state=STATE)
    assert REQUEST.judge(cut_off + no_code).code.reveal() != CODE, "together they would be accepted"
    async with prompting(terminal, receiver):
        for text in (cut_off, no_code):
            await terminal.types(bracketed(text))
            await receiver.hears_rejection()


async def test_what_is_typed_ahead_reaches_the_shell_only_if_nothing_was_pasted(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        os.write(terminal.ours, b"make\n")
    assert os.read(terminal.theirs, 100) == b"make\n"
    async with prompting(terminal, receiver):
        await terminal.types(b"https://console")
        await terminal.is_read()
        os.write(terminal.ours, b"rm -rf something\n")
    os.set_blocking(terminal.theirs, False)
    with pytest.raises(BlockingIOError):
        os.read(terminal.theirs, 100)
