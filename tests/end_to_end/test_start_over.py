"""A state that is truly gone: one key begins again on a terminal, and a script is told."""

from support.command_runner import commands, error_of, records
from support.link_script import LINK, bring, consent, entries, holding, scripted, secrets_of, spend
from support.screen import Screen, terminal

from oauth_helper.sandbox import Sandbox

REFUSED = "Press Enter to start over, Ctrl-C to cancel."


async def authorization_url(screen: Screen) -> str:
    """Wait until one is shown, after what is known already."""
    return (await screen.line_with("/login/oauth/authorize?")).split()[-1]


async def test_enter_begins_again_with_a_fresh_state(sandbox: Sandbox) -> None:
    async with terminal(*LINK, "--no-browser", environ=commands.environ(sandbox)) as screen:
        first = await consent(await authorization_url(screen))
        await spend(sandbox, first)
        screen.type(f"{first}\n")
        await screen.until(REFUSED)
        assert "SVCSTG.REPO.0402" in screen.shown
        assert holding(*secrets_of(first)) == entries() == []
        screen.type(f"{first}\n")
        await screen.until("No address is expected now")
        screen.type("\n")
        second = await consent(await authorization_url(screen))
        assert not set(secrets_of(first)) & set(secrets_of(second))
        screen.type(f"{second}\n")
        assert await screen.ended() == 0, screen.shown
    assert "(octocat on GitHub)." in screen.shown
    assert len(await records(sandbox)) == 1
    assert entries() == []


async def test_control_c_at_the_question_leaves_nothing(sandbox: Sandbox) -> None:
    async with terminal(*LINK, "--no-browser", environ=commands.environ(sandbox)) as screen:
        first = await consent(await authorization_url(screen))
        await spend(sandbox, first)
        screen.type(f"{first}\n")
        await screen.until(REFUSED)
        screen.type("\x03")
        assert await screen.ended() == 130
    assert "Cancelled. Nothing was created" in screen.shown
    assert "resume" not in screen.shown
    assert await records(sandbox) == []
    assert entries() == []


async def test_without_a_terminal_it_is_refused(sandbox: Sandbox) -> None:
    async with scripted(environ=commands.environ(sandbox)) as script:
        redirect = await script.consent()
        await spend(sandbox, redirect)
        page = await bring(script.listener, redirect)
        end = await script.ended()
    assert end.status == 6
    assert 'data-outcome="failed"' in page
    assert error_of(end.err)["code"] == script.events[-1]["error"]["code"] == "SVCSTG.REPO.0402"
    assert holding(*secrets_of(redirect)) == entries() == []
