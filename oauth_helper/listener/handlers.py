"""Handle the listener's requests, and open and close the listener."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from aiohttp import web
from multidict import CIMultiDictProxy

from oauth_helper.errors import OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import Failed, Outcome, RejectedRequest, Way
from oauth_helper.i18n import Language, Preference, _, language_of_browser
from oauth_helper.listener.pages import Page, Pages, PagesByLanguage
from oauth_helper.listener.request_policy import Path, RequestPolicy, authority
from oauth_helper.listener.server import HOST, Server, hold_ipv6, is_held_by_another, listen
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.single_instance import write_outcome, write_rejection

_ATTEMPT: Final = "Oauth-Helper-Attempt"
"""What a page of ours that shows the end by itself asks with: the attempt that it stands for, and :data:`_PROMISED`
where it was told to come back. No tab that is moved sends it, and no other page may."""
_PROMISED: Final = " promised"


def show(page: Page, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Show a page."""
    return web.Response(
        status=status,
        text=page.html,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Language": page.language,
            "Content-Security-Policy": page.policy,
            "Vary": "Accept-Language",
        },
    )


def see_other(target: str) -> web.Response:
    """Send the browser on, by GET (RFC 9700 section 4.12: 303, never 307)."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": target})


def wants_document(request: web.BaseRequest) -> bool:
    """Whether another run of ours asks: no browser names this type alone when it moves a tab."""
    return request.headers.get("Accept") == "application/json"


def _asked_language(request: web.BaseRequest) -> Language:
    return language_of_browser(request.headers.get("Accept-Language", "")) or Language.ENGLISH


def is_browser(request: web.BaseRequest) -> bool:
    """Whether a browser says that it moves a tab (W3C Fetch Metadata section 2.2); those before 2023 say nothing."""
    return request.headers.get("Sec-Fetch-Mode") == "navigate"


def attempt_shown(request: web.BaseRequest) -> str | None:
    """Return the attempt that the page stands for which asks how it goes on; None: a tab asks."""
    value = request.headers.get(_ATTEMPT)
    return None if value is None else value.removesuffix(_PROMISED)


def was_promised(request: web.BaseRequest) -> bool:
    """Whether who asks for the final page was told to; a page of ours that shows the end by itself says so."""
    return request.headers.get(_ATTEMPT, _PROMISED).endswith(_PROMISED)


def go_on(target: str, attempt: str) -> web.Response:
    """Have a page that asks move its tab, as another attempt has begun: what fetches cannot follow a redirect there."""
    return web.Response(status=HTTPStatus.NO_CONTENT, headers={"Location": target, _ATTEMPT: attempt})


def nothing_yet() -> web.Response:
    """Have a page that asks stay as it is, and ask again."""
    return web.Response(status=HTTPStatus.NO_CONTENT)


TOO_LONG: Final = RedirectRejectedError("too-long", _("That is longer than any address"))
_UNREADABLE: Final = RedirectRejectedError("unreadable", _("What was sent could not be read"))


async def read_form(request: web.BaseRequest, patience: float) -> tuple[str, Way]:
    """Return the address that was offered, empty where there is none, and who brought it.

    ``patience`` is how many seconds the form may take to arrive.

    Raises:
        RedirectRejectedError: It is too long; or too slow, cut off, not in its own format or charset, or has too many
            fields.
    """
    try:
        async with asyncio.timeout(patience):
            form = await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise TOO_LONG from None
    except (OSError, ValueError, LookupError, web.HTTPException, web.RequestPayloadError):
        raise _UNREADABLE from None
    text = form.get("redirect")
    way = Way.DELIVER if form.get("way") == Way.DELIVER else Way.PAGE
    return text if isinstance(text, str) else "", way


class Receiver(Protocol):
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

    def ignore(self, rejected: RejectedRequest) -> None:
        """Count a request that got no further."""

    def visit(self) -> None:
        """Know that a browser that can reach us begins."""

    def warn_of_second_use(self, listener: str) -> None:
        """Have the user told that an address that is good once was used again, and of a new one."""

    async def outcome(self) -> Outcome:
        """Wait for the end of the story. May be awaited by many at once."""


if TYPE_CHECKING:
    pass


_STOPPED: Final = Failed(OutcomeUnknownError(_("oauth-helper was stopped before the outcome was known")))
_TURNS: Final = 10
"""Turns of the loop in which what the desk knows has reached us: some more than it takes."""


class OutcomePage:
    """The end of one story, as far as it is known."""

    def __init__(self, receiver: Receiver, *, story: int) -> None:
        self._outcome = asyncio.create_task(receiver.outcome(), name="outcome, for the listener's pages")
        self._started_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._story = story
        self._tries = 1

    @property
    def attempt(self) -> str:
        """Which attempt this is, of all that this listener serves: a page knows by it that another has begun."""
        return f"{self._story}.{self._tries}"

    @property
    def is_known(self) -> bool:
        """Whether there is an end."""
        return self._outcome.done()

    def known(self) -> Outcome | None:
        """Return the end; None where there is none yet."""
        if not self._outcome.done():
            return None
        return _STOPPED if self._outcome.cancelled() else self._outcome.result()

    async def wait(self, seconds: float) -> None:
        """Wait until the end is known or the story has started over, but no longer than that."""
        either: set[asyncio.Future[Any]] = {self._outcome, self._started_over}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def start_over(self) -> None:
        """Let who waits know that the story has."""
        self._tries += 1
        self._started_over.set_result(None)
        self._started_over = asyncio.get_running_loop().create_future()

    async def give_up(self) -> None:
        """Wait no longer than it takes to hear of an end that there is; else nobody will ever know."""
        for _unused in range(_TURNS):
            if self._outcome.done():
                return
            await asyncio.sleep(0)
        self._outcome.cancel()


class PendingResponses:
    """Counts what is owed. Who was told to come back is owed what it comes back for."""

    def __init__(self) -> None:
        self._answers = 0
        self._pages = 0
        self._documents = 0
        self._kept = asyncio.Event()
        self._kept.set()

    def owe(self, *, answers: int = 0, pages: int = 0, documents: int = 0) -> None:
        """Owe so many more, or fewer. A page or document that was never promised may be fetched all the same."""
        self._answers += answers
        self._pages = max(0, self._pages + pages)
        self._documents = max(0, self._documents + documents)
        if self._answers or self._pages or self._documents:
            self._kept.clear()
        else:
            self._kept.set()

    async def kept(self) -> None:
        """Wait until nothing is owed any more."""
        await self._kept.wait()


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
        """Return a new one that leads where ``follows`` does. ``good_once=False``: no other user can read it."""
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


class SharedListener:
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
    """Return a new key of 256 bits. Its last character holds four of them, so it is always a letter or digit."""
    return Secret(secrets.token_urlsafe(_KEY_BYTES))


if TYPE_CHECKING:
    pass


_GLIMPSE: Final = 2.0
"""Seconds that a tab shows nothing, in the hope of the end: most exchanges take less. Then a page says what goes on."""
_HEAD_START: Final = 0.02
"""Seconds before the browser that brought the redirect is answered: what it asks next is not to delay the exchange."""


class Handlers:
    """Answers requests for one story, and knows whether it still owes anyone an answer."""

    def __init__(
        self,
        receiver: Receiver,
        authority: str,
        shared: SharedListener,
        *,
        patience: float,
        preference: Preference,
        more_to_come: bool = False,
        is_next: bool = False,
    ) -> None:
        self._receiver = receiver
        self._origin = f"http://{authority}"
        self._patience = patience
        self._preference = preference
        self._more_to_come = more_to_come
        self.starts: Starts = Starts(self._origin)
        self._shared, self._cookie = shared, shared.cookie
        self._policy = RequestPolicy(authority, self.starts.keys, shared.done_key)
        self._outcome_page = OutcomePage(receiver, story=shared.next_story())
        self._pages = self._pages_now()
        self.again = self.starts.add(held=True) if is_next else None
        """Where tabs go on that wait for the end of another story than this one, or of an earlier try at it. Its own
        KEY is given to no tab (see :meth:`_again_address`)."""
        self._for_next_tab: Start | None = None
        self._after_second_use: Start | None = None
        self._private_window: Start | None = None
        self._pending_responses = PendingResponses()

    @property
    def done_address(self) -> str:
        """The final page's address, for who holds a redirect and has a tab to send on."""
        return f"{self._origin}{self._shared.done_target}"

    def start_over(self, onward: str | None) -> Start:
        """Send whoever waits for the end to the desk's new authorization URL; return where another one can begin.

        With ``onward`` tabs that were led to the Git host are led there at once, as they are watched; else they see
        the page.
        """
        self._outcome_page.start_over()
        self._pages = self._pages_now()
        self.starts.lead_again(onward)
        self.again, self._for_next_tab = self.starts.add(), None
        self.again.lead(onward)
        return self.starts.add()

    async def settled(self) -> None:
        """Wait until everyone has an answer, and has fetched the final page or document where that was promised."""
        await self._pending_responses.kept()

    async def stop(self) -> None:
        """Wait for the outcome no longer: who still does is told that it is not known, unless it is."""
        await self._outcome_page.give_up()

    def ignore(self, rejected: RejectedRequest) -> None:
        """Count a request that got no further."""
        self._receiver.ignore(rejected)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        refusal = self._policy.refusal(request.method, request.raw_path, request.headers)
        if refusal is not None:
            self.ignore(refusal.rejected)
            return web.Response(status=refusal.status)
        self._pending_responses.owe(answers=1)
        try:
            path, _, query = request.raw_path.partition("?")
            start = self.starts.keys.get(Secret(query.partition("=")[2]))
            return await self._refused(request, start) or await self._admit(request, Path(path), query, start)
        finally:
            self._pending_responses.owe(answers=-1)

    async def _refused(self, request: web.BaseRequest, start: Start | None) -> web.Response | None:
        """Refuse a KEY that was used up, and another user on every path. The gate has decided about all else."""
        is_another_users = await is_held_by_another(request.transport)
        # Nothing is awaited between this check and the use of the KEY, so that two requests cannot both be the first.
        if start and not start.is_good_for(self._cookie, request.headers):
            return self._already_opened(request)
        if is_another_users:
            self.ignore(RejectedRequest.OTHER_USER)
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
            self._pending_responses.owe(documents=-1)
            await self._outcome_page.wait(self._patience)
            answer = self._document(request)
        if start.is_good_once and not self._outcome_page.is_known:
            self._cookie.give(answer)
        return answer

    def _already_opened(self, request: web.BaseRequest) -> web.Response:
        self.ignore(RejectedRequest.ALREADY_OPENED)
        last, self._after_second_use = self._after_second_use, self.starts.unused(self._after_second_use)
        if self._after_second_use is not last:
            self._receiver.warn_of_second_use(self._after_second_use.address)
        return show(self._speaking(request).already_opened(), HTTPStatus.NOT_FOUND)

    async def _begin(self, request: web.BaseRequest, start: Start, *, is_first: bool) -> web.Response:
        self._receiver.visit()
        onward = await start.onward()
        if start.is_revoked:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if self._receiver.has_redirect or self._outcome_page.is_known:
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
            self._receiver.judge(text, way)
        except RedirectRejectedError as rejection:
            return self._refuse(request, key, rejection)
        await self._outcome_page.wait(self._patience)
        return self._document(request) if wants_document(request) else self._final(request)

    def _refuse(self, request: web.BaseRequest, key: Secret, rejection: RedirectRejectedError) -> web.Response:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if rejection is TOO_LONG else HTTPStatus.BAD_REQUEST
        if wants_document(request):
            return web.json_response(text=write_rejection(rejection, _asked_language(request)), status=status)
        return self._page(request, key, rejection.reason, status)

    async def _direct(self, request: web.BaseRequest, query: str) -> web.Response:
        try:
            self._receiver.judge_query(query, Way.DIRECT)
        except RedirectRejectedError as rejection:
            return show(self._speaking(request).rejected(rejection.reason), HTTPStatus.BAD_REQUEST)
        # A browser's address bar is to be rid of the code soon.
        await self._outcome_page.wait(min(_HEAD_START, self._patience) if is_browser(request) else self._patience)
        return self._see_done()

    def _see_done(self) -> web.Response:
        """Take the code out of address bar and history (RFC 9700 section 4.3.1)."""
        self._pending_responses.owe(pages=1)
        return see_other(self._shared.done_target)

    async def _done(self, request: web.BaseRequest) -> web.Response:
        attempt = attempt_shown(request)
        if was_promised(request):
            self._pending_responses.owe(pages=-1)
        if attempt is None:
            if self._receiver.has_redirect:
                await self._outcome_page.wait(self._glimpse(request))
            return self._final(request)
        if attempt == self._outcome_page.attempt:
            await self._outcome_page.wait(self._patience)
        if attempt != self._outcome_page.attempt and self.again:
            return go_on(self._again_address(self.again), self._outcome_page.attempt)
        if not self._outcome_page.is_known and request.transport:  # who has left while it waited will not come back
            self._pending_responses.owe(pages=1)
        return self._told(request) if self._outcome_page.is_known or self._receiver.has_redirect else nothing_yet()

    def _final(self, request: web.BaseRequest) -> web.Response:
        if not self._outcome_page.is_known:
            if self.again and not self._receiver.has_redirect:
                return see_other(self._again_address(self.again))
            self._pending_responses.owe(pages=1)
        return self._told(request)

    def _again_address(self, again: Start) -> str:
        """Return an address that leads where ``again`` does, and is good once, as DONEKEY is not: it stays in use."""
        self._for_next_tab = self.starts.unused(self._for_next_tab, follows=again)
        return self._for_next_tab.address

    def _told(self, request: web.BaseRequest) -> web.Response:
        known, has_redirect = self._outcome_page.known(), self._receiver.has_redirect
        page = self._speaking(request).final(known, has_redirect=has_redirect, more_to_come=self._more_to_come)
        answer = show(page)
        is_end = known is not None and not self._more_to_come
        if is_end and self._cookie.is_borne_by(request.headers):
            self._cookie.take_back(answer)
        return answer

    def _document(self, request: web.BaseRequest) -> web.Response:
        known = self._outcome_page.known()
        if known is None and request.transport:  # who has left while it waited will not come back
            self._pending_responses.owe(documents=1)
        return web.json_response(text=write_outcome(known, _asked_language(request)))

    def _pages_now(self) -> PagesByLanguage:
        receiver, attempt = self._receiver, self._outcome_page.attempt
        return PagesByLanguage(
            receiver.repo_type, receiver.authorization_url, done=self._shared.done_target, attempt=attempt
        )

    def _glimpse(self, request: web.BaseRequest) -> float:
        """Return how many seconds who asks is kept waiting: a script gains nothing by a page that waits."""
        return min(_GLIMPSE, self._patience) if is_browser(request) else self._patience

    def _speaking(self, request: web.BaseRequest) -> Pages:
        """Return the pages in the language of who asks."""
        return self._pages.in_language(self._preference.in_browser(request.headers.get("Accept-Language", "")))


