"""A session: how it plans and opens browsers, with real ones, and how several links share it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from link.scripted_link import OURS
from support.command_runner import commands, use_temporary_folder
from support.recorded_events import RecordedEvents
from support.redirect_cases import AUTHORIZATION_URL
from support.window_links import REQUEST, client, link, program_of
from terminal.pseudo_terminal import Terminal, standard_input, terminal
from yarl import URL

from oauth_helper.apply_file import Applied, Entry, apply_steps, plan_steps
from oauth_helper.browsers.discovery import Family
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    NoBrowserError,
    OAuthHelperError,
)
from oauth_helper.events import (
    Captured,
    Linked,
    NotOpened,
    Opened,
    PageOpened,
    Waiting,
    Way,
    WindowClosed,
)
from oauth_helper.i18n import Text, _
from oauth_helper.link_steps import link_in_browser
from oauth_helper.models import Authorization, RepoType
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.sandbox import Sandbox, play_user
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, BrowserPlan, Session, plan_browser

__all__ = ["terminal"]

USED = CodeOrStateInvalidError(_("used"))
TYPES = (RepoType.GITHUB, RepoType.GITLAB, RepoType.BITBUCKET)


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the profiles of windows."""
    folder = tmp_path / "t"
    folder.mkdir()
    use_temporary_folder(monkeypatch, folder)
    return folder


def program(folder: Path, name: str, script: str) -> str:
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


def desktop(folder: Path) -> dict[str, str]:
    return {"PATH": str(folder), "HOME": str(folder), "DISPLAY": ":of-nobody"}


# The plan: a snap's Chromium can be driven by every user of the machine.


@pytest.fixture
def snap(tmp_path: Path) -> Path:
    """As /snap/bin/chromium is a link to /usr/bin/snap."""
    (tmp_path / "chromium").symlink_to(program(tmp_path, "snap", ""))
    return tmp_path


async def planned(folder: Path, browser: str = "auto") -> BrowserPlan:
    return await plan_browser(BrowserOptions(browser=browser, environ=desktop(folder)))


async def test_a_snaps_chromium_is_no_window_unless_the_user_demands_it(snap: Path) -> None:
    plan = await planned(snap)
    assert plan.opens_default
    assert "other users of this machine could drive one in Chromium, as it is a snap or flatpak" in plan.warning
    assert plan.windows == ()
    plan = await planned(snap, "chromium")
    assert [browser.name for browser in plan.windows] == ["Chromium"]
    assert plan.warning.startswith("Other users of this machine can drive a window of Chromium")


async def test_a_snaps_firefox_is_a_window_because_only_one_program_can_drive_it(snap: Path) -> None:
    (snap / "firefox").symlink_to(snap / "snap")
    plan = await planned(snap)
    assert [browser.name for browser in plan.windows] == ["Firefox"]
    assert not plan.warning


async def test_on_a_build_service_a_link_needs_a_script(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "CI": "true"}
    with pytest.raises(NoBrowserError, match="no one can authorize"):
        await plan_browser(BrowserOptions(environ=environ))
    plan = await plan_browser(BrowserOptions(environ=environ, has_script=True))
    assert plan.why.endswith("the addresses are printed")


# Opening: when it does not go as planned, or the redirect comes first.


def receiver_for(told: RecordedEvents, *, without: str = "", port: int = 9) -> RedirectReceiver:
    # Usually no server listens there: it does not matter what the window shows.
    url = URL(AUTHORIZATION_URL.replace("https://github.com", f"http://127.0.0.1:{port}")).without_query_params(without)
    return RedirectReceiver(AuthorizationRequest.parse(str(url), RepoType.GITHUB), told)


@asynccontextmanager
async def listening(
    told: RecordedEvents, options: BrowserOptions, *, is_shared: bool = False
) -> AsyncIterator[Session]:
    async with Session(options, told, is_shared=is_shared) as session, session.listening():
        yield session


@asynccontextmanager
async def browsing(session: Session, receiver: RedirectReceiver, *, more_to_come: bool = False) -> AsyncIterator[None]:
    async with session.browsing(receiver, seconds=40, more_to_come=more_to_come):
        yield
        receiver.give_up(TimeoutError())
    await asyncio.gather(receiver.redirect(), return_exceptions=True)


async def test_a_git_host_that_does_not_say_where_it_redirects_gets_the_default_browser(tmp_path: Path) -> None:
    program(tmp_path, "chromium", "exit 7")
    program(tmp_path, "xdg-open", f'echo "$1" > {tmp_path}/opened')
    told = RecordedEvents()
    options = BrowserOptions(environ=desktop(tmp_path))
    async with listening(told, options) as session, browsing(session, receiver_for(told, without="redirect_uri")):
        await told.until(Opened)
    waiting = await told.until(Waiting)
    assert (tmp_path / "opened").read_text().strip() == waiting.listener
    assert "does not say where it will redirect to" in told.warnings()
    assert Opened("xdg-open") in told


