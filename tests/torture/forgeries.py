"""Responses that are not genuine, and genuine ones at the wrong time."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from torture.attacker import Attacker
from torture.callback import STOLEN

SCRIPT = "<script>alert(1)</script>"
LINE_BREAK = "a\r\nX-Injected: 1\r\n\r\n<b>"
ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m"
LONG = "a" * 100_000
_FIELDS = ("code", "state", "error", "error_description", "error_uri", "iss", "scope")
"""What a provider fills in (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207)."""


async def forged_error(attacker: Attacker) -> None:
    await attacker.say(attacker.callback.request("error=access_denied&error_description=no"))


async def forged_code(attacker: Attacker) -> None:
    await attacker.say(attacker.callback.request("code=forged-code"))
    await attacker.say(attacker.callback.request(attacker.callback.forged))


async def wrong_state_at_full_speed(attacker: Attacker) -> None:
    callback = attacker.callback
    forged = (callback.request(callback.response(code=f"c{n}", state=f"s{n}")) for n in range(10_000))
    await attacker.flood(forged, connections=4, seconds=30)


async def duplicated_parameters(attacker: Attacker) -> None:
    """RFC 6749 section 3.1: response parameters must not be included more than once."""
    callback = attacker.callback
    await attacker.say(callback.request(f"{callback.stolen}&code={STOLEN}-again"))
    await attacker.say(callback.request(f"{callback.stolen}&state=another"))


async def earlier_attempt(attacker: Attacker) -> None:
    assert attacker.earlier
    await attacker.say(attacker.callback.request(attacker.earlier))


async def after_the_end(attacker: Attacker) -> None:
    callback = attacker.callback
    await attacker.say(callback.request(callback.stolen))
    await attacker.say(callback.request(callback.response(error="access_denied")))
    await attacker.say(callback.request(callback.forged))


async def line_break_in_each_field(attacker: Attacker) -> None:
    await _in_each_field(attacker, LINE_BREAK)


async def script_in_each_field(attacker: Attacker) -> None:
    await _in_each_field(attacker, SCRIPT)


async def escape_codes_in_each_field(attacker: Attacker) -> None:
    await _in_each_field(attacker, ESCAPE)


async def long_text_in_each_field(attacker: Attacker) -> None:
    await _in_each_field(attacker, LONG)


async def _in_each_field(attacker: Attacker, text: str) -> None:
    for field in _FIELDS:
        response = {"error" if field.startswith("error") else "code": "forged", "state": "forged"} | {field: text}
        await attacker.say(attacker.callback.request(urlencode(response, quote_via=quote)))
