"""A link through a window of our own: the story, the listener, the sandbox and a real browser together."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from command import surroundings, use_temporary_folder

from oauth_helper.api import run_link
from oauth_helper.browsers.discovery import Family, choose_here
from oauth_helper.errors import AuthorizationDeniedError, DeadlineError, NoBrowserError
from oauth_helper.events import Captured, Event, Linked, NotOpened, Opened, Visited, Warned, Way
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions


@pytest.fixture
async def agreeing() -> AsyncIterator[Sandbox]:
    """Its user has consented before, so the Git host redirects at once."""
    async with Sandbox(decision="authorize") as sandbox:
        yield sandbox


@pytest.fixture
async def asking() -> AsyncIterator[Sandbox]:
    """It asks for consent, so a window stays until somebody gives it."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "t"
    folder.mkdir()
    use_temporary_folder(monkeypatch, folder)
    return folder


async def program_of(family: Family) -> str:
    try:
        return (await choose_here(family, os.environ))[0].command[0]
    except NoBrowserError as error:
        pytest.skip(error.message)


class Told:
    """What the story tells; somebody may wait for a kind of event."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._came = asyncio.Condition()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._notifying = asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self._came:
            self._came.notify_all()

    async def until(self, kind: type[Event]) -> None:
        async with asyncio.timeout(40), self._came:
            await self._came.wait_for(lambda: any(isinstance(event, kind) for event in self.events))

    def warnings(self) -> str:
        return "\n".join(event.message for event in self.events if isinstance(event, Warned))


async def link(
    sandbox: Sandbox, browser: str, told: Told, *, seconds: float = 45, environ: Mapping[str, str] = os.environ
) -> Linked:
    request = LinkRequest(RepoType.GITHUB, "my-auth", timeout=seconds)
    async with ServiceStageClient(
        sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key
    ) as service:
        return await run_link(
            request, service, BrowserOptions(browser=browser, headless=True, environ=environ), told, journal=None
        )


@pytest.mark.parametrize("family", list(Family))
async def test_the_redirect_comes_by_itself_and_the_console_sees_nothing(
    agreeing: Sandbox, family: Family, profiles: Path
) -> None:
    await program_of(family)
    told = Told()
    linked = await link(agreeing, family, told)
    assert linked.authorization.repo_user == "octocat"
    assert Captured(Way.WINDOW) in told.events
    assert [event.window for event in told.events if isinstance(event, Opened)] == [True]
    assert agreeing.console.requests == 0
    assert not list(profiles.iterdir())


@pytest.mark.parametrize("family", list(Family))
async def test_a_denial_in_the_window_is_a_denial(family: Family, profiles: Path) -> None:
    await program_of(family)
    async with Sandbox(decision="deny") as denying:
        with pytest.raises(AuthorizationDeniedError) as denied:
            await link(denying, family, Told())
        assert denying.console.requests == 0
    assert denied.value.error == "access_denied"
    assert not list(profiles.iterdir())


async def test_a_browser_that_can_be_no_window_is_an_error_where_it_was_demanded(
    asking: Sandbox, tmp_path: Path, profiles: Path
) -> None:
    useless = tmp_path / "chromium"
    useless.write_text("#!/bin/sh\nexit 7\n")
    useless.chmod(0o755)
    with pytest.raises(NoBrowserError, match="7"):
        await link(asking, str(useless), Told())
    assert not list(profiles.iterdir())


async def test_a_browser_that_can_be_no_window_gives_way_to_the_users_own(
    asking: Sandbox, tmp_path: Path, profiles: Path
) -> None:
    for name, does in (("chromium", "exit 7"), ("xdg-open", f'exec {surroundings()["BROWSER"]} "$1"')):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    told = Told()
    environ = surroundings(PATH=str(tmp_path), BROWSER="", DISPLAY=":of-nobody")
    linked = await link(asking, "auto", told, environ=environ)
    assert linked.authorization.repo_user == "octocat"
    assert Captured(Way.PAGE) in told.events
    assert "No window of ours: Chromium" in told.warnings()
    assert not list(profiles.iterdir())


async def test_a_window_that_the_user_closes_is_noticed_and_the_wait_goes_on(
    asking: Sandbox, tmp_path: Path, profiles: Path
) -> None:
    chromium = await program_of(Family.CHROMIUM)
    wrapper = tmp_path / "chromium"
    wrapper.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec "{chromium}" "$@"\n')
    wrapper.chmod(0o755)
    told = Told()
    linking = asyncio.create_task(link(asking, str(wrapper), told))
    await told.until(Opened)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    await told.until(NotOpened)
    assert "window was closed" in told.warnings()
    assert not linking.done()
    linking.cancel()
    await asyncio.gather(linking, return_exceptions=True)
    assert not list(profiles.iterdir())


@pytest.mark.parametrize("family", list(Family))
async def test_a_window_that_stands_has_reached_us(asking: Sandbox, family: Family, profiles: Path) -> None:
    """Else its user would be told after a while that nothing has."""
    await program_of(family)
    told = Told()
    linking = asyncio.create_task(link(asking, family, told))
    await told.until(Opened)
    linking.cancel()
    await asyncio.wait({linking})
    assert Visited() in told.events
    assert not list(profiles.iterdir())


async def test_the_deadline_ends_the_window_too(asking: Sandbox, profiles: Path) -> None:
    await program_of(Family.CHROMIUM)
    with pytest.raises(DeadlineError):
        await link(asking, Family.CHROMIUM, Told(), seconds=4)
    assert asking.console.requests == 0
    assert not list(profiles.iterdir())


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("DevTools remote debugging is disallowed by the system admin.", "polic"),
        ("nothing of use", "within"),
    ],
    ids=["a policy forbids it", "no endpoint ever comes"],
)
async def test_where_nothing_can_be_held_the_same_tab_becomes_the_page(
    asking: Sandbox, tmp_path: Path, profiles: Path, says: str, reason: str
) -> None:
    # A window that shows what it is sent to, as a user's who then pastes, but cannot be driven.
    browser = tmp_path / "chromium"
    browser.write_text(
        f'#!/bin/bash\necho "{says}" >&2\n{surroundings()["BROWSER"]} "${{@: -1}}"\nexec {shutil.which("sleep")} 600\n'
    )
    browser.chmod(0o755)
    told = Told()
    environ = surroundings(PATH=str(tmp_path), BROWSER="", DISPLAY=":of-nobody")
    linked = await link(asking, "auto", told, environ=environ)
    assert linked.authorization.repo_user == "octocat"
    assert Captured(Way.PAGE) in told.events
    assert reason in told.warnings()
    assert "The page in that window takes the address instead" in told.warnings()
    assert not list(profiles.iterdir())
