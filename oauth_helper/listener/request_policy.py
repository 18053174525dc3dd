"""Which requests the listener accepts: method, Host, Origin, Fetch Metadata, KEY."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from multidict import CIMultiDictProxy

from oauth_helper.events import RejectedRequest
from oauth_helper.secret import Secret


class Path(StrEnum):
    """Every path there is."""

    START = "/start"
    REDIRECT = "/redirect"
    DIRECT = "/servicestage/oauth"
    """The path of the console's own callback: a user may just swap the host in the address bar."""
    DONE = "/done"
    OUTCOME = "/outcome"
    """For other runs of ours: the end of the story, as a document."""

    @property
    def method(self) -> str:
        """The path's one method. HEAD is nobody's: a link checker must not spend a code."""
        return "POST" if self is Path.REDIRECT else "GET"


_PATHS: Final = frozenset(path.value for path in Path)
_OURS_ALONE: Final = frozenset({Path.REDIRECT, Path.OUTCOME})
"""A link may come from anywhere, the Git host above all; these no other page may ask for."""
_HTTP_PORT: Final = 80
_PREFETCH_HEADERS: Final = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""What browsers mark a prefetch, prerender or preview with: the standard's name, then Chromium's, Safari's and
Firefox's older ones. A navigation a person made bears none of them."""


def authority(port: int) -> str:
    """Return the one Host that is ours, spelt as browsers spell it: without the port where it is http's own."""
    return "127.0.0.1" if port == _HTTP_PORT else f"127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request is refused."""

    rejected: RejectedRequest
    status: HTTPStatus = HTTPStatus.NOT_FOUND


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """The rules, for one listener."""

    authority: str
    keys: Collection[Secret]
    """Each opens ``/start``, ``/redirect`` and ``/outcome``; more may be given out while we serve."""
    done_key: Secret
    """Opens ``/done`` and nothing else, so that it may stand in the address where the tab ends."""

    def refusal(self, method: str, target: str, headers: CIMultiDictProxy[str]) -> Refusal | None:
        """Return how to refuse a request, or None to let it in.

        ``target`` is the request target as it came, undecoded: a path spelt another way is another path.
        """
        name, _, query = target.partition("?")
        if headers.getall("Host", []) != [self.authority]:
            return Refusal(self._stray_host(headers))
        if name not in _PATHS:
            return Refusal(RejectedRequest.UNKNOWN_PATH)
        path = Path(name)
        if method != path.method:
            return Refusal(RejectedRequest.WRONG_METHOD, HTTPStatus.METHOD_NOT_ALLOWED)
        if not self._has_key(path, query):
            return Refusal(RejectedRequest.WRONG_KEY)
        if not self._is_from_here(path, headers):
            return Refusal(RejectedRequest.FOREIGN_ORIGIN)
        return _refusal_of_what_moves_no_tab(path, headers)

    def _stray_host(self, headers: CIMultiDictProxy[str]) -> RejectedRequest:
        ours_by_name = self.authority.replace("127.0.0.1", "localhost")
        is_by_name = [host.casefold() for host in headers.getall("Host", [])] == [ours_by_name]
        return RejectedRequest.LOCALHOST if is_by_name else RejectedRequest.FOREIGN_HOST

    def _has_key(self, path: Path, query: str) -> bool:
        if path is Path.DIRECT:
            return True  # No key stands in a redirect: its state is judged instead.
        keys = (self.done_key,) if path is Path.DONE else self.keys
        name, _, value = query.partition("=")
        return name == "k" and any(key.matches(value) for key in keys)

    def _is_from_here(self, path: Path, headers: CIMultiDictProxy[str]) -> bool:
        """Whether it does not come from another page, where that matters.

        Our page sends ``Origin: null``, because it asks for ``no-referrer`` (Fetch standard, "append a request
        Origin header"); KEY is what tells it from a stranger's sandboxed frame.
        """
        origins = {f"http://{self.authority}"}
        if path is Path.REDIRECT:
            origins.add("null")
        if path in _OURS_ALONE and not _each_is_in(headers, "Sec-Fetch-Site", {"same-origin", "none"}):
            return False
        return _each_is_in(headers, "Origin", origins)


def _refusal_of_what_moves_no_tab(path: Path, headers: CIMultiDictProxy[str]) -> Refusal | None:
    """Let in what a browser, if it is one, shows in a tab at once (W3C Fetch Metadata sections 2.1, 2.2).

    And a page of ours that asks how it goes on.
    """
    if any(name in headers for name in _PREFETCH_HEADERS):
        return Refusal(RejectedRequest.PREFETCH)
    moves_a_tab = _each_is_in(headers, "Sec-Fetch-Dest", {"document"}) and _each_is_in(
        headers, "Sec-Fetch-Mode", {"navigate"}
    )
    is_admitted = moves_a_tab or (path is Path.DONE and _is_asked_by_our_page(headers))
    return None if is_admitted else Refusal(RejectedRequest.SUB_RESOURCE)


def _is_asked_by_our_page(headers: CIMultiDictProxy[str]) -> bool:
    fetched = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"}
    return all(headers.getall(name, []) == [value] for name, value in fetched.items())


def _each_is_in(headers: CIMultiDictProxy[str], name: str, allowed: Collection[str]) -> bool:
    return all(value in allowed for value in headers.getall(name, []))
