"""The bytes of a keyboard mean the same wherever they are cut, and none confuse it for ever."""

from hypothesis import given
from hypothesis import strategies as st
from terminal_desk import bracketed

from oauth_helper.terminal_prompt import Input, Keyboard, Kind

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


def _merged(inputs: list[Input]) -> list[Input]:
    merged: list[Input] = []
    for each in inputs:
        if merged and each.kind is merged[-1].kind is Kind.TEXT:
            merged[-1] = Input(Kind.TEXT, merged[-1].text + each.text)
        elif each.text:
            merged.append(each)
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
    assert keyboard.feed(bracketed("whole"))[-1] == Input(Kind.PASTE, "whole")


def test_a_sequence_without_an_end_is_not_kept() -> None:
    inputs = Keyboard().feed(b"\x1b[" + b"0" * 100)
    assert _merged(inputs) == [Input(Kind.TEXT, " [" + "0" * 100)]
