"""What becomes of a request that was let in: a page, or a redirect handed to the story."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import web

from oauth_helper.errors import OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Failed, Way
from oauth_helper.listener.gate import Gate, Path
from oauth_helper.listener.pages import Page, Pages
from oauth_helper.listener.promises import Promises
from oauth_helper.listener.start import Start, issue_done_key
from oauth_helper.outcome_document import write_outcome, write_rejection
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from oauth_helper.authorization import RepoType
    from oauth_helper.events import Outcome

_STOPPED: Final = Failed(OutcomeUnknownError("oauth-helper was stopped before the outcome was known."))
_TOO_LONG: Final = RedirectRejectedError("too-long", "That is longer than any address.")
_UNREADABLE: Final = RedirectRejectedError("unreadable", "What was sent could not be read.")


class RedirectDesk(Protocol):
    """What the listener needs of the story it serves."""

    @property
    def authorization_url(self) -> str:
        """Where the user goes to consent. Bears the state."""

    @property
    def repo_type(self) -> RepoType:
        """The kind of Git host that is being linked."""

    @property
    def has_redirect(self) -> bool:
        """Whether a redirect is in hand."""

    def judge(self, text: str, way: Way) -> None:
        """Return if ``text``, which a user pasted, holds the redirect that is waited for, consent or denial.

        Raises:
            RedirectRejectedError: It does not. The wait goes on.
        """

    def judge_query(self, query: str, way: Way) -> None:
        """Judge a request to the redirect's path by its raw query, nothing searched for and nothing unwrapped.

        Raises:
            RedirectRejectedError: It is not the redirect that is waited for. The wait goes on.
        """

    async def outcome(self) -> Outcome:
        """Wait for the end of the story. May be awaited by many at once."""


class Reception:
    """Answers requests for one story, and knows whether it still owes anyone an answer."""

    def __init__(self, desk: RedirectDesk, authority: str, *, patience: float) -> None:
        self._desk = desk
        self._origin = f"http://{authority}"
        self._patience = patience
        self._starts: dict[Secret, Start] = {}
        self._done_key = issue_done_key()
        self._gate = Gate(authority, self._starts, self._done_key)
        self._pages = Pages(desk.repo_type, desk.authorization_url, done_key=self._done_key)
        self._outcome = asyncio.create_task(desk.outcome(), name="outcome, for the listener's pages")
        self._again: Start | None = None
        self._started_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._promises = Promises()

    @property
    def done_address(self) -> str:
        """The final page's address, for who holds a redirect and has a tab to send on."""
        return f"{self._origin}{self._done_target}"

    def start(self, *, held: bool) -> Start:
        """Return a new address to begin at."""
        start = Start(self._origin, held=held)
        self._starts[start.key] = start
        return start

    def start_over(self, onward: str | None) -> Start:
        """Send whoever waits for the end to the desk's new authorization URL; return where they begin again.

        With ``onward`` tabs that were led to the Git host are led there at once, as they are watched; else they see
        the page.
        """
        self._pages = Pages(self._desk.repo_type, self._desk.authorization_url, done_key=self._done_key)
        for start in self._starts.values():
            start.lead_again(onward)
        self._again = self.start(held=False)
        self._again.lead(onward)
        self._started_over.set_result(None)
        self._started_over = asyncio.get_running_loop().create_future()
        return self._again

    async def settled(self) -> None:
        """Wait until everyone has an answer, and has fetched the final page or document where that was promised."""
        await self._promises.kept()

    def stop(self) -> None:
        """Give up waiting for the outcome: who still waits is told that it is not known."""
        self._outcome.cancel()

    def let_go(self) -> None:
        """Hold nobody any longer: whatever was made ready for them will not come."""
        for start in self._starts.values():
            start.let_go()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        refusal = self._gate.refusal(request.method, request.raw_path, request.headers)
        if refusal is not None:
            return web.Response(status=refusal)
        self._promises.owe(answers=1)
        try:
            return await self._route(request)
        finally:
            self._promises.owe(answers=-1)

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        match Path(path):
            case Path.START:
                return await self._begin(self._starts[_key_in(query)])
            case Path.REDIRECT:
                return await self._pasted(request, _key_in(query))
            case Path.DIRECT:
                return await self._direct(query)
            case Path.DONE:
                self._promises.owe(pages=-1)
                if self._desk.has_redirect:
                    await self._end()
                return self._final()
            case Path.OUTCOME:
                self._promises.owe(documents=-1)
                await self._end()
                return self._document(request)

    async def _begin(self, start: Start) -> web.Response:
        is_first, start.was_asked = not start.was_asked, True
        onward = await start.onward()
        if self._desk.has_redirect or self._outcome.done():
            return self._see_done()
        if onward is None:
            return _show(self._pages.start(start.key.reveal()))
        # A navigation that began before interception was armed is not held when it is redirected (tried with
        # Chromium 156): the first one ends here, and a page begins the next.
        return _show(self._pages.onward(onward)) if is_first else _see_other(onward)

    async def _pasted(self, request: web.BaseRequest, key: Secret) -> web.Response:
        try:
            async with asyncio.timeout(self._patience):
                form = await request.post()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, key, _TOO_LONG, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except (OSError, ValueError, LookupError, web.HTTPException, web.RequestPayloadError):
            # Too slow, cut off, not in its own format or charset, or with too many fields.
            return self._refuse(request, key, _UNREADABLE)
        text = form.get("redirect")
        way = Way.DELIVER if form.get("way") == Way.DELIVER else Way.PAGE
        try:
            self._desk.judge(text if isinstance(text, str) else "", way)
        except RedirectRejectedError as rejection:
            return self._refuse(request, key, rejection)
        await self._end()
        return self._document(request) if _wants_document(request) else self._final()

    def _refuse(
        self,
        request: web.BaseRequest,
        key: Secret,
        rejection: RedirectRejectedError,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> web.Response:
        if _wants_document(request):
            return web.json_response(text=write_rejection(rejection), status=status)
        return _show(self._pages.start(key.reveal(), rejection.reason), status)

    async def _direct(self, query: str) -> web.Response:
        try:
            self._desk.judge_query(query, Way.DIRECT)
        except RedirectRejectedError as rejection:
            return _show(self._pages.stray(rejection.reason), HTTPStatus.BAD_REQUEST)
        await self._end()
        return self._see_done()

    async def _end(self) -> None:
        either: set[asyncio.Future[Any]] = {self._outcome, self._started_over}
        await asyncio.wait(either, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)

    def _see_done(self) -> web.Response:
        """Take the code out of address bar and history (RFC 9700 sections 4.3.1 and 4.12: 303, never 307)."""
        self._promises.owe(pages=1)
        return _see_other(self._done_target)

    @property
    def _done_target(self) -> str:
        return f"{Path.DONE}?k={self._done_key.reveal()}"

    def _final(self) -> web.Response:
        known = self._known()
        if known is None:
            if self._again and not self._desk.has_redirect:
                return _see_other(self._again.address)
            self._promises.owe(pages=1)
        return _show(self._pages.final(known))

    def _document(self, request: web.BaseRequest) -> web.Response:
        known = self._known()
        if known is None and request.transport:  # who has left while it waited will not come back
            self._promises.owe(documents=1)
        return web.json_response(text=write_outcome(known))

    def _known(self) -> Outcome | None:
        if not self._outcome.done():
            return None
        return _STOPPED if self._outcome.cancelled() else self._outcome.result()


def _wants_document(request: web.BaseRequest) -> bool:
    """Whether another run of ours asks: no browser names this type alone when it moves a tab."""
    return request.headers.get("Accept") == "application/json"


def _see_other(target: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": target})


def _key_in(query: str) -> Secret:
    """Return the KEY of a request that the gate let in."""
    return Secret(query.partition("=")[2])


def _show(page: Page, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        status=status,
        text=page.html,
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": page.policy},
    )