async def test_the_simulated_user_acts_if_the_planned_browser_fails(tmp_path: Path) -> None:
    program(tmp_path, "xdg-open", "exit 4")
    visited: asyncio.Queue[str] = asyncio.Queue()

    async def simulated_user(address: str) -> None:
        visited.put_nowait(address)

    told = RecordedEvents()
    options = BrowserOptions(environ=desktop(tmp_path), simulated_user=simulated_user)
    async with listening(told, options) as session, browsing(session, receiver_for(told)):
        assert await visited.get() == told.of(Waiting)[0].listener
    assert "xdg-open ended with status 4: a simulated user authorizes instead." in told.warnings()


async def test_a_browser_that_fails_after_the_redirect_is_not_reported(tmp_path: Path) -> None:
    program(tmp_path, "xdg-open", f'while [ ! -e "{tmp_path}/go" ]; do read -t 0.01 <> <(:); done; exit 4')
    told = RecordedEvents()
    receiver = receiver_for(told)
    options = BrowserOptions(browser="default", environ=desktop(tmp_path))
    async with listening(told, options) as session, browsing(session, receiver):
        receiver.judge(OURS, Way.TERMINAL)
        told.clear()
        (tmp_path / "go").touch()
    assert not told


@pytest.fixture
async def closable(tmp_path: Path) -> tuple[str, Callable[[], None]]:
    """A browser for windows, and what closes its window."""
    chromium = await program_of(Family.CHROMIUM)
    browser = program(tmp_path, "chromium", f'echo $$ > "{tmp_path}/pid"\nexec "{chromium}" "$@"')
    return browser, lambda: os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


