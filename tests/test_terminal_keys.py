"""Keys typed at the prompt: corrections, noise, and what ends it."""

import pytest
from terminal_desk import ADDRESS, FOREIGN, OFF, RedirectReceiver, Terminal, bracketed, prompting, receiver, terminal

__all__ = ["receiver", "terminal"]

CLOSED = "The prompt is closed; the page still takes the address."
WHAT_TO_PASTE = "Paste the address of the page where the browser ended, then press Enter."


async def test_typed_text_can_be_corrected(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(
            b"nonsense\x15" + ADDRESS[:-1].encode() + "äö\x08\x7f".encode() + ADDRESS[-1:].encode() + b"\r"
        )
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.offered == [f"{ADDRESS}\r"]


async def test_arrow_keys_and_other_control_characters_count_as_one_blank(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    noise = b"\x1b[A\x1bOP\x1b[1;5C\x1bx\x01\x00\x1b[I\x1b\x1b[D"
    async with prompting(terminal, receiver):
        await terminal.types(noise + ADDRESS[:50].encode() + noise + ADDRESS[50:].encode() + noise + b"\r")
        await receiver.hears(f"received {len(ADDRESS) + 1} characters", "taken")


@pytest.mark.parametrize("between", ["\t", "\x1b[201~", "\x00", "\x1b[I", "\x0b"])
async def test_what_the_prompt_leaves_out_separates_what_stands_around_it(
    terminal: Terminal, receiver: RedirectReceiver, between: str
) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(f"{ADDRESS}{between}ServiceStage\r".encode())
        await receiver.hears(f"received {len(ADDRESS) + 13} characters", "taken")


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
        await receiver.hears_rejection(2)
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")


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
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
        await terminal.types(bracketed(FOREIGN) + b"ls\r")
        await terminal.is_read()
    assert receiver.offered == [ADDRESS]
    assert receiver.heard_nothing_more()
