"""A text that is rejected is explained and the terminal waits for the next; pieces of an address are put together."""

import pytest
from support.redirect_cases import REQUEST, STATE, redirect
from terminal_desk import ADDRESS, CODE, FOREIGN, RedirectReceiver, Terminal, bracketed, prompting, receiver, terminal

from oauth_helper.terminal_prompt import Patience

__all__ = ["receiver", "terminal"]


async def test_a_rejection_is_explained_and_the_wait_goes_on(terminal: Terminal, receiver: RedirectReceiver) -> None:
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(FOREIGN))
        await receiver.hears_rejection(len(FOREIGN))
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.offered == [FOREIGN, ADDRESS]


@pytest.mark.parametrize("marked", [True, False])
async def test_a_paste_in_pieces_is_put_together(terminal: Terminal, receiver: RedirectReceiver, marked: bool) -> None:
    at = ADDRESS.index(CODE) + 10
    pieces = [ADDRESS[:at], ADDRESS[at : at + 30], ADDRESS[at + 30 :]]
    async with prompting(terminal, receiver):
        for piece in pieces[:-1]:
            await terminal.types(bracketed(piece) if marked else piece.encode() + b"\n")
            await receiver.hears_rejection(len(piece))
        await terminal.types(bracketed(pieces[-1]) if marked else pieces[-1].encode() + b"\n")
        await receiver.hears(f"received {len(pieces[-1])} characters", "taken")
    assert receiver.codes == [CODE]


async def test_a_piece_of_long_ago_is_forgotten(terminal: Terminal, receiver: RedirectReceiver) -> None:
    at = ADDRESS.index(CODE) + 10
    async with prompting(terminal, receiver, Patience(next_piece=-1)):
        for piece in (ADDRESS[:at], ADDRESS[at:]):
            await terminal.types(bracketed(piece))
            await receiver.hears_rejection(len(piece))
    assert receiver.offered == [ADDRESS[:at], ADDRESS[at:]]


async def test_a_whole_address_after_a_cut_off_one_is_not_glued_to_it(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    cut_off = ADDRESS[: ADDRESS.index(CODE) + 4]
    no_code = redirect(state=STATE)
    assert REQUEST.judge(cut_off + no_code).code.reveal() != CODE, "the trap: together they would pass"
    async with prompting(terminal, receiver):
        for text in (cut_off, no_code):
            await terminal.types(bracketed(text))
            await receiver.hears_rejection(len(text))
        await terminal.types(bracketed(ADDRESS))
        await receiver.hears(f"received {len(ADDRESS)} characters", "taken")
    assert receiver.codes == [CODE]


async def test_a_whole_query_after_a_cut_off_one_goes_alone_first(
    terminal: Terminal, receiver: RedirectReceiver
) -> None:
    cut_off, whole = f"?code={CODE[:4]}", f"?code={CODE}&state={STATE}"
    assert REQUEST.judge(cut_off + whole).code.reveal() != CODE, "the trap: together they would pass"
    async with prompting(terminal, receiver):
        await terminal.types(bracketed(cut_off))
        await receiver.hears_rejection(len(cut_off))
        await terminal.types(bracketed(whole))
        await receiver.hears(f"received {len(whole)} characters", "taken")
    assert receiver.codes == [CODE]
