"""Target: a genuine redirect in any wrapping. Its own code comes out or none: a wrong one would use up the state."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from redirect_cases import CONSOLE, ENCODED_STATE, REQUEST

from fuzz.redirect_targets import BETWEEN
from fuzz.target import Target, any_text
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.redirect.pasted_text import _EQUALS

_CODES: Final = ("abc123", "9fae923d5a4fd12aabfe", "4/0Ab_5-q", "A.b~c_d-E" * 7, "0" * 64)
_BREAKS: Final = ("\n", "\r\n", "\n  ", "  \n", "\\\n", "\n> ", "\n| ")
_QUOTES: Final = (
    *(("", ""), ('"', '"'), ("<", ">"), ("(", ")"), ("`", "`"), ("“", "”"), ("‘", "’"), ("'", "'"), ("[x](", ")")),
    *(("「", "」"), ("**", "**"), ("\x1b[200~", "\x1b[201~")),
)
_SEPARATORS: Final = (" ", "\n\n", "\t", "\r\n\r\n")
_HEAD: Final = 6
"""Bytes that say how to wrap; behind them stand the text before and the text after, with NUL between."""


def _pick(options: tuple[str, ...], number: int) -> str:
    return options[number % len(options)]


def wrapped(data: bytes) -> tuple[str, str]:
    """Return the code, and the text to paste."""
    head, rest = data[:_HEAD].ljust(_HEAD, b"\0"), any_text(data[_HEAD:])
    code = _pick(_CODES, head[0])
    parameters = (f"code={quote(code, safe='')}", f"state={ENCODED_STATE}")
    address = "&".join((CONSOLE, *(parameters if head[1] % 2 else parameters[::-1])))
    for _ in range(head[1] // 2 % 3):
        address = f"https://id.example/auth?x=1&service={quote(address, safe='')}"
    if width := head[2] % 128:
        size = width + 20
        address = _pick(_BREAKS, head[3]).join(address[at : at + size] for at in range(0, len(address), size))
    opening, closing = _QUOTES[head[4] % len(_QUOTES)]
    before, _, after = _EQUALS.sub("", _EQUALS.sub("", rest)).partition("\0")
    after = re.sub(
        f"^(?:{BETWEEN.pattern})+", "", after
    )  # a word on the very next line cannot be told from the rest of a wrapped code
    parts = (before, _pick(_SEPARATORS, head[5]), opening, address, closing, _pick(_SEPARATORS, head[5] // 16), after)
    return code, "".join(parts)


def check_wrapped(data: bytes) -> None:
    """The code that was wrapped comes out, or the text is refused."""
    code, text = wrapped(data)
    try:
        response = REQUEST.judge(text)
    except RedirectRejectedError:
        return
    assert response.code.reveal() == code, (response.code.reveal(), text)


TARGETS: Final = {
    "wrapped": Target(
        check_wrapped,
        (
            b"\x00\x00\x00\x00\x00\x00",
            b"\x01\x01\x3c\x00\x01\x00Here it is:\x00thanks",
            b"\x02\x02\x28\x05\x02\x11\xe5\x9c\xb0\x00.",
            b"\x03\x05\x50\x04\x08\x01\x00\n$ ",
        ),
        (
            *(
                b"\x00",
                b"\n",
                b"\n\n",
                b"\r\n",
                b" ",
                b"$ ",
                b"> ",
                b"\\",
                b"|",
                b"#",
                b"&",
                b"?",
                b"https://",
                b"http://a",
            ),
            *(
                b"http://a?b",
                b'"',
                b"'",
                b")",
                b"]",
                b".",
                b",",
                b"\xe3\x80\x82",
                b"\xe2\x80\x8b",
                b"\x1b[0m",
                b"%20",
                b"%",
            ),
        ),
        longest=256,
    ),
}
