"""Several links in one sitting: one listener and one window, and each link a story of its own."""

import asyncio
from pathlib import Path

import pytest
from command import use_temporary_folder
from support.listener import ADDRESS, Forms, RedirectReceiver, ask, listening, told
from test_window_links import Told, program_of

from oauth_helper.api import run_link
from oauth_helper.apply_file import Applied, Applying, Entry, plan_steps
from oauth_helper.browsers.discovery import Family
from oauth_helper.errors import AuthorizationDeniedError
from oauth_helper.events import Captured, Failed, Linked, Opened, Way
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, SharedSession

TYPES = (RepoType.GITHUB, RepoType.GITLAB, RepoType.BITBUCKET)


def client(sandbox: Sandbox) -> ServiceStageClient:
    return ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key)


@pytest.mark.parametrize("family", list(Family))
async def test_three_git_hosts_are_linked_in_one_window(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await program_of(family)
    use_temporary_folder(monkeypatch, tmp_path)
    tell = Told()
    browser_options = BrowserOptions(browser=program, headless=True)
    entries = [Entry(f"my-{repo_type}", repo_type) for repo_type in TYPES]
    results: list[Applied] = []
    async with Sandbox(decision="authorize") as sandbox, client(sandbox) as service, asyncio.timeout(50):
        applying = Applying(service, browser_options, tell, results.append, environ={}, journal=None, timeout=40)
        await applying.carry_out(plan_steps(entries, []))
        assert sandbox.console.requests == 0
    linked = [result.outcome for result in results]
    assert [one.authorization.repo_type for one in linked if isinstance(one, Linked)] == list(TYPES)
    assert len([event for event in tell.events if isinstance(event, Opened)]) == 1
    assert [event.way for event in tell.events if isinstance(event, Captured)] == [Way.WINDOW] * 3
    assert list(tmp_path.glob("oauth-helper-*")) == [], "no profile is left"


async def test_a_tab_that_has_seen_one_end_goes_on_to_the_next_story_and_stays_there() -> None:
    first, second = (
        RedirectReceiver(),
        RedirectReceiver(authorization_url="https://gitlab.example/oauth", repo_type=RepoType.GITLAB),
    )
    async with listening(RedirectReceiver()) as opened:
        await opened.listener.serve(first, more_to_come=True)
        done = opened.listener.done_address.removeprefix(f"http://127.0.0.1:{opened.port}")
        first.judge(ADDRESS, Way.WINDOW)
        page = await ask(opened.port, done)
        assert told(page) == "linked"
        refresh = [meta["content"] for meta in Forms(page.body).all("meta") if meta.get("http-equiv") == "refresh"]
        assert refresh == [f"1; url={done}"]
        assert "goes on to the next account by itself" in page.body
        await opened.listener.serve(second)
        onward = (await ask(opened.port, done)).headers["location"]
        assert opened.listener.handed_on
        opened.listener.handed_on.lead(None)
        page = await ask(opened.port, onward.removeprefix(f"http://127.0.0.1:{opened.port}"))
        assert "gitlab.example" in page.body
        assert (await ask(opened.port, f"/start?k={opened.key}")).status == 404, "the story before is over"
        second.judge(ADDRESS, Way.PAGE)
        assert "goes on" not in (await ask(opened.port, done)).body


async def test_a_denial_in_the_middle_ends_that_link_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = await program_of(Family.CHROMIUM)
    use_temporary_folder(monkeypatch, tmp_path)
    tell = Told()
    browser_options = BrowserOptions(browser=program, headless=True)
    async with (
        Sandbox(decision="deny") as denying,
        client(denying) as service,
        SharedSession(browser_options, tell) as session,
    ):
        for more_to_come in (True, False):
            with pytest.raises(AuthorizationDeniedError):
                await run_link(
                    LinkRequest(RepoType.GITHUB, "my-auth", timeout=40),
                    service,
                    browser_options,
                    tell,
                    journal=None,
                    session=session,
                    more_to_come=more_to_come,
                )
    assert [type(event) for event in tell.events if isinstance(event, Failed | Linked)] == [Failed, Failed]
    assert len([event for event in tell.events if isinstance(event, Opened)]) == 1
