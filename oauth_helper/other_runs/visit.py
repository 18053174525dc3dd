"""A visit to the listener of another run: to deliver a redirect, or to ask how its story ended."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
from yarl import URL

from oauth_helper.events import Outcome
from oauth_helper.other_runs.claim import PAUSE
from oauth_helper.other_runs.notice import Notice
from oauth_helper.outcome_document import OutcomeDocumentError, read_outcome
from oauth_helper.phrase import phrase

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3, sock_read=30)
"""Seconds for one question, for its connection, and for each piece of the answer, which is held back for 20."""
_LONGEST: Final = 64 * 1024
"""Characters of what is delivered; with as many, a listener says that they are too many."""
_LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes. An authorization has about one thousand."""


class RunGoneError(Exception):
    """That run has gone without telling how its story ended, or does not answer as a run of ours does."""


async def deliver(notice: Notice, text: str) -> Outcome:
    """Deliver ``text``, which holds the redirect, to the run that ``notice`` is of; return how its story ended.

    Once the text is taken, this waits as :func:`outcome` does.

    Raises:
        RedirectRejectedError: That run says that it is not the redirect it waits for; it waits on.
        RunGoneError: It has gone. Whether it took the text is not known.
    """
    whole = text[:_LONGEST].encode(errors="replace").decode()
    async with _session() as session:
        form = {"redirect": whole, "way": "deliver"}
        told = await _answer(session.post(_address(notice, "/redirect"), data=form, allow_redirects=False))
        return told or await _until_told(session, notice)


async def outcome(notice: Notice) -> Outcome:
    """Wait for the end of the story of the run that ``notice`` is of.

    The wait ends with that run's own deadline; a run that is stopped but not ended stops answering, and is as gone.

    Raises:
        RunGoneError: It has gone.
    """
    async with _session() as session:
        return await _until_told(session, notice)


async def _until_told(session: aiohttp.ClientSession, notice: Notice) -> Outcome:
    while True:
        told = await _answer(session.get(_address(notice, "/outcome"), allow_redirects=False))
        if told:
            return told
        await asyncio.sleep(PAUSE)  # for a run that does not hold its answers back


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json"},
        skip_auto_headers=("User-Agent",),
        timeout=_TIMEOUT,
        trust_env=False,  # no proxy stands between two processes of one machine
    )


def _address(notice: Notice, path: str) -> URL:
    return URL(f"http://127.0.0.1:{notice.port}{path}?k={notice.key.reveal()}", encoded=True)


async def _answer(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Outcome | None:
    try:
        async with request as answer:
            return read_outcome(await _body(answer))
    except (aiohttp.ClientError, OSError, OutcomeDocumentError) as error:  # TimeoutError is an OSError
        # Some of aiohttp's errors show the address, and in it KEY.
        raise RunGoneError(
            phrase("the run that was asked does not answer ({name__})", name__=type(error).__name__)
        ) from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _LARGEST_ANSWER:
            raise OutcomeDocumentError("longer than any")
    return bytes(body)
