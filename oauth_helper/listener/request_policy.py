"""Which requests the listener accepts: method, Host, Origin, Fetch Metadata, KEY."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

from multidict import CIMultiDictProxy

from oauth_helper.events import RejectedRequest
from oauth_helper.secret import Secret


class Route(StrEnum):
    """A path that the listener serves."""

    START = "/start"
    REDIRECT = "/redirect"
    DIRECT = "/servicestage/oauth"
    """The path of the redirect URI: a user may only replace the host in the address bar. This is the console's."""
    DONE = "/done"
    OUTCOME = "/outcome"
    """The outcome as JSON, for other oauth-helper processes."""

    @property
    def method(self) -> str:
        """The only method of the path. HEAD is never allowed: a link checker must not use up a code."""
        return "POST" if self is Route.REDIRECT else "GET"


_SAME_ORIGIN_ONLY: Final = frozenset({Route.REDIRECT, Route.OUTCOME})
"""No other page may request these. A link to the others may come from anywhere, above all from the Git host."""
_HTTP_PORT: Final = 80
_PREFETCH_HEADERS: Final = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""Headers that mark a prefetch, prerender or preview: the standard's, then older ones of Chromium, Safari and Firefox.
A navigation by a person has none of them."""
_NAVIGATION: Final = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
_OUR_SCRIPT: Final = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"}


def authority(port: int) -> str:
    """Return the only accepted Host, as browsers write it: they leave out the default port of http."""
    return "127.0.0.1" if port == _HTTP_PORT else f"127.0.0.1:{port}"


class Refusal(NamedTuple):
    """Why and with which status a request is refused."""

    rejected: RejectedRequest
    status: HTTPStatus = HTTPStatus.NOT_FOUND


class RequestPolicy:
    """The rules of one listener.

    Args:
        authority: The accepted Host.
        keys: Each opens ``/start``, ``/redirect`` and ``/outcome``; keys may be added later.
        done_keys: Each opens ``/done`` and nothing else, because it stays in the address of the tab.
        direct_path: The path of the redirect URI.
        direct_authority: What Host may also be for this path.
    """

    def __init__(
        self,
        authority: str,
        keys: Collection[Secret],
        done_keys: Collection[Secret],
        *,
        direct_path: str = Route.DIRECT,
        direct_authority: str = "",
    ) -> None:
        self._authority = authority
        self._routes = {route.value: route for route in Route if route is not Route.DIRECT} | {
            direct_path: Route.DIRECT
        }
        self._direct_authority = direct_authority
        self._keys = keys
        self._done_keys = done_keys

    def judge(self, method: str, target: str, headers: CIMultiDictProxy[str]) -> Route | Refusal:
        """Return what an accepted request is for, or how to refuse it.

        ``target`` is the request target as it was sent, not decoded: a path in another spelling is another path.
        """
        path, _, query = target.partition("?")
        route, host = self._routes.get(path), headers.getall("Host", [])
        if host != [self._authority] and not (route is Route.DIRECT and host == [self._direct_authority]):
            is_localhost = [each.casefold() for each in host] == [self._authority.replace("127.0.0.1", "localhost")]
            return Refusal(RejectedRequest.LOCALHOST if is_localhost else RejectedRequest.FOREIGN_HOST)
        if route is None:
            return Refusal(RejectedRequest.UNKNOWN_PATH)
        if method != route.method:
            return Refusal(RejectedRequest.WRONG_METHOD, HTTPStatus.METHOD_NOT_ALLOWED)
        if not self._has_key(route, query):
            return Refusal(RejectedRequest.WRONG_KEY)
        if not self._has_allowed_origin(route, headers):
            return Refusal(RejectedRequest.FOREIGN_ORIGIN)
        if any(name in headers for name in _PREFETCH_HEADERS):
            return Refusal(RejectedRequest.PREFETCH)
        # Whether a browser shows the answer in a tab (W3C Fetch Metadata sections 2.1, 2.2); other clients may send it.
        is_navigation = all(_all_in(headers, name, {value}) for name, value in _NAVIGATION.items())
        is_our_script = all(headers.getall(name, []) == [value] for name, value in _OUR_SCRIPT.items())
        if not is_navigation and not (route is Route.DONE and is_our_script):
            return Refusal(RejectedRequest.SUB_RESOURCE)
        return route

    def _has_key(self, route: Route, query: str) -> bool:
        if route is Route.DIRECT:
            return True  # A redirect contains no key; its state is checked instead.
        name, _, value = query.partition("=")
        return name == "k" and any(
            key.matches(value) for key in (self._done_keys if route is Route.DONE else self._keys)
        )

    def _has_allowed_origin(self, route: Route, headers: CIMultiDictProxy[str]) -> bool:
        # Our own form sends "Origin: null", because the page uses no-referrer (Fetch standard, "append a request
        # Origin header"). KEY distinguishes it from a sandboxed frame of another site.
        origins = {f"http://{self._authority}"} | ({"null"} if route is Route.REDIRECT else set())
        if route in _SAME_ORIGIN_ONLY and not _all_in(headers, "Sec-Fetch-Site", {"same-origin", "none"}):
            return False
        return _all_in(headers, "Origin", origins)


def _all_in(headers: CIMultiDictProxy[str], name: str, allowed: Collection[str]) -> bool:
    return all(value in allowed for value in headers.getall(name, []))
