"""Handle the listener's requests, and open and close the listener."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

from aiohttp.web_exceptions import HTTPException, HTTPRequestEntityTooLarge
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse, json_response
from yarl import URL

from oauth_helper.errors import OutcomeUnknownError, RedirectRejectedError
from oauth_helper.events import AnyOutcome, Failed, RejectedRequest, Way
from oauth_helper.i18n import Language, Preference, _
from oauth_helper.listener.pages import Page, Pages
from oauth_helper.listener.request_policy import RequestPolicy, Route, authority
from oauth_helper.listener.server import HOST, Server, hold_ipv6, is_peer_other_user, listen
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret
from oauth_helper.single_instance import write_outcome
from oauth_helper.values import parse_address

_KEY_BYTES: Final = 32
_COOKIE_AGE: Final = 3600
"""Seconds. No listener waits longer."""
_ENGLISH: Final = Preference(Language.ENGLISH)
_TIMEOUT: Final = 20.0
"""Seconds that a browser waits for the outcome, or we for its form, before it gets a page that waits."""
_TAB_TIMEOUT: Final = 2.0
"""Seconds that a tab shows nothing because the outcome may come: most exchanges take less time."""
_REDIRECT_DELAY: Final = 0.02
"""Seconds before the browser with the redirect is answered: its next request should not delay the exchange."""
_FAREWELL: Final = 1.2
"""Seconds at the end for browsers to fetch their final page: a waiting page asks again after one second."""
_FLUSH: Final = 0.2
"""Seconds after that for answers that are being sent."""

_PASTED: Final = frozenset({Way.PAGE, Way.TERMINAL, Way.DELIVER})
"""The ways in which the tab at the console stays open."""
_JSON: Final = "application/json"
_HTML: Final = "text/html"
_BEING_MADE: Final = Secret("")
"""The key under which the responses that are being made are counted."""
_STOPPED: Final = Failed(OutcomeUnknownError(_("oauth-helper was stopped before the outcome was known")))
_TOO_LONG: Final = RedirectRejectedError("too-long", _("That is longer than any address"))
_UNREADABLE: Final = RedirectRejectedError("unreadable", _("What was sent could not be read"))


def is_served(redirect_uri: URL) -> bool:
    """Whether a listener at the port of this redirect URI gets the redirect itself."""
    return redirect_uri.scheme == "http" and redirect_uri.host in {HOST, "localhost"}


@dataclass(eq=False, repr=False)
class EntryLink:
    """An address of ``/start`` with a KEY of its own."""

    key: Secret
    address: str
    is_good_once: bool
    target: asyncio.Future[Secret | None]
    """Where browsers go that open it; None: to the page. They wait until that is known."""
    is_used: bool = False

    def lead(self, target: str | None) -> None:
        """Send every browser at this link to ``target``, or to the page if that is None."""
        if self.target.done():
            self.target = asyncio.get_running_loop().create_future()
        self.target.set_result(Secret(target) if target else None)  # It contains the state.


class Listener:
    """The loopback listener, open while its context is entered.

    Clients that connect are answered as soon as :meth:`serve` is called. Leaving lets clients read their answers and
    fetch the final pages they were sent to, and frees the port. Entering raises the errors of :func:`listen`.

    ``port`` None means any free one; ``redirect_uri`` None, ServiceStage's console. A browser waits ``timeout`` seconds
    for the outcome, and we for its form, before it gets a page that waits.
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        redirect_uri: str | None = None,
        timeout: float = _TIMEOUT,
        preference: Preference = _ENGLISH,
    ) -> None:
        self._port = port
        self._callback = parse_address(redirect_uri) if redirect_uri else None
        self._timeout = timeout
        self._preference = preference
        self._stack = AsyncExitStack()
        self._receiver: RedirectReceiver
        self._attempt: asyncio.Future[None]
        """Ends when the next attempt at a link, or the next link, begins."""
        self._entry_links: dict[Secret, EntryLink] = {}
        self._done_links: dict[Secret, tuple[asyncio.Future[None], EntryLink | None]] = {}
        """The attempt to which an address of ``/done`` belongs, and the link of the page that asks there."""
        self._unused_links: dict[str, EntryLink] = {}
        """By purpose; repeated requests get the same address until it is used."""
        self.handed_on: EntryLink | None = None
        """Where tabs of an earlier attempt or link go on; no tab gets its KEY."""
        self._more_to_come = False
        self._to_be_sent: Counter[Secret] = Counter()
        """By key, the responses that clients were told to fetch later; and those that are being made."""
        self._has_answered = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._socket = self._stack.enter_context(listen(self._port))
        self._port = port = int(self._socket.getsockname()[1])
        if ipv6_socket := hold_ipv6(port):
            self._stack.enter_context(ipv6_socket)
        self._authority = authority(port)
        self._attempt = asyncio.get_running_loop().create_future()
        callback = self._callback
        self._policy = RequestPolicy(
            self._authority,
            self._entry_links,
            self._done_links,
            direct_path=callback.raw_path if callback else Route.DIRECT,
            direct_authority=callback.raw_authority if callback and is_served(callback) else None,
        )
        # Cookies are shared by all ports (RFC 6265 section 8.5), so each listener has a name of its own.
        self._cookie = f"oauth-helper-{port}", _new_key()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _say_farewell(self) -> None:
        for link in self._entry_links.values():
            link.lead(None)
        self._receiver.end(_STOPPED)
        await self.until_sent(_FAREWELL)

    async def until_sent(self, seconds: float) -> None:
        """Wait until all responses are sent, but no longer than that: the browser need not fetch its page."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._to_be_sent.total():
                    self._has_answered.clear()
                    await self._has_answered.wait()

    @property
    def address(self) -> str:
        """The origin, ``http://127.0.0.1:PORT``; never ``localhost`` (RFC 8252 section 8.3)."""
        return f"http://{HOST}:{self._port}"

    async def serve(self, receiver: RedirectReceiver, *, more_to_come: bool = False) -> str:
        """Deliver redirects to ``receiver`` from now on; return the address of the page, KEY included.

        It may be called again when the link has ended. With ``more_to_come``, a tab that shows the end goes on to the
        next link, at :attr:`handed_on`.
        """
        is_first = not self._done_links
        self._receiver, request = receiver, receiver.request
        self._more_to_come = more_to_come
        subject = request.repo_type or request.host
        self._pages = {language: Pages(subject, request.redirect_uri, language) for language in Language}
        self._to_be_sent = Counter({_BEING_MADE: self._to_be_sent[_BEING_MADE]})
        self._begin_attempt()
        if is_first:
            server = Server(self._answer, on_rejected=lambda why: self._receiver.ignore(why))  # noqa: PLW0108 - it changes
            await server.accept(self._socket)
            self._stack.push_async_callback(server.close, _FLUSH)
            self._stack.push_async_callback(self._say_farewell)
        else:  # at the first link, a browser that was started earlier has a link of its own already
            for link in list(self._entry_links.values()):
                self.revoke(link)
            self.handed_on = self.start(held=True)
        return self.start().address

    def _begin_attempt(self) -> None:
        self._attempt.set_result(None)
        self._attempt = asyncio.get_running_loop().create_future()
        self._done_key = self._new_done_key(None)
        self._unused_links = {}

    def _new_done_key(self, entry: EntryLink | None) -> Secret:
        key = _new_key()
        self._done_links[key] = self._attempt, entry
        return key

    def start(self, *, held: bool = False, good_once: bool = True, follows: EntryLink | None = None) -> EntryLink:
        """Return a new address of ``/start``, which leads where ``follows`` does.

        Its first use is exchanged for a cookie if it is ``good_once``; False is for a process that can keep the address
        from other users of the machine.
        """
        key, target = _new_key(), follows.target if follows else asyncio.get_running_loop().create_future()
        link = EntryLink(key, f"http://{self._authority}{Route.START}?k={key.reveal()}", good_once, target)
        if not held and not follows:
            link.lead(None)
        self._entry_links[key] = link
        return link

    def revoke(self, link: EntryLink) -> None:
        """Reject further requests to this address, because another program may know its KEY."""
        del self._entry_links[link.key]
        link.lead(None)

    def start_over(self, target: str | None) -> str:
        """Send waiting tabs to ``target``, or to the page if that is None; return a new address of ``/start``.

        With ``target``, tabs in our window go there at once; all others show the page of the new attempt.
        """
        for link in self._entry_links.values():
            if link.target.done() and link.target.result():
                link.lead(target)
        self._begin_attempt()
        self.handed_on = self.start()
        self.handed_on.lead(target)
        return self.start().address

    @property
    def done_address(self) -> str:
        """An address of the final page, which opens this page only."""
        return f"http://{self._authority}{_done_target(self._done_key)}"

    def expect_done(self) -> None:
        """Count the final page, to which our window is sent, as a response that is still to be sent."""
        self._to_be_sent[self._done_key] += 1

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        route = self._policy.judge(request.method, request.raw_path, request.headers)
        if isinstance(route, RejectedRequest):
            self._receiver.ignore(route)
            is_method = route is RejectedRequest.WRONG_METHOD
            return Response(status=HTTPStatus.METHOD_NOT_ALLOWED if is_method else HTTPStatus.NOT_FOUND)
        query = request.raw_path.partition("?")[2]
        key = Secret(query.partition("=")[2])
        entry = None if route is Route.DIRECT else self._entry_links.get(key)
        self._to_be_sent[_BEING_MADE] += 1
        try:
            is_other_user = await is_peer_other_user(request.transport)
            # Nothing is awaited between this check and the use of the KEY, so that only one request can be the first.
            if entry and entry.is_good_once and entry.is_used and not self._has_cookie(request):
                return self._already_opened(request)
            if is_other_user:
                self._receiver.ignore(RejectedRequest.OTHER_USER)
                return _show(self._pages_for(request).message("other user"), HTTPStatus.NOT_FOUND)
            if entry:
                return await self._enter(request, route, entry)
            return await (self._direct(request, query) if route is Route.DIRECT else self._done(request, key))
        finally:
            self._count_sent(_BEING_MADE)

    def _has_cookie(self, request: BaseRequest) -> bool:
        """Whether the browser has exchanged a one-time KEY. All pages of a browser have the same cookie."""
        # Another program may have set a second one of that name.
        headers, (name, value) = request.headers.getall("Cookie", []), self._cookie
        pairs = [pair.strip().partition("=") for header in headers for pair in header.split(";")]
        return any(pair[0] == name and value.matches(pair[2]) for pair in pairs)

    def _already_opened(self, request: BaseRequest) -> Response:
        self._receiver.ignore(RejectedRequest.ALREADY_OPENED)
        last = self._unused_links.get("after second use")
        link = self._unused_link("after second use")
        if link is not last:
            self._receiver.warn_of_second_use(link.address)
        return _show(self._pages_for(request).message("already opened"), HTTPStatus.NOT_FOUND)

    def _unused_link(self, purpose: str, *, follows: EntryLink | None = None) -> EntryLink:
        """Return the last link for this purpose, or a new one if that is used."""
        link = self._unused_links.get(purpose)
        if link is None or link.is_used:
            link = self._unused_links[purpose] = self.start(follows=follows)
        return link

    async def _enter(self, request: BaseRequest, route: Route, entry: EntryLink) -> Response:
        is_first, entry.is_used = not entry.is_used, True
        if route is Route.START:
            response = await self._start(request, entry, is_first=is_first)
        elif route is Route.REDIRECT:
            response = await self._pasted(request, entry)
        else:
            self._count_sent(entry.key)
            await self._wait_for_outcome()
            response = self._document(request, entry)
        if entry.is_good_once and not self._receiver.outcome.done():
            # Lax, because a redirect from another site sends no Strict one (RFC 6265bis 5.5.7.1).
            name, value = self._cookie
            response.set_cookie(name, value.reveal(), max_age=_COOKIE_AGE, httponly=True, samesite="Lax")
        return response

    async def _start(self, request: BaseRequest, entry: EntryLink, *, is_first: bool) -> Response:
        self._receiver.page_opened()
        target = await asyncio.shield(entry.target)
        if entry.key not in self._entry_links:  # revoked
            return Response(status=HTTPStatus.NOT_FOUND)
        if self._receiver.has_redirect or self._receiver.outcome.done():
            return self._see_done(self._new_done_key(entry))
        if target is None:
            return self._start_page(request, entry)
        url = target.reveal()
        # Chromium 156 does not hold a navigation that began before interception was armed and is redirected (tried):
        # the first one ends here, and a page begins the next one.
        return _show(self._pages_for(request).message("onward", address=url)) if is_first else _redirect(url)

    def _start_page(
        self, request: BaseRequest, entry: EntryLink, rejection: RedirectRejectedError | None = None
    ) -> Response:
        # A private window has no cookies of ours, so it needs an address of its own.
        private = self._unused_link("private window")
        page = self._pages_for(request).start(
            entry.key.reveal(),
            authorization_url=self._receiver.request.url.reveal(),
            private_start=private.address.removeprefix(f"http://{self._authority}"),
            live=_done_target(self._new_done_key(entry)),
            rejection=rejection,
        )
        return _show(page)

    async def _pasted(self, request: BaseRequest, entry: EntryLink) -> Response:
        is_process = _accepts(request, _JSON)
        try:
            text, way = await _read_form(request, self._timeout)
            self._receiver.judge(text, way)
        except RedirectRejectedError as error:
            response = _json(request, error) if is_process else self._start_page(request, entry, error)
            response.set_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if error is _TOO_LONG else HTTPStatus.BAD_REQUEST)
            return response
        key = self._new_done_key(entry)
        await self._wait_for_outcome()
        return self._document(request, entry) if is_process else self._outcome_page(request, key)

    async def _direct(self, request: BaseRequest, query: str) -> Response:
        try:
            self._receiver.judge_query(query, Way.DIRECT)
        except RedirectRejectedError as error:
            page = self._pages_for(request).message("rejected", rejection=error)
            return _show(page, HTTPStatus.BAD_REQUEST)
        key = self._new_done_key(None)
        # The code should not stay in the browser's address bar.
        await self._wait_for_outcome(request, _REDIRECT_DELAY)
        return self._see_done(key)

    def _see_done(self, key: Secret) -> Response:
        """Redirect to the final page; that removes the code from address bar and history (RFC 9700 section 4.3.1)."""
        self._to_be_sent[key] += 1
        # A request for the redirect URI may have come to localhost.
        return _redirect((f"http://{self._authority}" if self._callback else "") + _done_target(key))

    async def _done(self, request: BaseRequest, key: Secret) -> Response:
        self._count_sent(key)
        attempt, _entry = self._done_links[key]
        if not attempt.done() and (_is_script(request) or self._receiver.has_redirect):
            await self._wait_for_outcome(request, _TAB_TIMEOUT)
        return self._outcome_page(request, key)

    def _outcome_page(self, request: BaseRequest, key: Secret) -> Response:
        """Show the outcome. A page that waits for it, or for the next link, asks with ``key``.

        The script of a page gets 204 if it shall ask again or, with Location, go on there.
        """
        (attempt, entry), outcome = self._done_links[key], self._known_outcome()
        if attempt.done():
            if not _is_script(request) or entry is None or entry.key not in self._entry_links:
                # Good once, because DONEKEY is not.
                entry = self._unused_link("next attempt", follows=self.handed_on)
            response = _redirect(entry.address)
            if _is_script(request):
                response.set_status(HTTPStatus.NO_CONTENT)
            return response
        if outcome is None:
            self._expect_request(request, key)
            if _is_script(request) and not self._receiver.has_redirect:
                return Response(status=HTTPStatus.NO_CONTENT)
        page = self._pages_for(request).outcome(
            outcome,
            live=_done_target(key),
            was_pasted=self._receiver.way in _PASTED,
            more_to_come=self._more_to_come,
        )
        response = _show(page)
        if outcome and not self._more_to_come and self._has_cookie(request):
            response.del_cookie(self._cookie[0])  # Another program may use our port later.
        return response

    def _document(self, request: BaseRequest, entry: EntryLink) -> Response:
        outcome = self._known_outcome()
        if outcome is None:
            self._expect_request(request, entry.key)
        return _json(request, outcome)

    def _expect_request(self, request: BaseRequest, key: Secret) -> None:
        """Count a response that the client is told to fetch; a client that has left does not come back."""
        if request.transport:
            self._to_be_sent[key] += 1

    def _count_sent(self, key: Secret) -> None:
        """Count a response that is sent; a client need not have been told to fetch it."""
        self._to_be_sent[key] = max(self._to_be_sent[key] - 1, 0)
        self._has_answered.set()

    async def _wait_for_outcome(self, request: BaseRequest | None = None, seconds: float = math.inf) -> None:
        """Wait for the outcome or the next attempt; a browser that navigates, no longer than ``seconds``."""
        # W3C Fetch Metadata section 2.2; versions before 2023 do not say that they navigate.
        is_browser = request is not None and request.headers.get("Sec-Fetch-Mode") == "navigate"
        timeout = min(seconds, self._timeout) if is_browser else self._timeout
        events: set[asyncio.Future[Any]] = {self._receiver.outcome, self._attempt}
        await asyncio.wait(events, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)

    def _known_outcome(self) -> AnyOutcome | None:
        outcome = self._receiver.outcome
        return outcome.result() if outcome.done() else None

    def _pages_for(self, request: BaseRequest) -> Pages:
        return self._pages[self._preference.in_browser(request.headers.get("Accept-Language", ""))]


