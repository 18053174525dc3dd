"""Starting over: the state is gone, and the tab that brought the redirect is led to the Git host again."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest
from command import surroundings, use_temporary_folder
from listener_desk import GENUINE, OURS, RedirectReceiver, ask, listening, paste
from paper_doors import CREATED, PaperDoors, PaperService
from yarl import URL

from oauth_helper.browsers.discovery import Family, choose_here
from oauth_helper.errors import CodeOrStateInvalidError, NoBrowserError, OAuthHelperError
from oauth_helper.events import Captured, Event, Linked, Opened, Waiting, Way
from oauth_helper.i18n import _
from oauth_helper.link_steps import Doors
from oauth_helper.link_steps import link as link_steps
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import Authorization, LinkRequest, RepoType
from oauth_helper.receiver import RedirectReceiver as StoryDesk
from oauth_helper.sandbox import Sandbox, play_user
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, Opening


class Told(list[Event]):
    """What is told; ``again`` is set when the redirect is waited for a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.again = asyncio.Event()

    def append(self, event: Event) -> None:
        super().append(event)
        if sum(isinstance(one, Waiting) for one in self) == 2:
            self.again.set()


async def brings(receiver: StoryDesk, way: Way = Way.TERMINAL) -> None:
    state = URL(receiver.authorization_url).query["state"]
    receiver.judge(f"https://console.huaweicloud.com/servicestage/oauth?repo_type=github&code=c&state={state}", way)


class ForgetfulService(PaperService):
    """Refuses the first code and state."""

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        self.calls.append("create")
        if self.calls.count("create") == 1:
            raise CodeOrStateInvalidError(_("used"))
        return CREATED


async def test_who_wants_to_start_over_gets_a_fresh_state_and_who_does_not_the_refusal() -> None:
    doors = PaperDoors(brings, patience=1)
    service = ForgetfulService()
    linked = await link_steps(LinkRequest(RepoType.GITHUB, "my-auth"), service, doors.as_doors())
    assert linked == Linked(CREATED)
    assert service.calls.count("url github None") == 2
    assert doors.kinds().count(Waiting) == 2
    unwilling = PaperDoors(brings)
    with pytest.raises(CodeOrStateInvalidError):
        await link_steps(LinkRequest(RepoType.GITHUB, "my-auth"), ForgetfulService(), unwilling.as_doors())
    assert unwilling.again == ["used"]


@pytest.mark.parametrize(
    ("way", "opened"), [(Way.PAGE, 1), (Way.TERMINAL, 2), (Way.DIRECT, 2), (Way.DELIVER, 2)], ids=str
)
async def test_a_browser_is_opened_again_only_where_no_tab_waits(way: Way, opened: int) -> None:
    told = Told()
    doors = PaperDoors(lambda receiver: brings(receiver, way), told=told, patience=1)

    async def comes_by_the_tab_that_waits() -> None:
        await told.again.wait()
        if doors.receiver and len(doors.opened) == 1:
            await brings(doors.receiver, way)

    tab = asyncio.create_task(comes_by_the_tab_that_waits())
    await link_steps(LinkRequest(RepoType.GITHUB, "my-auth"), ForgetfulService(), doors.as_doors())
    await tab
    assert len(doors.opened) == opened
    assert doors.onward == [None]


async def test_a_pasted_form_that_waits_for_the_end_is_led_to_a_page_with_the_fresh_address() -> None:
    receiver = RedirectReceiver(ending=None)
    async with listening(receiver) as opened:
        pasting = asyncio.create_task(paste(opened, f"https://console.example/?{OURS}"))
        await receiver.arrivals.get()
        receiver.taken.clear()
        receiver.authorization_url = "https://github.com/login/oauth/authorize?state=fresh"
        again = opened.listener.start_over(None)
        answer = await pasting
        assert answer.status == 303
        for address in (answer.headers["location"], again):
            page = await ask(opened.port, address.removeprefix(f"http://127.0.0.1:{opened.port}"))
            assert "authorize?state=fresh" in page.body


async def test_a_tab_that_waits_on_the_final_page_is_led_straight_to_the_git_host() -> None:
    receiver = RedirectReceiver(ending=None)
    onward = "https://github.com/login/oauth/authorize?state=fresh"
    async with listening(receiver) as opened:
        coming = asyncio.create_task(ask(opened.port, GENUINE))
        await receiver.arrivals.get()
        receiver.taken.clear()
        receiver.authorization_url = onward
        opened.listener.start_over(onward)
        done = (await coming).headers["location"]
        again = (await ask(opened.port, done)).headers["location"]
        target = again.removeprefix(f"http://127.0.0.1:{opened.port}")
        page = await ask(opened.port, target)
        assert onward in page.body, "a page begins the navigation, so that it is held"
        cookie = page.headers["set-cookie"].partition(";")[0]
        assert (await ask(opened.port, target, Cookie=cookie)).headers["location"] == onward


class ClumsyClient(ServiceStageClient):
    """Spoils the first code, which costs the state."""

    is_clumsy = True

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        spoilt, self.is_clumsy = self.is_clumsy, False
        code = Secret("spoilt") if spoilt else code
        return await super().create_oauth(repo_type, name=name, code=code, state=state, tag=tag)


async def link_again(sandbox: Sandbox, browser_options: BrowserOptions, told: list[Event]) -> Linked:
    async def starts_over(_error: OAuthHelperError) -> bool:
        return True

    def no_prompt(_offer: Callable[[str], None]) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    listener = Listener()
    async with (
        asyncio.timeout(60),
        ClumsyClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
        Opening(browser_options, listener, told.append) as opening,
    ):
        doors = Doors(
            listener=listener,
            prepare=opening.prepare,
            open_browser=opening.open,
            prompt=no_prompt,
            may_start_over=starts_over,
            announced=nullcontext,
            journal=None,
            tell=told.append,
        )
        return await link_steps(LinkRequest(RepoType.GITHUB, "my-auth", timeout=50), service, doors)


@pytest.mark.parametrize("family", list(Family))
async def test_the_same_window_goes_to_the_git_host_again(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        await choose_here(family, os.environ)
    except NoBrowserError as error:
        pytest.skip(error.message)
    use_temporary_folder(monkeypatch, tmp_path)
    told: list[Event] = []
    async with Sandbox(decision="authorize") as sandbox:
        linked = await link_again(sandbox, BrowserOptions(browser=family, headless=True), told)
        assert sandbox.console.requests == 0
    assert linked.authorization.repo_user == "octocat"
    assert [event for event in told if isinstance(event, Captured)] == [Captured(Way.WINDOW)] * 2
    assert len([event for event in told if isinstance(event, Opened)]) == 1


async def test_the_page_in_the_users_own_browser_takes_the_second_address_too(tmp_path: Path) -> None:
    told = Told()
    async with Sandbox() as sandbox:
        browser_options = BrowserOptions(
            simulated_user=play_user, environ=surroundings(PATH=str(tmp_path), BROWSER="", DISPLAY="")
        )
        waiting = asyncio.create_task(link_again(sandbox, browser_options, told))
        await told.again.wait()
        second = [event for event in told if isinstance(event, Waiting)][-1]
        await play_user(second.listener)
        linked = await waiting
    assert linked.authorization.repo_user == "octocat"
    assert [event.way for event in told if isinstance(event, Captured)] == [Way.PAGE] * 2
