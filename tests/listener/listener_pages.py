"""Every page of the listener and of the sandbox, served as it is to a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from sandbox.sandbox_user import changed, open_raw_user, origin

from oauth_helper.errors import (
    AuthorizationDeniedError,
    CodeOrStateInvalidError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
)
from oauth_helper.events import Failed, Linked
from oauth_helper.i18n import Language, _
from oauth_helper.listener.pages import Page, Pages
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox.faults import Server

_RECORD = Authorization(name="my-auth", repo_type="github", repo_user="octo<b>cat", status=0)
_LONG_RECORD = Authorization(
    name="an-authorization-with-the-longest-name.that_ServiceStage-takes.",
    repo_type="github",
    repo_user="a-user-whose-name-is-as-long-as-hosts-let",
    status=0,
)
_REFUSED = CodeOrStateInvalidError(
    _("ServiceStage refused the code or the state"), code="SVCSTG.REPO.0402", request_id="6fb06e5b4bf84ce8b3fc29"
)
_REJECTED = RedirectRejectedError("foreign-state", _("That address belongs to another attempt"))
_UNKNOWN = OutcomeUnknownError(_("ServiceStage gave no answer"))


def all_pages(language: Language) -> dict[str, Page]:
    """Return the pages by name. The scripts of ``lost`` find no listener; those of the others wait."""
    pages = Pages(RepoType.GITHUB, "https://console.huaweicloud.com/servicestage/oauth", language)

    def start(live: str, rejection: RedirectRejectedError | None = None) -> Page:
        url = "https://github.example/login/oauth/authorize?state=s"
        return pages.start("k", authorization_url=url, private_start="/start?k=p", live=live, rejection=rejection)

    def failed(error: OAuthHelperError) -> Page:
        return pages.outcome(Failed(error), was_pasted=True)

    return {
        "start": start("/done"),
        "problem": start("/done", _REJECTED),
        "waiting": pages.outcome(None, live="/done"),
        "linked": pages.outcome(Linked(_RECORD)),
        "kept": pages.outcome(Linked(_LONG_RECORD, kept=True)),
        "denied": failed(AuthorizationDeniedError("access_denied", "<script>alert(1)</script>")),
        "failed": failed(_REFUSED),
        "unknown": failed(_UNKNOWN),
        "rejected": pages.message("rejected", rejection=_REJECTED),
        "already-opened": pages.message("already opened"),
        "other-user": pages.message("other user"),
        "lost": start("/lost-listener"),
        "linked-in-sandbox": Pages(RepoType.GITHUB, "http://127.0.0.1:1/", language).outcome(Linked(_RECORD)),
    }


async def sandbox_pages(language: Language) -> dict[str, Page]:
    """Return the pages of the sandbox by name."""
    async with open_raw_user() as user:
        user.session.headers["Accept-Language"] = language
        consent = await user.authorization_url()
        _, redirect = await user.decide("github", "authorize")
        response, _html = await user.get(redirect)
        sign_in = f"{origin(redirect)}{response.headers['Location']}"
        addresses = {"consent": consent, "invalid": changed(consent, client_id="x"), "sign-in": sign_in}
        answers = {name: await user.get(address) for name, address in addresses.items()}
        await user.post(sign_in.partition("?")[0], {"service": redirect})
        answers["console"] = await user.get(redirect)
        return {
            name: Page(html, response.headers["Content-Security-Policy"], language)
            for name, (response, html) in answers.items()
        }


@asynccontextmanager
async def gallery(language: Language = Language.ENGLISH) -> AsyncIterator[dict[str, str]]:
    """Serve all pages; the value is their addresses by name."""
    pages = all_pages(language) | await sandbox_pages(language)
    is_over = asyncio.Event()

    async def show(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "done":
            await is_over.wait()
        if name not in pages:
            raise web.HTTPNotFound
        headers = {"Content-Security-Policy": pages[name].policy}
        return web.Response(text=pages[name].html, content_type="text/html", headers=headers)

    app = web.Application()
    app.router.add_get("/{name}", show)
    async with Server() as server:
        await server.serve(app)
        yield {name: f"{server.address}/{name}" for name in pages}
        is_over.set()
