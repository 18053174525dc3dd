"""Which requests the listener accepts: method, Host, Origin, Fetch Metadata, KEY."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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


_PAGES: Final = {route.value: route for route in Route if route is not Route.DIRECT}
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


@dataclass(frozen=True)
class RequestPolicy:
    """The rules of one listener."""

    authority: str
    """The accepted Host."""
    keys: Collection[Secret]
    """Each opens ``/start``, ``/redirect`` and ``/outcome``; keys may be added later."""
    done_keys: Collection[Secret]
    """Each opens ``/done`` and nothing else, because it stays in the address of the tab."""
    direct_path: str = Route.DIRECT
    """The path of the redirect URI."""
    direct_authority: str | None = None
    """What Host may also be for this path."""

    def judge(self, method: str, target: str, headers: CIMultiDictProxy[str]) -> Route | RejectedRequest:
        """Return what an accepted request is for, or why it is rejected.

        ``target`` is the request target as it was sent, not decoded: a path in another spelling is another path.
        """
        path, _, query = target.partition("?")
        route, host = Route.DIRECT if path == self.direct_path else _PAGES.get(path), headers.getall("Host", [])
        if host != [self.authority] and not (route is Route.DIRECT and host == [self.direct_authority]):
            is_localhost = [each.casefold() for each in host] == [self.authority.replace("127.0.0.1", "localhost")]
            return RejectedRequest.LOCALHOST if is_localhost else RejectedRequest.FOREIGN_HOST
        if route is None:
            return RejectedRequest.UNKNOWN_PATH
        if method != route.method:
            return RejectedRequest.WRONG_METHOD
        # A redirect contains no key; its state is checked instead.
        keys = self.done_keys if route is Route.DONE else self.keys
        name, _, value = query.partition("=")
        if route is not Route.DIRECT and not (name == "k" and any(key.matches(value) for key in keys)):
            return RejectedRequest.WRONG_KEY
        # Our own form sends "Origin: null", because the page uses no-referrer (Fetch standard, "append a request
        # Origin header"). KEY distinguishes it from a sandboxed frame of another site.
        origins = {f"http://{self.authority}"} | ({"null"} if route is Route.REDIRECT else set())
        is_foreign = route in _SAME_ORIGIN_ONLY and not _all_in(headers, "Sec-Fetch-Site", {"same-origin", "none"})
        if is_foreign or not _all_in(headers, "Origin", origins):
            return RejectedRequest.FOREIGN_ORIGIN
        if any(name in headers for name in _PREFETCH_HEADERS):
            return RejectedRequest.PREFETCH
        # Whether a browser shows the answer in a tab (W3C Fetch Metadata sections 2.1, 2.2); other clients may send it.
        is_navigation = all(_all_in(headers, name, {value}) for name, value in _NAVIGATION.items())
        is_our_script = all(headers.getall(name, []) == [value] for name, value in _OUR_SCRIPT.items())
        if not is_navigation and not (route is Route.DONE and is_our_script):
            return RejectedRequest.SUB_RESOURCE
        return route


def _all_in(headers: CIMultiDictProxy[str], name: str, allowed: Collection[str]) -> bool:
    return all(value in allowed for value in headers.getall(name, []))
