"""The forms an answer of the listener has."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from oauth_helper.listener import web

if TYPE_CHECKING:
    from oauth_helper.listener.templating import Page


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
