"""Asks a server that is not the sandbox's own for a JSON object, and believes nothing of what comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from oauth_helper.errors import UnreachableError, UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable

HINT: Final = phrase(
    "Give --git-host the issuer of an OpenID provider that is running, such as https://git.example.com."
)

_LARGEST_ANSWER: Final = 256 * 1024
"""Bytes."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
"""Seconds."""

Answer = tuple[int, Mapping[str, object]]
"""The status, and the object."""


def open_session() -> aiohttp.ClientSession:
    """Return a session for it: direct, as all that it asks was named by who runs the sandbox; a connection a request.

    A token request is not sent again, so it must not meet a kept connection that the server is just closing.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=_TIMEOUT)


async def fetch_object(
    session: aiohttp.ClientSession,
    address: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Return what ``address`` answers to a GET, or to a POST of ``form``. No redirect is followed.

    Raises:
        UnreachableError: There was no answer, or it broke off.
        UnusableAnswerError: It is no JSON object, or a huge one.
    """
    try:
        async with session.request(
            "GET" if form is None else "POST",
            URL(address, encoded=True),
            headers={"Accept": "application/json", **(headers or {})},
            data=form,
            allow_redirects=False,
        ) as response:
            return response.status, _object(await _read(response.content), address, response.status)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        # Not the exception itself: it may hold what was sent.
        raise UnreachableError(
            phrase("The Git host gave no answer at {address} ({why})", address=shown(address), why=_why(error)),
            sent=not isinstance(error, aiohttp.ClientConnectorError),
            hint=HINT,
        ) from None


def shown(address: str) -> str:
    """Return an address as a message shows it."""
    return presentable(address)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) <= _LARGEST_ANSWER and (piece := await stream.readany()):
        body += piece
    return bytes(body)


def _object(body: bytes, address: str, status: int) -> Mapping[str, object]:
    try:
        found = json.loads(body) if len(body) <= _LARGEST_ANSWER else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnusableAnswerError(
            phrase("What the Git host answers at {address} is no JSON object", address=shown(address)),
            sent=True,
            status=status,
            hint=HINT,
        )
    return found


def _why(error: Exception) -> Phrase | str:
    if isinstance(error, TimeoutError):  # pragma: no cover - a test would have to wait for as long
        return phrase("none within {seconds:g} s", seconds=_TIMEOUT.total)
    return presentable(getattr(error, "strerror", None) or type(error).__name__)
