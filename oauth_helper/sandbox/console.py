"""The sandbox's cloud console: asks for a sign-in, then says that the authorization could not be created.

That is all the real one does for a link that was not begun in it (user guide and API reference, "Creating OAuth
Authorization", steps 3 and 4). Code and state in the address are left alone: it never uses them up.
"""

from __future__ import annotations

import secrets
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.sandbox.pages import page
from oauth_helper.secret import Secret

CALLBACK_PATH: Final = "/servicestage/oauth"

_SIGN_IN_PATH: Final = "/authui/login.html"


class Console:
    """The console at ``address``, which is ``http://127.0.0.1:PORT``."""

    def __init__(self, address: str) -> None:
        self._address = address
        # Cookies know no ports: the name keeps two sandboxes on one machine apart.
        self._cookie = f"sandbox_console_{address.rpartition(':')[2]}"
        self._sessions: set[Secret] = set()
        self.requests: int = 0
        """How many requests reached the console so far, of whatever kind."""

    def redirect_uri(self, repo_type: str) -> str:
        """Return the address that ServiceStage's OAuth applications are registered with."""
        return f"{self._address}{CALLBACK_PATH}?repo_type={repo_type}"

    def application(self) -> web.Application:
        """Return what is to be served."""
        application = web.Application(middlewares=[self._count])
        application.router.add_get(CALLBACK_PATH, self._callback)
        application.router.add_get(_SIGN_IN_PATH, self._ask_to_sign_in)
        application.router.add_post(_SIGN_IN_PATH, self._sign_in)
        return application

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests += 1
        return await handler(request)

    async def _callback(self, request: web.Request) -> web.Response:
        if Secret(request.cookies.get(self._cookie, "")) not in self._sessions:
            service = quote(self._address + request.raw_path, safe="")
            return _redirect(f"{_SIGN_IN_PATH}?service={service}")
        return page(
            "Authorization failed · Console",
            """<p class="host">Console <small>of the sandbox</small></p>
<h1>Failed to create the authorization</h1>
<p>Copy the whole address of this page from the address bar, and paste it where it is waited for.</p>
<p class="note">This is what the real console says here too. Nothing is lost: the code and the state in the address
were not used.</p>""",
        )

    async def _ask_to_sign_in(self, request: web.Request) -> web.Response:
        service = self._own_address(request.query.get("service", ""))
        return page(
            "Sign in · Console",
            f"""<p class="host">Console <small>of the sandbox</small></p>
<h1>Sign in to the console</h1>
<p>A stand-in for the real console's sign-in: it needs no account and no password.</p>
<form method="post" action="{_SIGN_IN_PATH}"><input type="hidden" name="service" value="{escape(service)}">
<button class="main" type="submit">Log In</button></form>""",
        )

    async def _sign_in(self, request: web.Request) -> web.Response:
        service = self._own_address(str((await request.post()).get("service", "")))
        session = Secret(secrets.token_urlsafe(16))
        self._sessions.add(session)
        response = _redirect(service)
        response.set_cookie(self._cookie, session.reveal(), httponly=True, samesite="Lax")
        return response

    def _own_address(self, service: str) -> str:
        """Return where the sign-in leads back to: an address of this console's, never another's."""
        if not service.startswith(f"{self._address}/") or not service.isascii() or not service.isprintable():
            raise web.HTTPBadRequest(text="The sign-in leads back to addresses of this console only.")
        return service


def _redirect(location: str) -> web.Response:
    # Not HTTPFound: it would write the address anew, and `%24` as `$`.
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})
