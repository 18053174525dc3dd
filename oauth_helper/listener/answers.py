"""The forms an answer of the listener has."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from oauth_helper.listener.pages import Page


def show(page: Page, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Show a page."""
    return web.Response(
        status=status,
        text=page.html,
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": page.policy},
    )


def see_other(target: str) -> web.Response:
    """Send the browser on, by GET (RFC 9700 section 4.12: 303, never 307)."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": target})


def wants_document(request: web.BaseRequest) -> bool:
    """Whether another run of ours asks: no browser names this type alone when it moves a tab."""
    return request.headers.get("Accept") == "application/json"
