"""Whether to start over: asked on a terminal, for a while, and in a window that stays for the links that follow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from command import use_temporary_folder
from support.pseudo_terminal import Terminal, standard_input, terminal
from test_start_over import ClumsyClient
from test_window_links import Told, program_of

from oauth_helper.api import run_link
from oauth_helper.browsers.discovery import Family
from oauth_helper.errors import CodeOrStateInvalidError
from oauth_helper.events import Captured, Opened, Way
from oauth_helper.i18n import Text, _
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.session import BrowserOptions, SharedSession, ask_to_start_over

__all__ = ["terminal"]

USED = CodeOrStateInvalidError(_("used"))


async def said(lines: asyncio.Queue[Text], words: str) -> None:
    async with asyncio.timeout(40):
        while words not in await lines.get():
            pass


async def test_who_presses_enter_starts_over(terminal: Terminal) -> None:
    lines: asyncio.Queue[Text] = asyncio.Queue()
    with standard_input(terminal):
        asked = asyncio.create_task(ask_to_start_over(USED, BrowserOptions(say=lines.put_nowait)))
        await said(lines, "used.")
        await said(lines, "Press Enter to start over")
        await terminal.types(b"https://github.com/?code=1\r")
        await said(lines, "No address is waited for now")
        assert not asked.done()
        await terminal.types(b"\r")
        assert await asked
    assert terminal.is_as_found()


async def test_who_does_nothing_for_long_starts_nothing_over(terminal: Terminal) -> None:
    lines: asyncio.Queue[Text] = asyncio.Queue()
    with standard_input(terminal):
        assert not await ask_to_start_over(USED, BrowserOptions(say=lines.put_nowait), patience=0.05)
    assert terminal.is_as_found()


async def test_a_window_that_stays_for_more_links_is_led_to_the_git_host_again(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await program_of(Family.CHROMIUM)
    use_temporary_folder(monkeypatch, tmp_path)
    lines: asyncio.Queue[Text] = asyncio.Queue()
    tell = Told()
    browser_options = BrowserOptions(browser=program, headless=True, say=lines.put_nowait)
    request = LinkRequest(RepoType.GITHUB, "my-auth", timeout=40)
    async with (
        Sandbox(decision="authorize") as sandbox,
        ClumsyClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
        SharedSession(browser_options, tell) as session,
        asyncio.TaskGroup() as tasks,
    ):
        with standard_input(terminal):
            linking = tasks.create_task(
                run_link(request, service, browser_options, tell, journal=None, session=session, more_to_come=True)
            )
            await said(lines, "Press Enter to start over")
            await terminal.types(b"\r")
            assert (await linking).authorization.repo_user == "octocat"
    assert [event for event in tell.events if isinstance(event, Captured)] == [Captured(Way.WINDOW)] * 2
    assert len([event for event in tell.events if isinstance(event, Opened)]) == 1