if TYPE_CHECKING:
    pass


_ENGLISH: Final = Preference(Language.ENGLISH)
_PATIENCE: Final = 20.0
_FAREWELL: Final = 1.2
"""Seconds at the end for a browser to fetch the final page it was promised: a little more than the one second
after which a waiting page asks again."""
_FLUSHING: Final = 0.2
"""Seconds after that for answers half written."""


class Listener:
    """The loopback listener, open while its context is entered.

    Entering binds 127.0.0.1 and listens; who connects from then on is answered as soon as :meth:`serve` says for
    whom. Leaving lets answers on their way be read and promised pages be fetched, waits for nobody else, and gives
    the port back. ``port`` None takes any free one; ``patience`` is how many seconds a browser is kept waiting for
    the outcome (or we for the rest of its form) before it is given a page that waits instead. Pages are in the language
    of ``preference``, or, where the user has named none, in the one that the browser asks for.

    Raises:
        PortTakenError: On entering, the port cannot be had.
        MachineError: On entering, there is no listening on 127.0.0.1 at all.
    """

    def __init__(
        self, port: int | None = None, *, patience: float = _PATIENCE, preference: Preference = _ENGLISH
    ) -> None:
        self._port = port
        self._preference = preference
        self._patience = patience
        self._socket: socket.socket
        self._held: socket.socket | None
        self._shared: SharedListener
        self._loading: asyncio.Task[None]
        self._handlers: Handlers | None = None
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._socket = listen(self._port)
        self._port = self._socket.getsockname()[1]
        self._held = hold_ipv6(self._port)
        self._shared = SharedListener(self._port)
        self._loading = asyncio.create_task(_load())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._loading
            if self._handlers:
                await self._say_farewell(self._handlers)
        finally:
            if self._server:
                await self._server.close(_FLUSHING)
            self._socket.close()
            if self._held:
                self._held.close()

    @property
    def address(self) -> str:
        """The listener's origin, ``http://127.0.0.1:PORT``; never ``localhost`` (RFC 8252 section 8.3)."""
        return f"http://{HOST}:{self._port}"

    async def serve(self, receiver: Receiver, *, more_to_come: bool = False) -> str:
        """Answer on behalf of ``desk`` from now on; return the address of the page, KEY included.

        May be called again, when the story before has ended. A tab that has seen that end, and was told that there is
        ``more_to_come``, goes on to :attr:`handed_on`.
        """
        await self._loading

        origin, handlers = authority(self._socket.getsockname()[1]), self._handlers
        self._handlers = Handlers(
            receiver,
            origin,
            self._shared,
            patience=self._patience,
            preference=self._preference,
            more_to_come=more_to_come,
            is_next=handlers is not None,
        )
        if handlers is None:
            await self._open_doors()
        return self.start().address

    async def _open_doors(self) -> None:

        server = Server(self._answer, on_rejected=self._ignore)
        await server.accept(self._socket)
        self._server = server

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._serving.answer(request)

    def _ignore(self, rejected: RejectedRequest) -> None:
        self._serving.ignore(rejected)

    @property
    def handed_on(self) -> Start | None:
        """Where a tab goes on that has seen the end of the story before: held, until it is led somewhere."""
        return self._serving.again

    def start(self, *, held: bool = False, good_once: bool = True) -> Start:
        """Return a new address to begin at, with a KEY of its own; while held, who opens it waits.

        Its first use is exchanged for a cookie, unless it is not ``good_once``: that is for who can keep it from
        other users of the machine.
        """
        return self._serving.starts.add(held=held, good_once=good_once)

    def revoke(self, start: Start) -> None:
        """Let nobody begin there any more: a window was to, and somebody else may know its KEY."""
        self._serving.starts.revoke(start)

    def start_over(self, onward: str | None) -> str:
        """Send whoever waits for the end to ``onward``, or to the page where that is None; return a fresh address."""
        return self._serving.start_over(onward).address

    @property
    def done_address(self) -> str:
        """The final page's address; it opens this page alone."""
        return self._serving.done_address

    @property
    def _serving(self) -> Handlers:
        if self._handlers is None:
            raise RuntimeError("the listener does not serve yet")
        return self._handlers

    async def _say_farewell(self, handlers: Handlers) -> None:
        handlers.starts.let_go()
        await handlers.stop()
        with suppress(TimeoutError):  # Leaving without the promised page fetched is the browser's choice.
            async with asyncio.timeout(_FAREWELL):
                await handlers.settled()


async def _load() -> None:
    """Import aiohttp's server and what needs it: in a thread, so that what else is under way goes on meanwhile."""
    await asyncio.to_thread(import_module, "oauth_helper.listener.server")
    await asyncio.to_thread(import_module, "oauth_helper.listener.handlers")
