"""What people read while a link runs, and when it is stopped."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession
from support.command_runner import commands
from support.link_script import LINK
from support.screen import terminal

from oauth_helper.cli import progress
from oauth_helper.cli.console import width_of
from oauth_helper.cli.progress import ProgressReporter
from oauth_helper.environment import Environment, Place
from oauth_helper.errors import StoppedError
from oauth_helper.events import (
    Captured,
    Checked,
    Deleted,
    Deleting,
    Event,
    Exchanging,
    Guidance,
    GuidanceDue,
    Joined,
    Linked,
    NotOpened,
    Opened,
    Opening,
    Waiting,
    Warned,
    Way,
    WindowClosed,
)
from oauth_helper.i18n import Language, _, catalog_of
from oauth_helper.models import Authorization, RepoType
from oauth_helper.sandbox import Sandbox

LISTENER = "http://127.0.0.1:4711/start?k=KEY"
URL = "https://github.com/login/oauth/authorize"
WAITING = Waiting(LISTENER, URL, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
WINDOW, PAGE = Opened("Chromium", window=True), Opened("firefox")
STOPPED_AT_CREATION = 'Terminated while ServiceStage was creating "my-auth"'
PLACES = [
    Environment(Place.SSH, "ada@198.51.100.7"),
    Environment(Place.CODESPACE, codespace="fluffy"),
    *map(Environment, Place),
]


def reporter(
    *events: Event, quiet: bool = False, takes_pastes: bool = False, countdown: bool = False
) -> ProgressReporter:
    reporter = ProgressReporter(quiet=quiet, verbosity=0)
    reporter.takes_pastes, reporter.has_status_line = takes_pastes, countdown
    for event in events:
        reporter.tell(event)
    return reporter


def test_quiet_prints_what_the_user_must_do_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    link = (Checked("my-auth", RepoType.GITHUB), WAITING)
    reporter(*link, Warned(_("odd")), Opening("Chromium"), WINDOW, quiet=True)
    assert capsys.readouterr().err == "Opened a Chromium window. Authorize there; nothing to copy.\n"
    reporter(*link, Warned(_("odd")), PAGE, quiet=True)
    assert capsys.readouterr().err.splitlines()[1:] == [f"  {LISTENER}"]
    reporter(*link, PAGE, Warned(_("odd")))
    printed = capsys.readouterr().err
    assert 'Linking GitHub to ServiceStage as "my-auth".\n' in printed
    assert f"  {LISTENER}\n" in printed
    assert "warning: odd\n" in printed


def test_the_window_is_announced_before_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(WAITING, Opening("Chromium"))
    assert capsys.readouterr().err == "Opening a Chromium window…\n"
    reporter(WAITING, WINDOW)
    at = WAITING.expires_at.astimezone().strftime("%H:%M:%S")
    assert capsys.readouterr().err.endswith(f"Waiting for you to authorize, until {at}.\n")


def test_the_help_names_the_keys_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    reporter().keys["a"]()
    assert capsys.readouterr().err == "", "nothing is waited for yet"
    reporter(WAITING, PAGE).keys["?"]()
    assert "b: use" not in capsys.readouterr().err
    reporter(WAITING, WINDOW).keys["？"]()
    assert "b: use your own browser" in capsys.readouterr().err
    closed = reporter(WAITING, WINDOW, WindowClosed(), takes_pastes=True)
    assert "Press Enter to open it again; b and Enter" in capsys.readouterr().err
    closed.keys["?"]()
    assert "Enter alone: open the window again\nb: use your own browser\n" in capsys.readouterr().err
    reporter(WAITING, WINDOW, WindowClosed())
    assert f"  {LISTENER}\n" in capsys.readouterr().err


def test_a_joined_link_takes_an_address_at_the_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(Joined("my-auth"), takes_pastes=True)
    assert "You can also paste its final address here; Ctrl-C cancels." in capsys.readouterr().err
    reporter(Joined("my-auth"))
    assert "paste" not in capsys.readouterr().err


async def test_the_countdown_starts_with_the_browser_and_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    others = asyncio.all_tasks()
    expired = Waiting(LISTENER, "", datetime.now(UTC) - timedelta(seconds=1))
    reporter(expired, WINDOW, countdown=True)
    await asyncio.gather(*(asyncio.all_tasks() - others))
    waiting = reporter(Waiting(LISTENER, "", datetime.now(UTC) + timedelta(seconds=60)), countdown=True)
    await asyncio.sleep(0)
    assert "left" not in capsys.readouterr().err
    waiting.tell(WINDOW)
    await asyncio.sleep(0)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith("Waiting for you to authorize… 1:00 left (Ctrl-C to cancel)")
    waiting.stop_countdown()
    assert capsys.readouterr().err == "\r\x1b[2K"


@pytest.mark.parametrize(
    ("language", "verbs"), [(Language.ENGLISH, ("Waiting", "Paste")), (Language.CHINESE, ("等待", "粘贴"))]
)
@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_the_waiting_line_keeps_its_verb(language: Language, verbs: tuple[str, str], columns: int) -> None:
    for opened, takes_pastes, verb in ((WINDOW, True, verbs[0]), (PAGE, True, verbs[1]), (PAGE, False, verbs[0])):
        waiting = reporter(WAITING, opened, takes_pastes=takes_pastes)
        texts = [text.translated(catalog_of(language)) for text in waiting._countdown_texts(597)]
        fitting = next(text for text in texts if width_of(text) < columns)
        assert verb in fitting
        assert columns < 60 or "9:57" in fitting


@pytest.mark.parametrize(
    ("linked", "words"),
    [
        (Linked(Authorization("my-auth", "github", status=0)), 'Linked "my-auth" (GitHub).\n'),
        (
            Linked(Authorization("my-auth", "github", repo_user="octocat", status=0), kept=True),
            '"my-auth" is already linked (octocat on GitHub); kept. Use --if-exists replace to relink it.\n',
        ),
        (
            Linked(Authorization("my-auth", "github", status=1)),
            'Linked "my-auth" (GitHub).\nwarning: ServiceStage reports that it does not work yet: expired.\n',
        ),
    ],
)
def test_a_good_end_is_one_line(linked: Linked, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    reporter().print_linked(linked)
    assert capsys.readouterr().err == words


@pytest.mark.parametrize(
    ("events", "message", "hint"),
    [
        ((), "Terminated. Nothing was created", ""),
        (
            (Captured(Way.PAGE), Deleting("my-auth", kept=True)),
            'Terminated while ServiceStage was deleting "my-auth", which may be gone',
            "Run `oauth-helper resume` within 10 minutes",
        ),
        (
            (Captured(Way.PAGE), Deleting("my-auth", kept=True), Deleted("my-auth"), Exchanging(kept=True)),
            f'{STOPPED_AT_CREATION}. The old authorization "my-auth" is deleted',
            "Run `oauth-helper resume` within 10 minutes",
        ),
        (
            (Captured(Way.PAGE), Exchanging(kept=False)),
            STOPPED_AT_CREATION,
            "`oauth-helper show my-auth` tells whether it exists.",
        ),
    ],
)
def test_a_stopped_link_says_what_is_unfinished(events: tuple[Event, ...], message: str, hint: str) -> None:
    stopped = StoppedError(_("Terminated"))
    reporter(*events).explain_stop(stopped, "my-auth")
    assert stopped.message == message
    assert stopped.hint.startswith(hint)
    reporter(*events).explain_stop(stopped, "my-auth", in_sandbox=True)
    assert not events or "resume" not in stopped.hint


@pytest.mark.parametrize(
    ("guidance", "happened", "remedy"),
    [
        (Guidance.HTTPS, "Your browser forces HTTPS", "http:// in front"),
        (Guidance.LOCALHOST, 'requested as "localhost"', "127.0.0.1"),
        (Guidance.OTHER_USER, "Another user of this machine", "as the user who runs this command"),
        (Guidance.OTHER_ATTEMPT, "an earlier attempt", "in the newest one"),
        (Guidance.NOT_WHOLE, "was cut off", "Copy all of it"),
        (Guidance.UNREACHED, "No browser has opened the page", "paste the final address here"),
        (Guidance.UNDECIDED, "Still waiting", "paste the final address"),
    ],
)
def test_guidance_says_what_happened_and_what_to_do(
    guidance: Guidance, happened: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter(WAITING, GuidanceDue(guidance), takes_pastes=True)
    told = capsys.readouterr().err
    assert told.index(happened) < told.index(remedy)
    assert len(told) < 4 * 80
    reporter(WAITING, GuidanceDue(guidance))
    assert "or here" not in capsys.readouterr().err
    reporter(WAITING, GuidanceDue(guidance), quiet=True)
    reporter(GuidanceDue(guidance))
    assert capsys.readouterr().err == ""


def test_with_a_window_there_is_nothing_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    for takes_pastes, end in ((True, "type b and press Enter.\n"), (False, "Authorize there.\n")):
        reporter(WAITING, WINDOW, GuidanceDue(Guidance.UNDECIDED), takes_pastes=takes_pastes)
        assert capsys.readouterr().err.endswith(end)


@pytest.mark.parametrize("pastes", [True, False])
@pytest.mark.parametrize("here", PLACES, ids=lambda here: f"{here.place}{here.codespace}")
def test_everywhere_there_is_a_way_to_the_page_and_one_without_it(
    here: Environment, pastes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "find_environment", lambda *_, **__: here)
    reporter(WAITING, NotOpened(), takes_pastes=pastes, quiet=True)
    *first, page, text, url = capsys.readouterr().err.splitlines()[-5:]
    assert (page, url) == (f"  {LISTENER}", f"  {URL}")
    assert ("or here" in text) is pastes
    tunnel = here.way_to(4711)
    assert (first[:1] == [f"  {tunnel}"]) is (here.place is Place.SSH or bool(here.codespace))
    reporter(WAITING, GuidanceDue(Guidance.UNREACHED), takes_pastes=pastes)
    text, what = capsys.readouterr().err.splitlines()
    assert ("`oauth-helper deliver`" in text) is not pastes
    assert what == f"  {tunnel or URL}"
    reporter(WAITING, PAGE, takes_pastes=pastes)
    is_between = here.place in {Place.WSL, Place.CODESPACE, Place.GITPOD, Place.DEV_CONTAINER}
    assert ("type a and press Enter." in capsys.readouterr().err) is (is_between and pastes)


@pytest.mark.parametrize("flags", [(), ("--quiet",)])
async def test_a_page_that_is_requested_twice_gets_a_new_address(sandbox: Sandbox, flags: tuple[str, ...]) -> None:
    command = (*LINK, "--no-browser", *flags)
    async with terminal(*command, environ=commands.environ(sandbox)) as screen:
        first = (await screen.line_with("/start?k=")).split()[-1]
        async with ClientSession() as browser:
            for status, title in ((200, "Link your GitHub account"), (404, "This page is already open")):
                async with browser.get(first) as answer:
                    assert (answer.status, title in await answer.text()) == (status, True)
            await screen.until("The page is already open")
            async with asyncio.timeout(10), browser.get((await screen.line_with("/start?k=")).split()[-1]) as answer:
                assert 'id="authorize"' in await answer.text()
        screen.type("\x03")
        assert await screen.ended() == 130


@pytest.mark.parametrize(
    ("variables", "is_link"),
    [
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "dumb", "TERM_PROGRAM": "iTerm.app"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TMUX": "/run/tmux,1,0"}, False),
    ],
)
async def test_an_address_is_a_link_if_the_terminal_shows_links(
    sandbox: Sandbox, variables: dict[str, str], is_link: bool
) -> None:
    environ = commands.environ(sandbox, **variables)
    async with terminal(*LINK, "--no-browser", environ=environ) as screen:
        await screen.until("/start?k=")
        screen.type("\x03")
        assert await screen.ended() == 130
    assert ("\x1b]8;;http://127.0.0.1:" in screen.everything) is is_link
