"""The addresses of ``/start``: each with a KEY of its own, and who may begin there.

An address that is handed to a program as its argument stands in the list of processes, where every user of the machine
can read it. So it is good once: its first use is exchanged for a cookie, and who comes later has to bear it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from oauth_helper.listener.gate import Path
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from oauth_helper.listener import web

_KEY_BYTES: Final = 32
_LONGEST_WAIT: Final = 3600
"""Seconds that a cookie is good for in the browser: no listener waits longer."""


class Start:
    """One address at which a browser begins.

    While it is held, who opens it waits: a window of ours is being made ready, and the request cannot be taken back
    if that fails. :meth:`lead` lets who waits, and who comes later, go on.
    """

    def __init__(self, origin: str, *, held: bool, good_once: bool, follows: Start | None = None) -> None:
        self.key: Secret = issue_key()
        """KEY."""
        self.address: str = f"{origin}{Path.START}?k={self.key.reveal()}"
        self.is_good_once = good_once
        self.is_spent = False
        """Whether somebody has used the KEY."""
        self.is_revoked: bool = False
        self._onward: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._follows = follows
        """Another address whose lead this one takes."""
        if not held:
            self.lead(None)

    def is_good_for(self, cookie: Cookie, headers: CIMultiDictProxy[str]) -> bool:
        """Whether it is not used up, or who uses it again bears the cookie."""
        return not (self.is_good_once and self.is_spent) or cookie.is_borne_by(headers)

    def lead(self, onward: str | None) -> None:
        """Send whoever asks to ``onward``; to the page, where that is None."""
        if self._onward.done():
            self._onward = asyncio.get_running_loop().create_future()
        self._onward.set_result(onward)

    def lead_again(self, onward: str | None) -> None:
        """Where this led to the Git host, lead to ``onward`` instead; the page stays the page."""
        if self._onward.done() and self._onward.result() is not None:
            self.lead(onward)

    async def onward(self) -> str | None:
        """Wait until it is known where this address leads."""
        return await self._follows.onward() if self._follows else await asyncio.shield(self._onward)

    def revoke(self) -> None:
        """Have nothing for whoever waits."""
        self.is_revoked = True
        self.let_go()

    def let_go(self) -> None:
        """Show the page to whoever still waits."""
        if not self._onward.done():
            self._onward.set_result(None)


class Cookie:
    """What a browser is given for a KEY that is good once.

    One value serves all: a browser that has two of our pages open has one cookie for both.
    """

    def __init__(self, port: int) -> None:
        # Cookies know no ports (RFC 6265 section 8.5): another listener's shall not replace ours.
        self._name = f"oauth-helper-{port}"
        self._value = issue_key()

    def is_borne_by(self, headers: CIMultiDictProxy[str]) -> bool:
        """Whether a request bears it, be it beside one of that name which another port has set."""
        values = (value for name, value in _pairs(headers.getall("Cookie", [])) if name == self._name)
        return any(self._value.matches(value) for value in values)

    def give(self, answer: web.StreamResponse) -> None:
        """Have the browser keep it.

        Lax, not Strict: a browser that comes back to us by a redirect from another site must bear it (RFC 6265bis
        section 5.5.7.1).
        """
        answer.set_cookie(self._name, self._value.reveal(), max_age=_LONGEST_WAIT, httponly=True, samesite="Lax")

    def take_back(self, answer: web.StreamResponse) -> None:
        """Have the browser forget it: another program may have our port next."""
        answer.del_cookie(self._name)


def _pairs(headers: Iterable[str]) -> Iterable[tuple[str, str]]:
    for header in headers:
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            yield name, value


class Starts:
    """All addresses of one story."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._by_key: dict[Secret, Start] = {}

    @property
    def keys(self) -> dict[Secret, Start]:
        """The KEYs, those included that are given out later."""
        return self._by_key

    def add(self, *, held: bool = False, good_once: bool = True, follows: Start | None = None) -> Start:
        """Return a new one, which leads where ``follows`` does. Need not be good once if no other user can read it."""
        start = Start(self._origin, held=held, good_once=good_once, follows=follows)
        self._by_key[start.key] = start
        return start

    def revoke(self, start: Start) -> None:
        """Let nobody begin there any more."""
        del self._by_key[start.key]
        start.revoke()

    def unused(self, last: Start | None, *, follows: Start | None = None) -> Start:
        """Return ``last``, or a new one if that is used up: repeated requests get the same address."""
        return last if last and not last.is_spent else self.add(follows=follows)

    def lead_again(self, onward: str | None) -> None:
        """See :meth:`Start.lead_again`."""
        for start in self._by_key.values():
            start.lead_again(onward)

    def let_go(self) -> None:
        """Hold nobody any longer: whatever was made ready for them will not come."""
        for start in self._by_key.values():
            start.let_go()


class Lasting:
    """What stays when one story follows another: a browser that was let in, and a tab that was sent on, stay so."""

    def __init__(self, port: int) -> None:
        self.cookie: Cookie = Cookie(port)
        self.done_key: Secret = issue_key()
        """Opens the final page and nothing else."""
        self._stories = 0

    @property
    def done_target(self) -> str:
        """The final page's path, with the key."""
        return f"{Path.DONE}?k={self.done_key.reveal()}"

    def next_story(self) -> int:
        """Return the number of one more story."""
        self._stories += 1
        return self._stories


def issue_key() -> Secret:
    """Return a new key of 256 bits."""
    return Secret(secrets.token_urlsafe(_KEY_BYTES))
