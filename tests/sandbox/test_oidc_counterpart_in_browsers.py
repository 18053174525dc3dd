"""Sign-in and consent at a certified OpenID provider in a real Chromium and Firefox: our window, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.oidc_provider import LOGIN, OidcProvider, oidc_provider
from support.command_runner import commands, use_temporary_folder
from support.recorded_events import RecordedEvents
from support.thoroughness import some_of
from support.window_links import link, program_of

from oauth_helper.browsers.discovery import Family
from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Captured, Way
from oauth_helper.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


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
