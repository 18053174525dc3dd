"""What people read while a link runs, and when it is stopped."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession
from support.command_runner import commands
from support.link_script import LINK
from support.screen import terminal

from oauth_helper.cli.console import hyperlink, width_of
from oauth_helper.cli.progress import ProgressReporter, forwarding_text, guidance_text, manual_steps, unreached_text
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
WAITING = Waiting(LISTENER, "https://github.com/login/oauth/authorize", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
STOPPED_AT_CREATION = 'Terminated while ServiceStage was creating "my-auth"'


def reporter(
    *events: Event, quiet: bool = False, takes_pastes: bool = False, countdown: bool = False
) -> ProgressReporter:
    reporter = ProgressReporter(quiet=quiet, verbosity=0)
    reporter.takes_pastes, reporter.has_status_line = takes_pastes, countdown
    for event in events:
        reporter.tell(event)
    return reporter


@pytest.mark.parametrize("guidance", list(Guidance))
def test_guidance_is_printed_while_waiting_and_not_in_quiet(
    capsys: pytest.CaptureFixture[str], guidance: Guidance
) -> None:
    reporter(WAITING)
    waiting = capsys.readouterr().err
    reporter(WAITING, GuidanceDue(guidance))
    assert len(capsys.readouterr().err) > len(waiting)
    reporter(WAITING, GuidanceDue(guidance), quiet=True)
    reporter(GuidanceDue(guidance))
    assert capsys.readouterr().err == ""


def test_without_a_visit_the_guidance_names_the_tunnel(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.9 40000 198.51.100.7 22")
    reporter(WAITING, GuidanceDue(Guidance.UNREACHED))
    printed = capsys.readouterr().err
    assert "No browser has opened the page" in printed
    assert "ssh -L 4711:127.0.0.1:4711" in printed


def test_quiet_prints_what_the_user_must_do_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    link = (Checked("my-auth", RepoType.GITHUB), WAITING)
    reporter(*link, Warned(_("odd")), Opening("Chromium"), Opened("Chromium", window=True), quiet=True)
    assert capsys.readouterr().err == "Opened a Chromium window. Authorize there; nothing to copy.\n"
    reporter(*link, Warned(_("odd")), Opened("firefox"), quiet=True)
    assert capsys.readouterr().err.splitlines()[1:] == [f"  {LISTENER}"]
    reporter(*link, Opened("firefox"), Warned(_("odd")))
    printed = capsys.readouterr().err
    assert 'Linking GitHub to ServiceStage as "my-auth".\n' in printed
    assert f"  {LISTENER}\n" in printed
    assert "warning: odd\n" in printed


def test_the_window_is_announced_before_the_wait(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter(WAITING, Opening("Chromium"))
    printed = capsys.readouterr().err
    assert printed.endswith("Opening a Chromium window…\n")
    assert "Waiting" not in printed
    reporter(WAITING, Opening("Chromium"), Opened("Chromium", window=True))
    at = WAITING.expires_at.astimezone().strftime("%H:%M:%S")
    assert capsys.readouterr().err.endswith(f"Waiting for you to authorize, until {at}.\n")


def test_after_the_window_was_closed_the_keys_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    events = (WAITING, Opened("Chromium", window=True), WindowClosed())
    closed = reporter(*events, takes_pastes=True)
    assert "Press Enter to open it again; b and Enter" in capsys.readouterr().err
    closed.keys["?"]()
    printed = capsys.readouterr().err
    assert "Enter alone: open the window again\nb: use your own browser\n" in printed
    reporter(*events)
    assert f"  {LISTENER}\n" in capsys.readouterr().err


def test_a_joined_link_takes_an_address_at_the_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(Joined("my-auth"), takes_pastes=True)
    assert "You can also paste its final address here; Ctrl-C cancels." in capsys.readouterr().err
    reporter(Joined("my-auth"))
    assert "paste" not in capsys.readouterr().err


def test_the_help_names_the_keys_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    reporter().keys["a"]()
    assert capsys.readouterr().err == "", "nothing is waited for yet"
    reporter(WAITING, Opened("firefox")).keys["?"]()
    assert "b: use" not in capsys.readouterr().err
    reporter(WAITING, Opened("Chromium", window=True)).keys["？"]()
    assert "b: use your own browser" in capsys.readouterr().err


async def test_the_countdown_ends_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    others = asyncio.all_tasks()
    expired = Waiting(LISTENER, "", datetime.now(UTC) - timedelta(seconds=1))
    waiting = reporter(expired, Opened("w3m", window=True), countdown=True)
    await asyncio.gather(*(asyncio.all_tasks() - others))
    waiting.stop_countdown()
    assert "left" not in capsys.readouterr().err


async def test_the_countdown_starts_with_the_browser_and_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = reporter(Waiting(LISTENER, "", datetime.now(UTC) + timedelta(seconds=60)), countdown=True)
    await asyncio.sleep(0)
    assert "left" not in capsys.readouterr().err
    waiting.tell(Opened("w3m", window=True))
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
    for in_window, verb in zip((True, False), verbs, strict=True):
        for takes_pastes in {True, in_window}:
            waiting = reporter(WAITING, Opened("x", window=in_window), takes_pastes=takes_pastes)
            texts = [text.translated(catalog_of(language)) for text in waiting._countdown_texts(597)]
            fitting = next(text for text in texts if width_of(text) < columns)
            assert verb in fitting if takes_pastes else verbs[0] in fitting
            assert columns < 60 or "9:57" in fitting


@pytest.mark.parametrize(
    ("kept", "account", "words"),
    [
        (False, "octocat", 'Linked "my-auth" (octocat on GitHub).'),
        (False, "", 'Linked "my-auth" (GitHub).'),
        (
            True,
            "octocat",
            '"my-auth" is already linked (octocat on GitHub); kept. Use --if-exists replace to relink it.',
        ),
    ],
)
def test_a_good_end_is_one_line(kept: bool, account: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    reporter().print_linked(Linked(Authorization("my-auth", "github", repo_user=account, status=0), kept=kept))
    assert capsys.readouterr().err == f"{words}\n"


def test_an_authorization_that_does_not_work_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    reporter().print_linked(Linked(Authorization("my-auth", "github", status=2)))
    warning = capsys.readouterr().err.splitlines()[1]
    assert warning == "warning: ServiceStage reports that it does not work yet: unauthenticated."


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


def test_a_stopped_link_in_the_sandbox_cannot_be_resumed() -> None:
    stopped = StoppedError(_("Terminated"))
    reporter(Captured(Way.PAGE), Exchanging(kept=True)).explain_stop(stopped, "my-auth", in_sandbox=True)
    assert "resume" not in stopped.hint


@pytest.mark.parametrize(
    ("environ", "is_link"),
    [
        ({"TERM": "xterm-256color", "VTE_VERSION": "7200"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "dumb", "TERM_PROGRAM": "iTerm.app"}, False),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux"}, False),
    ],
)
def test_an_address_is_a_link_if_the_terminal_shows_links(
    environ: dict[str, str], is_link: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    shown = hyperlink(LISTENER)
    assert LISTENER in shown
    assert ("\x1b]8;;" in shown) is is_link


DESKTOP = Environment(Place.DESKTOP)
SSH = Environment(Place.SSH, "ada@198.51.100.7")
TUNNEL = "ssh -L 4711:127.0.0.1:4711 ada@198.51.100.7"


def words(guidance: Guidance, *, pastes: bool = True, window: bool = False) -> str:
    if guidance is Guidance.UNREACHED:
        return unreached_text(DESKTOP, WAITING, takes_pastes=pastes)[0]
    return guidance_text(guidance, in_window=window, takes_pastes=pastes)


@pytest.mark.parametrize(
    ("guidance", "happened", "remedy"),
    [
        (Guidance.HTTPS, "Your browser forces HTTPS", "http:// in front"),
        (Guidance.LOCALHOST, 'requested as "localhost"', "127.0.0.1"),
        (Guidance.OTHER_USER, "Another user of this machine", "as the user who runs this command"),
        (Guidance.OTHER_ATTEMPT, "an earlier attempt", "in the newest one"),
        (Guidance.NOT_WHOLE, "was cut off", "Copy all of it"),
        (Guidance.UNREACHED, "No browser has opened the page", "or run there:"),
        (Guidance.UNDECIDED, "Still waiting", "paste the final address"),
    ],
)
def test_guidance_says_what_happened_and_what_to_do(guidance: Guidance, happened: str, remedy: str) -> None:
    told = words(guidance)
    assert told.index(happened) < told.index(remedy)
    assert len(told) < 3 * 80
    assert "or here" not in words(guidance, pastes=False)


@pytest.mark.parametrize("pastes", [True, False])
@pytest.mark.parametrize("place", list(Place))
def test_everywhere_there_is_a_way_to_the_page_and_one_without_it(place: Place, pastes: bool) -> None:
    steps = manual_steps(Environment(place), WAITING, takes_pastes=pastes)
    assert [what for _text, what in steps[-2:]] == [WAITING.listener, WAITING.authorization_url]
    assert ("or here" in steps[-1][0]) is pastes
    text, what = unreached_text(Environment(place), WAITING, takes_pastes=pastes)
    assert ("`oauth-helper deliver`" in text) is not pastes
    assert "USER@HOST" in what or what == WAITING.authorization_url


def test_the_tunnel_comes_before_the_page_that_needs_it() -> None:
    codespace = Environment(Place.CODESPACE, codespace="fluffy")
    steps = {name: manual_steps(here, WAITING, takes_pastes=True) for name, here in (("ssh", SSH), ("gh", codespace))}
    assert [what for _text, what in steps["ssh"]][:2] == [TUNNEL, WAITING.listener]
    assert steps["gh"][0][1] == "gh codespace ports forward 4711:4711 -c fluffy"
    assert unreached_text(SSH, WAITING, takes_pastes=True)[1] == TUNNEL


@pytest.mark.parametrize("place", list(Place))
def test_what_is_between_browser_and_page_is_named(place: Place) -> None:
    text = forwarding_text(Environment(place), takes_pastes=True)
    is_between = place in {Place.WSL, Place.CODESPACE, Place.GITPOD, Place.DEV_CONTAINER}
    assert text.endswith("type a and press Enter.") if is_between else not text
    assert "type a" not in forwarding_text(Environment(place), takes_pastes=False)


def test_with_a_window_there_is_nothing_to_paste() -> None:
    assert words(Guidance.UNDECIDED, window=True).endswith("type b and press Enter.")
    assert words(Guidance.UNDECIDED, window=True, pastes=False).endswith("Authorize there.")


@pytest.mark.parametrize("flags", [(), ("--quiet",)])
async def test_a_page_that_is_requested_twice_gets_a_new_address(flags: tuple[str, ...]) -> None:
    command = (*LINK, "--no-browser", *flags)
    async with Sandbox() as sandbox, terminal(*command, environ=commands.environ(sandbox)) as screen:
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
