"""The prompt: how input is split, what is taken as one paste, and what the user is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from oauth_helper.terminal_prompt import LONGEST, Keyboard, PromptTiming

_PIECES = st.lists(
    st.sampled_from(
        [
            bracketed("pasted\r\n\x15\x04 text"),
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


def _merged(inputs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for kind, text in inputs:
        if merged and kind == merged[-1][0] == "text":
            merged[-1] = ("text", merged[-1][1] + text)
        elif text:
            merged.append((kind, text))
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
    assert keyboard.feed(bracketed("whole"))[-1] == ("paste", "whole")


def test_a_sequence_without_an_end_is_not_kept() -> None:
    inputs = Keyboard().feed(b"\x1b[" + b"0" * 100)
    assert _merged(inputs) == [("text", " [" + "0" * 100)]


CLOSED = "The prompt is closed; you can still paste the address on the page."
WHAT_TO_PASTE = "Paste the final address from the browser, then press Enter."


async def test_typed_text_can_be_corrected(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(
            b"nonsense\x15" + ADDRESS[:-1].encode() + "äö\x08\x7f".encode() + ADDRESS[-1:].encode() + b"\r"
        )
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.offered == [f"{ADDRESS}\r"]


async def test_arrow_keys_and_other_control_characters_count_as_one_blank(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    noise = b"\x1b[A\x1bOP\x1b[1;5C\x1bx\x01\x00\x1b[I\x1b\x1b[D"
    async with prompting(terminal, receiver):
        await terminal.types(noise + ADDRESS[:50].encode() + noise + ADDRESS[50:].encode() + noise + b"\r")
        await receiver.hears("taken", f"received {len(ADDRESS) + 1} characters")


@pytest.mark.parametrize("between", ["\t", "\x1b[201~", "\x00", "\x1b[I", "\x0b"])
async def test_what_the_prompt_leaves_out_separates_what_stands_around_it(
    terminal: Terminal, receiver: RedirectReceiver, between: str
) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(f"{ADDRESS}{between}ServiceStage\r".encode())
        await receiver.hears("taken", f"received {len(ADDRESS) + 13} characters")


async def test_an_empty_line_is_answered_with_what_to_paste(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(b"\r")
        await receiver.hears(WHAT_TO_PASTE)
        await terminal.types(bracketed(" \n"))
        await receiver.hears(WHAT_TO_PASTE)
    assert receiver.offered == []


async def test_bytes_that_are_no_utf_8_harm_nothing(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(b"\xff\xfe\xc3\r")
        await receiver.hears_rejection()
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")


async def test_control_d_closes_the_prompt_and_gives_the_terminal_back(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(b"half an addr\x04" + bracketed(ADDRESS))
        await receiver.hears(CLOSED)
        assert terminal.is_as_found()
        await terminal.shows(OFF)
    assert receiver.offered == []
    assert receiver.heard_nothing_more()


async def test_a_terminal_that_hangs_up_closes_the_prompt(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        terminal.hang_up()
        await receiver.hears(CLOSED)
    assert receiver.offered == []


async def test_after_the_right_text_nothing_more_is_offered(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(ADDRESS) + bracketed(ADDRESS) + b"\x04")
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
        await terminal.types(bracketed(FOREIGN) + b"ls\r")
        await terminal.is_read()
    assert receiver.offered == [ADDRESS]
    assert receiver.heard_nothing_more()


async def test_a_bracketed_paste_is_taken_at_once_without_enter(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver, PromptTiming(quiet=60)):
        await terminal.shows(ON)
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.codes == [CODE]


async def test_nothing_that_is_typed_or_pasted_is_ever_shown(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(FOREIGN.encode() + b"\n")
        await receiver.hears_rejection()
        await terminal.types(b"typed\x7f\x1b[A\x15" + bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
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
    async with prompting(terminal, receiver, PromptTiming(quiet=0.3)):
        await terminal.types((wrapped + line_break).encode())
        await receiver.hears("taken", f"received {len(wrapped)} characters")
    assert receiver.codes == [CODE]


async def test_lines_that_come_one_by_one_are_one_text_while_the_quiet_is_short(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    first, second = CODE_LAST[:-6], CODE_LAST[-6:]
    assert REQUEST.judge(first).code.reveal() != CODE, (
        "the trap: the first line would be taken, with a code that is cut off"
    )
    async with prompting(terminal, receiver, PromptTiming(quiet=1.0)):
        await terminal.types(f"{first}\n".encode())
        await terminal.is_read()
        await terminal.types(f"{second}\n".encode())
        await receiver.hears("taken", f"received {len(CODE_LAST) + 1} characters")
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
        await receiver.hears("taken", f"received {len(CODE_LAST) + 1} characters")
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
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.offered == [ADDRESS]


async def test_a_paste_of_20_kilobytes_arrives_whole(terminal: Terminal, receiver: RedirectReceiver) -> None:
    text = f"{'words ' * 3400}\n{ADDRESS}"
    assert len(text) > 20_000
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(text))
        await receiver.hears("taken", f"received {len(text)} characters")
    assert receiver.offered == [text]


async def test_a_line_of_20_kilobytes_without_marks_arrives_whole(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    text = redirect(state=STATE, padding="x" * 20_000, code=CODE)
    async with prompting(terminal, receiver):
        await terminal.types(text.encode() + b"\r")
        await receiver.hears("taken", f"received {len(text)} characters")
    assert receiver.codes == [CODE]


@pytest.mark.parametrize("marked", [True, False])
async def test_what_is_too_long_for_an_address_is_not_offered(
    terminal: Terminal, receiver: RedirectReceiver, marked: bool
) -> None:
    text = f"{ADDRESS}&{'x' * 2 * LONGEST}"
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(text) if marked else text.encode() + b"\n")
        await receiver.hears("That is too long for an address. Copy only the address, and paste it again.")
        assert receiver.offered == []
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")


async def test_a_paste_whose_end_never_comes_is_given_up(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(CODE_LAST)[:-10])
        await receiver.hears("The paste was cut off. Paste the address again.")
        await terminal.types(bracketed(CODE_LAST)[-10:])
        await terminal.types(bracketed(CODE_LAST))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.codes == [CODE]


async def test_a_rejection_is_explained_and_the_wait_goes_on(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(FOREIGN))
        await receiver.hears_rejection()
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.offered == [FOREIGN, ADDRESS]


async def test_texts_are_not_joined(terminal: Terminal, receiver: RedirectReceiver) -> None:
    cut_off = ADDRESS[: ADDRESS.index(CODE) + 4]
    no_code = redirect(state=STATE)
    assert REQUEST.judge(cut_off + no_code).code.reveal() != CODE, "together they would be accepted"
    async with prompting(terminal, receiver):
        for text in (cut_off, no_code):
            await terminal.types(bracketed(text))
            await receiver.hears_rejection()
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears("taken", f"received {len(ADDRESS)} characters")
    assert receiver.codes == [CODE]