async def test_a_shared_window_goes_on_even_if_its_tab_did_not_bring_the_last_redirect(
    closable: tuple[str, Callable[[], None]],
) -> None:
    told, asked = RecordedEvents(), asyncio.Queue[bytes]()

    async def git_host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(git_host, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        first, second = (receiver_for(told, port=port) for _ in range(2))
        async with listening(told, BrowserOptions(browser=closable[0], headless=True), is_shared=True) as session:
            async with browsing(session, first, more_to_come=True):
                await told.until(Opened)
                first.judge(OURS, Way.TERMINAL)
            while not asked.empty():
                asked.get_nowait()
            async with browsing(session, second), asyncio.timeout(20):
                assert b"/authorize" in await asked.get()
    assert not told.of(NotOpened)


# Whole links through real windows.


@pytest.mark.parametrize("family", list(Family))
async def test_the_redirect_comes_by_itself_and_the_console_sees_nothing(family: Family, profiles: Path) -> None:
    await program_of(family)
    told = RecordedEvents()
    async with Sandbox(decision="authorize") as sandbox:
        linked = await link(sandbox, family, told)
        assert sandbox.console.requests == 0
    assert linked.authorization.repo_user == "octocat"
    assert Captured(Way.WINDOW) in told
    assert [event.window for event in told if isinstance(event, Opened)] == [True]
    assert PageOpened() in told, "otherwise the user would get the guidance that no browser has reached us"
    assert not list(profiles.iterdir())


async def test_a_demanded_browser_that_cannot_be_a_window_is_an_error(tmp_path: Path, profiles: Path) -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(NoBrowserError, match="7"):
            await link(sandbox, program(tmp_path, "chromium", "exit 7"), RecordedEvents())
    assert not list(profiles.iterdir())


@pytest.mark.parametrize(
    ("script", "warning"),
    [
        ("exit 7", "No dedicated window: Chromium"),
        # These show what they are sent to, as a user's browser does, but cannot be driven.
        (
            (
                'echo "DevTools remote debugging is disallowed by the system admin." >&2\n'
                '{user} "${{@: -1}}"\nexec {sleep} 60'
            ),
            "polic",
        ),
        ('echo "nothing of use" >&2\n{user} "${{@: -1}}"\nexec {sleep} 60', "within"),
    ],
    ids=["it fails", "a policy forbids it", "it never answers"],
)
async def test_without_a_window_the_page_takes_the_address(
    tmp_path: Path, profiles: Path, script: str, warning: str
) -> None:
    user = commands.environ()["BROWSER"]
    program(tmp_path, "chromium", script.format(user=user, sleep=shutil.which("sleep")))
    program(tmp_path, "xdg-open", f'exec {user} "$1"')
    told = RecordedEvents()
    async with Sandbox() as sandbox:
        environ = commands.environ(PATH=str(tmp_path), BROWSER="", DISPLAY=":of-nobody")
        linked = await link(sandbox, "auto", told, environ=environ)
    assert linked.authorization.repo_user == "octocat"
    assert Captured(Way.PAGE) in told
    assert warning in told.warnings()
    assert ("The page in that window takes the address instead" in told.warnings()) is ("exit" not in script)
    assert not list(profiles.iterdir())


async def test_a_window_that_the_user_closes_is_reported_and_the_wait_continues(
    closable: tuple[str, Callable[[], None]], profiles: Path
) -> None:
    browser, close = closable
    told = RecordedEvents()
    async with Sandbox() as sandbox:
        linking = asyncio.create_task(link(sandbox, browser, told))
        await told.until(Opened)
        close()
        await told.until(WindowClosed)
        assert not linking.done()
        linking.cancel()
        await asyncio.gather(linking, return_exceptions=True)
    assert not list(profiles.iterdir())


# Several links in one session.


@pytest.mark.parametrize("family", list(Family))
async def test_three_git_hosts_are_linked_in_one_window(family: Family, profiles: Path) -> None:
    options = BrowserOptions(browser=await program_of(family), headless=True)
    told, results = RecordedEvents(), list[Applied]()
    steps = plan_steps([Entry(f"my-{repo_type}", repo_type) for repo_type in TYPES], [])
    async with Sandbox(decision="authorize") as sandbox, client(sandbox) as service, asyncio.timeout(50):
        async with Session(options, told, is_shared=True) as session:
            await apply_steps(steps, service, session, results.append, environ={}, timeout=40)
        assert sandbox.console.requests == 0
    linked = [result.outcome for result in results]
    assert [one.authorization.repo_type for one in linked if isinstance(one, Linked)] == list(TYPES)
    assert len(told.of(Opened)) == 1
    assert told.of(Captured) == [Captured(Way.WINDOW)] * 3
    assert not list(profiles.iterdir())


# Starting over.


class SpoilingClient(ServiceStageClient):
    """Replaces the first code, so that ServiceStage refuses the state."""

    has_spoilt = False

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        code, self.has_spoilt = code if self.has_spoilt else Secret("spoilt"), True
        return await super().create_oauth(repo_type, name=name, code=code, state=state, tag=tag)


class WillingSession(Session):
    """Its user starts over."""

    async def may_start_over(self, error: OAuthHelperError, *, seconds: float = 0) -> bool:
        return True


async def link_twice(sandbox: Sandbox, options: BrowserOptions, told: RecordedEvents) -> Linked:
    async with client(sandbox, SpoilingClient) as service, WillingSession(options, told) as session:
        async with asyncio.timeout(60):
            return await link_in_browser(REQUEST, service, session)


async def test_the_page_in_the_users_own_browser_takes_the_second_address_too(tmp_path: Path) -> None:
    told = RecordedEvents()
    environ = commands.environ(PATH=str(tmp_path), BROWSER="", DISPLAY="")
    async with Sandbox() as sandbox:
        linking = asyncio.create_task(
            link_twice(sandbox, BrowserOptions(simulated_user=play_user, environ=environ), told)
        )
        second = await told.until(Waiting, 2)
        await play_user(second.listener)
        linked = await linking
    assert linked.authorization.repo_user == "octocat"
    assert told.of(Captured) == [Captured(Way.PAGE)] * 2


async def until_said(lines: asyncio.Queue[Text], words: str) -> None:
    async with asyncio.timeout(40):
        while words not in await lines.get():
            pass


async def test_the_user_starts_over_with_enter(terminal: Terminal) -> None:
    lines: asyncio.Queue[Text] = asyncio.Queue()
    session = Session(BrowserOptions(say=lines.put_nowait), RecordedEvents())
    with standard_input(terminal):
        asked = asyncio.create_task(session.may_start_over(USED))
        await until_said(lines, "used.")
        await until_said(lines, "Press Enter to start over")
        await terminal.types(b"https://github.com/?code=1\r")
        await until_said(lines, "No address is expected now")
        assert not asked.done()
        await terminal.types(b"\r")
        assert await asked
    assert terminal.is_as_found()


async def test_a_user_who_does_nothing_and_one_without_a_terminal_start_nothing_over(terminal: Terminal) -> None:
    lines: asyncio.Queue[Text] = asyncio.Queue()
    with standard_input(terminal):
        assert not await Session(BrowserOptions(say=lines.put_nowait), RecordedEvents()).may_start_over(
            USED, seconds=0.05
        )
    assert terminal.is_as_found()
    assert not await Session(BrowserOptions(), RecordedEvents()).may_start_over(USED)


async def test_a_shared_window_goes_to_the_git_host_again(terminal: Terminal) -> None:
    lines: asyncio.Queue[Text] = asyncio.Queue()
    told = RecordedEvents()
    options = BrowserOptions(browser=await program_of(Family.CHROMIUM), headless=True, say=lines.put_nowait)
    async with (
        Sandbox(decision="authorize") as sandbox,
        client(sandbox, SpoilingClient) as service,
        Session(options, told, is_shared=True) as session,
    ):
        with standard_input(terminal):
            linking = asyncio.create_task(link_in_browser(REQUEST, service, session, more_to_come=True))
            await until_said(lines, "Press Enter to start over")
            await terminal.types(b"\r")
            assert (await linking).authorization.repo_user == "octocat"
    assert told.of(Captured) == [Captured(Way.WINDOW)] * 2
    assert len(told.of(Opened)) == 1
