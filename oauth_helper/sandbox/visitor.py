"""Plays the user over HTTP, where there is no browser: consents, signs in, and brings the redirect back.

The visitor knows no address and no field of the sandbox's: it presses buttons as a user would.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, CookieJar
from yarl import URL

from oauth_helper.errors import MachineError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.sandbox.reading import Button, Form, PageReader

TIME_LIMIT: Final = 90.0
"""Seconds for the whole play. The listener answers the last form after the exchange, which may take 30 s."""
_PAGES_LIMIT: Final = 5
"""Forms between the listener's link and the redirect: the consent, the sign-in, and some to spare."""
_HINT: Final = phrase("Open the address in a browser instead.")


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as the visitor sees it."""

    address: URL = field(repr=False)
    links: dict[str, str] = field(repr=False)
    forms: list[Form]


async def play_user(start_address: str, *, time_limit: float = TIME_LIMIT) -> None:
    """Play the user of the listener at ``start_address`` (``/start?k=KEY``), who chooses Authorize.

    Returns once the listener has taken the redirect; how the exchange ended is the listener's to tell. The whole
    play may last ``time_limit`` seconds.

    Raises:
        MachineError: A page was not what a user could have gone on with, or the play took too long.
    """
    try:
        async with (
            asyncio.timeout(time_limit),
            # The servers are at IP addresses, whose cookies a jar keeps only when it is told to; and the address
            # where it all ends is to be brought back as the Git host wrote it.
            ClientSession(cookie_jar=CookieJar(unsafe=True), requote_redirect_url=False) as session,
        ):
            await _play(session, URL(start_address))
    except TimeoutError:
        raise MachineError(
            phrase("The sandbox's visitor was not done after {time_limit:g} s", time_limit=time_limit), hint=_HINT
        ) from None
    except (ClientError, ValueError) as error:
        # Neither its text nor the exception itself: they may hold an address, with KEY, code or state in it.
        raise _stuck(phrase("it met a {name__}", name__=type(error).__name__)) from None


async def _play(session: ClientSession, start: URL) -> None:
    listener = await _open(session, start)
    link = listener.links.get("authorize")
    if link is None:
        raise _stuck(phrase("the listener's page has no link to the Git host"))
    box = next((form for form in listener.forms if form.method == "post" and "redirect" in form.fields), None)
    if box is None:
        raise _stuck(phrase("the listener's page has no form for the redirect"))
    page = await _open(session, listener.address.join(URL(link)))
    for _ in range(_PAGES_LIMIT):
        if not {"code", "error"}.isdisjoint(page.address.query):
            break
        page = await _consent(session, page)
    else:
        raise _stuck(phrase("the Git host and the console never came to an end"))
    await _send(session, listener, box, {**box.press(None), "redirect": str(page.address)})


async def _consent(session: ClientSession, page: _Page) -> _Page:
    """Press Authorize where there is such a button, else the first one: there it is a sign-in."""
    form = next((form for form in page.forms if form.method == "post" and form.buttons), None)
    if form is None:
        raise _stuck(phrase("a page on the way has no form to go on with"))
    return await _send(session, page, form, form.press(_choose(form.buttons)))


def _choose(buttons: list[Button]) -> Button:
    return next((button for button in buttons if button.label.strip().casefold() == "authorize"), buttons[0])


async def _open(session: ClientSession, address: URL) -> _Page:
    async with session.get(address) as response:
        return await _read(response)


async def _send(session: ClientSession, page: _Page, form: Form, fields: dict[str, str]) -> _Page:
    # An empty action is the page's own address (WHATWG HTML section 4.10.21.3).
    async with session.post(page.address.join(URL(form.action)), data=fields) as response:
        return await _read(response)


async def _read(response: ClientResponse) -> _Page:
    if not response.ok:
        raise _stuck(phrase("a page was answered with status {status}", status=response.status))
    reader = PageReader.read(await response.text())
    return _Page(response.real_url, reader.links, reader.forms)


def _stuck(reason: Phrase) -> MachineError:
    return MachineError(phrase("The sandbox's visitor cannot go on: {reason}", reason=reason), hint=_HINT)
