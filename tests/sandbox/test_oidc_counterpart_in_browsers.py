"""Sign-in and consent at a certified OpenID provider in a real Chromium and Firefox: our window, and the user's own."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
from browsers.browser_session import Browser, Chromium, Firefox, Tab
from sandbox.oidc_provider import LOGIN, OidcProvider, oidc_provider
from support.command_runner import commands, use_temporary_folder
from support.link_script import Script, scripted
from support.recorded_events import RecordedEvents
from support.thoroughness import some_of
from support.window_links import link, program_of

from oauth_helper.browsers.discovery import Family
from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Captured, Way
from oauth_helper.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SIGN_IN = """(() => {
    for (const field of document.querySelectorAll("input[required]")) field.value = LOGIN;
    document.querySelector("form [type=submit]").click();
    return 1;
})()"""
PRESS = """(() => { document.querySelector("form [type=submit]").click(); return 1; })()"""
CANCEL = """(() => { document.querySelector("a[href$='/abort']").click(); return 1; })()"""
PASTE = """(() => {
    document.querySelector("textarea").value = TEXT;
    document.querySelector("button[type=submit]").click();
    return 1;
})()"""
ASKS_WHO_YOU_ARE = "Boolean(document.querySelector('input[name=password]'))"
ASKS_FOR_CONSENT = "Boolean(document.querySelector('input[name=prompt][value=consent]'))"
CONSOLE_ASKS_WHO_YOU_ARE = "location.pathname.startsWith('/authui') && Boolean(document.querySelector('form'))"
AT_THE_END = "location.pathname === '/servicestage/oauth' && document.readyState === 'complete' && location.href"


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "t"
    folder.mkdir()
    use_temporary_folder(monkeypatch, folder)
    return folder


async def asked(provider: OidcProvider) -> str:
    """Return the authorization request that the provider received."""
    return provider.issuer + str((await provider.next("asked"))["target"])


@pytest.mark.parametrize("family", list(Family))
async def test_a_window_captures_the_redirect(family: Family, profiles: Path) -> None:
    await program_of(family)
    told = RecordedEvents()
    async with (
        oidc_provider(hand="authorize") as provider,
        Sandbox(registration=provider.registration) as sandbox,
    ):
        linked = await link(sandbox, family, told)
        assert sandbox.console.requests == 0
        assert {await asked(provider)} == commands.authorization_urls
    assert linked.authorization.repo_user == f"{LOGIN}-of-oidc"
    assert Captured(Way.WINDOW) in told
    assert not list(profiles.iterdir())


@pytest.mark.parametrize("family", some_of(list(Family), one_in=2))
async def test_cancelling_in_a_window_is_a_denial(family: Family, profiles: Path) -> None:
    await program_of(family)
    async with oidc_provider(hand="cancel") as provider, Sandbox(registration=provider.registration) as sandbox:
        with pytest.raises(AuthorizationDeniedError, match="You denied access") as denied:
            await link(sandbox, family, RecordedEvents())
        assert sandbox.console.requests == 0
    assert denied.value.exit_status == 4
    assert not list(profiles.iterdir())


class OwnBrowser(NamedTuple):
    """Our page in the first tab, the provider's in the second."""

    page: Tab
    host: Tab
    link: Script

    async def copy_the_address_over(self) -> None:
        """Sign in at the console, and paste the address of its page into ours."""
        await self.host.wait_for(CONSOLE_ASKS_WHO_YOU_ARE)
        await self.host.evaluate(PRESS)
        redirect = await self.host.wait_for(AT_THE_END)
        await self.page.evaluate(PASTE.replace("TEXT", json.dumps(redirect)))


@asynccontextmanager
async def own_browser(kind: type[Browser], sandbox: Sandbox) -> AsyncIterator[OwnBrowser]:
    if kind.find() is None:
        pytest.skip(f"none of {', '.join(kind.names)} is installed")
    async with kind() as browser, scripted(environ=commands.environ(sandbox)) as script:
        await browser.tab.open((await script.event("waiting"))["listener"])
        await browser.tab.evaluate("document.querySelector('#authorize').click()")
        host = await browser.second_tab()
        await host.wait_for(ASKS_WHO_YOU_ARE)
        yield OwnBrowser(browser.tab, host, script)


@pytest.mark.parametrize("kind", [Chromium, Firefox], ids=["chromium", "firefox"])
async def test_the_users_own_browser_follows_the_manual(kind: type[Browser]) -> None:
    async with oidc_provider() as provider, Sandbox(registration=provider.registration) as sandbox:
        async with own_browser(kind, sandbox) as own:
            await own.host.evaluate(SIGN_IN.replace("LOGIN", json.dumps(LOGIN)))
            await own.host.wait_for(ASKS_FOR_CONSENT)
            await own.host.evaluate(PRESS)
            await own.copy_the_address_over()
            await own.page.wait_for("document.body.dataset.outcome === 'linked'")
            assert f"{LOGIN}-of-oidc" in await own.page.evaluate("document.body.textContent")
            assert (await own.link.ended()).status == 0
        assert {await asked(provider)} == commands.authorization_urls


@pytest.mark.parametrize("kind", some_of([Chromium, Firefox], one_in=2), ids=lambda kind: kind.__name__)
async def test_a_denial_in_the_users_own_browser(kind: type[Browser]) -> None:
    async with (
        oidc_provider() as provider,
        Sandbox(registration=provider.registration) as sandbox,
        own_browser(kind, sandbox) as own,
    ):
        await own.host.evaluate(CANCEL)
        await own.copy_the_address_over()
        await own.page.wait_for("document.body.dataset.outcome === 'denied'")
        assert (await own.link.ended()).status == 4
