"""What becomes of a request that was let in: a page, or a redirect handed to the story."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.events import Stray, Way
from oauth_helper.listener import web
from oauth_helper.listener.answers import (
    attempt_shown,
    go_on,
    is_browser,
    nothing_yet,
    see_other,
    show,
    wants_document,
    was_promised,
)
from oauth_helper.listener.finale import Finale
from oauth_helper.listener.form import TOO_LONG, read_form
from oauth_helper.listener.gate import Gate, Path
from oauth_helper.listener.pages import Pages, PagesByLanguage
from oauth_helper.listener.peer import is_held_by_another
from oauth_helper.listener.promises import Promises
from oauth_helper.listener.start import Lasting, Start, Starts
from oauth_helper.outcome_document import write_outcome, write_rejection
from oauth_helper.secret import Secret

if TYPE_CHECKING:
    from oauth_helper.language import Preference
    from oauth_helper.listener.redirect_desk import RedirectDesk

_GLIMPSE: Final = 2.0
"""Seconds that a tab shows nothing, in the hope of the end: most exchanges take less. Then a page says what goes on."""
_HEAD_START: Final = 0.02
"""Seconds before the browser that brought the redirect is answered: what it asks next is not to delay the exchange."""


class Reception:
    """Answers requests for one story, and knows whether it still owes anyone an answer."""

    def __init__(
        self,
        desk: RedirectDesk,
        authority: str,
        lasting: Lasting,
        *,
        patience: float,
        preference: Preference,
        more_to_come: bool = False,
        is_next: bool = False,
    ) -> None:
        self._desk = desk
        self._origin = f"http://{authority}"
        self._patience = patience
        self._preference = preference
        self._more_to_come = more_to_come
        self.starts: Starts = Starts(self._origin)
        self._lasting, self._cookie = lasting, lasting.cookie
        self._gate = Gate(authority, self.starts.keys, lasting.done_key)
        self._finale = Finale(desk, story=lasting.next_story())
        self._pages = self._pages_now()
        self.again = self.starts.add(held=True) if is_next else None
        """Where tabs go on that wait for the end of another story than this one, or of an earlier try at it. Its own
        KEY is given to no tab (see :meth:`_again_address`)."""
        self._for_next_tab: Start | None = None
        self._after_second_use: Start | None = None
        self._private_window: Start | None = None
        self._promises = Promises()

    @property
    def done_address(self) -> str:
        """The final page's address, for who holds a redirect and has a tab to send on."""
        return f"{self._origin}{self._lasting.done_target}"

    def start_over(self, onward: str | None) -> Start:
        """Send whoever waits for the end to the desk's new authorization URL; return where another one can begin.

        With ``onward`` tabs that were led to the Git host are led there at once, as they are watched; else they see
        the page.
        """
        self._finale.start_over()
        self._pages = self._pages_now()
        self.starts.lead_again(onward)
        self.again, self._for_next_tab = self.starts.add(), None
        self.again.lead(onward)
        return self.starts.add()

    async def settled(self) -> None:
        """Wait until everyone has an answer, and has fetched the final page or document where that was promised."""
        await self._promises.kept()

    async def stop(self) -> None:
        """Wait for the outcome no longer: who still does is told that it is not known, unless it is."""
        await self._finale.give_up()

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
            path, _, query = request.raw_path.partition("?")
            start = self.starts.keys.get(Secret(query.partition("=")[2]))
            return await self._refused(request, start) or await self._admit(request, Path(path), query, start)
        finally:
            self._promises.owe(answers=-1)

    async def _refused(self, request: web.BaseRequest, start: Start | None) -> web.Response | None:
        """Refuse a KEY that was used up, and another user on every path. The gate has decided about all else."""
        is_another_users = await is_held_by_another(request.transport)
        # Nothing is awaited between this check and the use of the KEY, so that two requests cannot both be the first.
        if start and not start.is_good_for(self._cookie, request.headers):
            return self._already_opened(request)
        if is_another_users:
            self.ignore(Stray.OTHER_USER)
            return show(self._speaking(request).other_user(), HTTPStatus.NOT_FOUND)
        return None

    async def _admit(self, request: web.BaseRequest, path: Path, query: str, start: Start | None) -> web.Response:
        if path is Path.DIRECT:
            return await self._direct(request, query)
        if start is None:  # DONEKEY, the only key that belongs to no start
            return await self._done(request)
        is_first, start.is_spent = not start.is_spent, True
        if path is Path.START:
            answer = await self._begin(request, start, is_first=is_first)
        elif path is Path.REDIRECT:
            answer = await self._pasted(request, start.key)
        else:
            self._promises.owe(documents=-1)
            await self._finale.wait(self._patience)
            answer = self._document(request)
        if start.is_good_once and not self._finale.is_known:
            self._cookie.give(answer)
        return answer

    def _already_opened(self, request: web.BaseRequest) -> web.Response:
        self.ignore(Stray.ALREADY_OPENED)
        last, self._after_second_use = self._after_second_use, self.starts.unused(self._after_second_use)
        if self._after_second_use is not last:
            self._desk.warn_of_second_use(self._after_second_use.address)
        return show(self._speaking(request).already_opened(), HTTPStatus.NOT_FOUND)

    async def _begin(self, request: web.BaseRequest, start: Start, *, is_first: bool) -> web.Response:
        self._desk.visit()
        onward = await start.onward()
        if start.is_revoked:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if self._desk.has_redirect or self._finale.is_known:
            return self._see_done()
        if onward is None:
            return self._page(request, start.key)
        # A navigation that began before interception was armed is not held when it is redirected (tried with
        # Chromium 156): the first one ends here, and a page begins the next.
        return show(self._speaking(request).onward(onward)) if is_first else see_other(onward)

    def _page(
        self, request: web.BaseRequest, key: Secret, reason: str | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> web.Response:
        # A private window has cookies of its own, so it needs an address of its own.
        self._private_window = self.starts.unused(self._private_window)
        elsewhere = self._private_window.key.reveal()
        return show(self._speaking(request).start(key.reveal(), elsewhere=elsewhere, reason=reason), status)

    async def _pasted(self, request: web.BaseRequest, key: Secret) -> web.Response:
        try:
            text, way = await read_form(request, self._patience)
            self._desk.judge(text, way)
        except RedirectRejectedError as rejection:
            return self._refuse(request, key, rejection)
        await self._finale.wait(self._patience)
        return self._document(request) if wants_document(request) else self._final(request)

    def _refuse(self, request: web.BaseRequest, key: Secret, rejection: RedirectRejectedError) -> web.Response:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if rejection is TOO_LONG else HTTPStatus.BAD_REQUEST
        if wants_document(request):
            return web.json_response(text=write_rejection(rejection), status=status)
        return self._page(request, key, rejection.reason, status)

    async def _direct(self, request: web.BaseRequest, query: str) -> web.Response:
        try:
            self._desk.judge_query(query, Way.DIRECT)
        except RedirectRejectedError as rejection:
            return show(self._speaking(request).stray(rejection.reason), HTTPStatus.BAD_REQUEST)
        # A browser's address bar is to be rid of the code soon.
        await self._finale.wait(min(_HEAD_START, self._patience) if is_browser(request) else self._patience)
        return self._see_done()

    def _see_done(self) -> web.Response:
        """Take the code out of address bar and history (RFC 9700 section 4.3.1)."""
        self._promises.owe(pages=1)
        return see_other(self._lasting.done_target)

    async def _done(self, request: web.BaseRequest) -> web.Response:
        attempt = attempt_shown(request)
        if was_promised(request):
            self._promises.owe(pages=-1)
        if attempt is None:
            if self._desk.has_redirect:
                await self._finale.wait(self._glimpse(request))
            return self._final(request)
        if attempt == self._finale.attempt:
            await self._finale.wait(self._patience)
        if attempt != self._finale.attempt and self.again:
            return go_on(self._again_address(self.again), self._finale.attempt)
        if not self._finale.is_known and request.transport:  # who has left while it waited will not come back
            self._promises.owe(pages=1)
        return self._told(request) if self._finale.is_known or self._desk.has_redirect else nothing_yet()

    def _final(self, request: web.BaseRequest) -> web.Response:
        if not self._finale.is_known:
            if self.again and not self._desk.has_redirect:
                return see_other(self._again_address(self.again))
            self._promises.owe(pages=1)
        return self._told(request)

    def _again_address(self, again: Start) -> str:
        """Return an address that leads where ``again`` does, and is good once, as DONEKEY is not: it stays in use."""
        self._for_next_tab = self.starts.unused(self._for_next_tab, follows=again)
        return self._for_next_tab.address

    def _told(self, request: web.BaseRequest) -> web.Response:
        known, has_redirect = self._finale.known(), self._desk.has_redirect
        page = self._speaking(request).final(known, has_redirect=has_redirect, more_to_come=self._more_to_come)
        answer = show(page)
        is_end = known is not None and not self._more_to_come
        if is_end and self._cookie.is_borne_by(request.headers):
            self._cookie.take_back(answer)
        return answer

    def _document(self, request: web.BaseRequest) -> web.Response:
        known = self._finale.known()
        if known is None and request.transport:  # who has left while it waited will not come back
            self._promises.owe(documents=1)
        return web.json_response(text=write_outcome(known))

    def _pages_now(self) -> PagesByLanguage:
        desk, attempt = self._desk, self._finale.attempt
        return PagesByLanguage(desk.repo_type, desk.authorization_url, done=self._lasting.done_target, attempt=attempt)

    def _glimpse(self, request: web.BaseRequest) -> float:
        """Return how many seconds who asks is kept waiting: a script gains nothing by a page that waits."""
        return min(_GLIMPSE, self._patience) if is_browser(request) else self._patience

    def _speaking(self, request: web.BaseRequest) -> Pages:
        """Return the pages in the language of who asks."""
        return self._pages.in_language(self._preference.in_browser(request.headers.get("Accept-Language", "")))
