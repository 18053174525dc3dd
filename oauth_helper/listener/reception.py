"""What becomes of a request that was let in: a page, or a redirect handed to the story."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from oauth_helper.errors import OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Failed, Stray, Way
from oauth_helper.listener.answers import see_other, show, wants_document
from oauth_helper.listener.gate import Gate, Path
from oauth_helper.listener.pages import Pages
from oauth_helper.listener.peer import is_another_users
from oauth_helper.listener.promises import Promises
from oauth_helper.listener.start import Lasting, Start, Starts
from oauth_helper.outcome_document import write_outcome, write_rejection
from oauth_helper.phrase import phrase
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from oauth_helper.events import Outcome
    from oauth_helper.listener.redirect_desk import RedirectDesk

_STOPPED: Final = Failed(OutcomeUnknownError(phrase("oauth-helper was stopped before the outcome was known")))
_TOO_LONG: Final = RedirectRejectedError("too-long", phrase("That is longer than any address"))
_UNREADABLE: Final = RedirectRejectedError("unreadable", phrase("What was sent could not be read"))


class Reception:
    """Answers requests for one story, and knows whether it still owes anyone an answer."""

    def __init__(
        self,
        desk: RedirectDesk,
        authority: str,
        lasting: Lasting,
        *,
        patience: float,
        more_to_come: bool = False,
        is_next: bool = False,
    ) -> None:
        self._desk = desk
        self._origin = f"http://{authority}"
        self._patience = patience
        self._more_to_come = more_to_come
        self.starts: Starts = Starts(self._origin)
        self._cookie, self._done_key = lasting.cookie, lasting.done_key
        self._gate = Gate(authority, self.starts.keys, self._done_key)
        self._pages = Pages(desk.repo_type, desk.authorization_url, done_key=self._done_key)
        self._outcome = asyncio.create_task(desk.outcome(), name="outcome, for the listener's pages")
        self.again = self.starts.add(held=True, good_once=False) if is_next else None
        """Where tabs go on that wait for the end of another story than this one, or of an earlier try at it."""
        self._after_second_use: Start | None = None
        self._private_window: Start | None = None
        self._started_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._promises = Promises()

    @property
    def done_address(self) -> str:
        """The final page's address, for who holds a redirect and has a tab to send on."""
        return f"{self._origin}{self._done_target}"

    def start_over(self, onward: str | None) -> Start:
        """Send whoever waits for the end to the desk's new authorization URL; return where another one can begin.

        With ``onward`` tabs that were led to the Git host are led there at once, as they are watched; else they see
        the page.
        """
        self._pages = Pages(self._desk.repo_type, self._desk.authorization_url, done_key=self._done_key)
        self.starts.lead_again(onward)
        self.again = self.starts.add(good_once=False)  # Nobody but those tabs learns of it.
        self.again.lead(onward)
        self._started_over.set_result(None)
        self._started_over = asyncio.get_running_loop().create_future()
        return self.starts.add()

    async def settled(self) -> None:
        """Wait until everyone has an answer, and has fetched the final page or document where that was promised."""
        await self._promises.kept()

    def stop(self) -> None:
        """Give up waiting for the outcome: who still waits is told that it is not known."""
        self._outcome.cancel()

    def ignore(self, stray: Stray) -> None:
        """Count a request that got no further."""
        self._desk.ignore(stray)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        refusal = self._gate.refusal(request.method, request.raw_path, request.headers)
        if refusal is not None:
            self.ignore(refusal.stray)
            return web.Response(status=refusal.status)
        self._promises.owe(answers=1)
        try:
            return await self._route(request)
        finally:
            self._promises.owe(answers=-1)

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        match Path(path):
            case Path.DIRECT:
                return await self._direct(query)
            case Path.DONE:
                self._promises.owe(pages=-1)
                if self._desk.has_redirect:
                    await self._end()
                return self._final(request)
            case with_key:
                start = self.starts.keys[Secret(query.partition("=")[2])]
                return await self._admit(request, with_key, start)

    async def _admit(self, request: web.BaseRequest, path: Path, start: Start) -> web.Response:
        if not start.is_good_for(self._cookie, request.headers):
            return self._already_opened()
        if _is_another_users(request):
            self.ignore(Stray.OTHER_USER)
            return show(self._pages.other_user(), HTTPStatus.NOT_FOUND)
        is_first, start.is_spent = not start.is_spent, True
        if path is Path.START:
            answer = await self._begin(start, is_first=is_first)
        elif path is Path.REDIRECT:
            answer = await self._pasted(request, start.key)
        else:
            self._promises.owe(documents=-1)
            await self._end()
            answer = self._document(request)
        if start.is_good_once and not self._outcome.done():
            self._cookie.give(answer)
        return answer

    def _already_opened(self) -> web.Response:
        self.ignore(Stray.ALREADY_OPENED)
        last, self._after_second_use = self._after_second_use, self.starts.unused(self._after_second_use)
        if self._after_second_use is not last:
            self._desk.warn_of_second_use(self._after_second_use.address)
        return show(self._pages.already_opened(), HTTPStatus.NOT_FOUND)

    async def _begin(self, start: Start, *, is_first: bool) -> web.Response:
        self._desk.visit()
        onward = await start.onward()
        if start.is_revoked:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if self._desk.has_redirect or self._outcome.done():
            return self._see_done()
        if onward is None:
            return self._page(start.key)
        # A navigation that began before interception was armed is not held when it is redirected (tried with
        # Chromium 156): the first one ends here, and a page begins the next.
        return show(self._pages.onward(onward)) if is_first else see_other(onward)

    def _page(self, key: Secret, reason: str | None = None, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        # A private window has cookies of its own, so it needs an address of its own.
        self._private_window = self.starts.unused(self._private_window)
        elsewhere = self._private_window.key.reveal()
        return show(self._pages.start(key.reveal(), elsewhere=elsewhere, reason=reason), status)

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
        return self._document(request) if wants_document(request) else self._final(request)

    def _refuse(
        self,
        request: web.BaseRequest,
        key: Secret,
        rejection: RedirectRejectedError,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> web.Response:
        if wants_document(request):
            return web.json_response(text=write_rejection(rejection), status=status)
        return self._page(key, rejection.reason, status)

    async def _direct(self, query: str) -> web.Response:
        try:
            self._desk.judge_query(query, Way.DIRECT)
        except RedirectRejectedError as rejection:
            return show(self._pages.stray(rejection.reason), HTTPStatus.BAD_REQUEST)
        await self._end()
        return self._see_done()

    async def _end(self) -> None:
        either: set[asyncio.Future[Any]] = {self._outcome, self._started_over}
        await asyncio.wait(either, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)

    def _see_done(self) -> web.Response:
        """Take the code out of address bar and history (RFC 9700 section 4.3.1)."""
        self._promises.owe(pages=1)
        return see_other(self._done_target)

    @property
    def _done_target(self) -> str:
        return f"{Path.DONE}?k={self._done_key.reveal()}"

    def _final(self, request: web.BaseRequest) -> web.Response:
        known = self._known()
        if known is None:
            if self.again and not self._desk.has_redirect:
                return see_other(self.again.address)
            self._promises.owe(pages=1)
        page = show(self._pages.final(known, more_to_come=self._more_to_come))
        is_end = known is not None and not self._more_to_come
        if is_end and self._cookie.is_borne_by(request.headers):
            self._cookie.take_back(page)
        return page

    def _document(self, request: web.BaseRequest) -> web.Response:
        known = self._known()
        if known is None and request.transport:  # who has left while it waited will not come back
            self._promises.owe(documents=1)
        return web.json_response(text=write_outcome(known))

    def _known(self) -> Outcome | None:
        if not self._outcome.done():
            return None
        return _STOPPED if self._outcome.cancelled() else self._outcome.result()


def _is_another_users(request: web.BaseRequest) -> bool:
    transport = request.transport
    return transport is None or is_another_users(
        transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    )