async def _read_form(request: BaseRequest, seconds: float) -> tuple[str, Way]:
    """Return the field ``redirect``, empty if there is none, and who sent the form."""
    try:
        async with asyncio.timeout(seconds):
            form: Mapping[str, object] = await request.post()
    except HTTPRequestEntityTooLarge:
        raise _TOO_LONG from None
    except (OSError, ValueError, LookupError, HTTPException, RequestPayloadError):
        raise _UNREADABLE from None
    text = form.get("redirect")
    way = Way.DELIVER if form.get("way") == Way.DELIVER else Way.PAGE
    return text if isinstance(text, str) else "", way


def _show(page: Page, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = {
        "Content-Language": page.language,
        "Content-Security-Policy": page.policy,
        "Vary": "Accept-Language",
    }
    return Response(status=status, text=page.html, content_type=_HTML, charset="utf-8", headers=headers)


def _json(request: BaseRequest, outcome: AnyOutcome | RedirectRejectedError | None) -> Response:
    """Answer another oauth-helper process, in the language of its user."""
    language = _ENGLISH.in_browser(request.headers.get("Accept-Language", ""))
    return json_response(text=write_outcome(outcome, language))


def _redirect(target: str) -> Response:
    """Redirect with GET (RFC 9700 section 4.12: 303, never 307)."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": target})


def _accepts(request: BaseRequest, content_type: str) -> bool:
    """Whether the request accepts this type alone: no browser does so when it navigates."""
    return request.headers.get("Accept") == content_type


def _is_script(request: BaseRequest) -> bool:
    """Whether a script of our pages asks, and not a browser that navigates."""
    return _accepts(request, _HTML)


def _done_target(key: Secret) -> str:
    return f"{Route.DONE}?k={key.reveal()}"


def _new_key() -> Secret:
    """Return a key of 256 bits. Its last character has four of them, so it is always a letter or digit."""
    return Secret(secrets.token_urlsafe(_KEY_BYTES))
