"""What people read while a link runs, and when it is stopped."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession
from support.command_runner import commands
from support.link_script import LINK
from support.screen import terminal

from oauth_helper.cli.console import hyperlink
from oauth_helper.cli.progress import (
    ProgressReporter,
    Step,
    forwarding_text,
    guidance_text,
    manual_steps,
    unreached_text,
)
from oauth_helper.environment import Environment, Place
from oauth_helper.errors import StoppedError
from oauth_helper.events import (
    Advised,
    Captured,
    Deleted,
    Deleting,
    Event,
    Exchanging,
    Guidance,
    Joined,
    Linked,
    Opened,
    Waiting,
    Warned,
    Way,
)
from oauth_helper.i18n import _
from oauth_helper.models import Authorization
from oauth_helper.sandbox import Sandbox

LISTENER = "http://127.0.0.1:4711/start?k=KEY"


WAITING = Waiting(LISTENER, "https://github.com/login/oauth/authorize", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


ASKED = "Terminated while ServiceStage was asked to create my-auth"


def reporter(
    *events: Event, quiet: bool = False, takes_pastes: bool = False, countdown: bool = False
) -> ProgressReporter:
    reporter = ProgressReporter(quiet=quiet, verbosity=0)
    reporter.takes_pastes, reporter.has_status_line = takes_pastes, countdown
    for event in events:
        reporter.tell(event)
    return reporter


@pytest.mark.parametrize("guidance", list(Guidance))
def test_advice_is_for_who_waits_and_wants_to_hear_it(capsys: pytest.CaptureFixture[str], guidance: Guidance) -> None:
    reporter(WAITING)
    waiting = capsys.readouterr().err
    reporter(WAITING, Advised(guidance))
    assert len(capsys.readouterr().err) > len(waiting)
    reporter(WAITING, Advised(guidance), quiet=True)
    reporter(Advised(guidance))
    assert capsys.readouterr().err == ""


def test_who_is_not_reached_is_shown_the_listeners_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.9 40000 198.51.100.7 22")
    reporter(WAITING, Advised(Guidance.UNREACHED))
    said = capsys.readouterr().err
    assert "Nothing has reached me yet" in said
    assert "ssh -L 4711:127.0.0.1:4711" in said


def test_in_quiet_neither_the_page_nor_a_warning_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(WAITING, Opened("firefox"), Warned(_("odd")), quiet=True)
    assert capsys.readouterr().err == ""
    reporter(WAITING, Opened("firefox"), Warned(_("odd")))
    said = capsys.readouterr().err
    assert f"  {LISTENER}\n" in said
    assert "warning: odd\n" in said


def test_who_has_joined_is_told_what_the_keyboard_is_good_for(capsys: pytest.CaptureFixture[str]) -> None:
    reporter(Joined("my-auth"), takes_pastes=True)
    assert "An address for it can be pasted here too; Ctrl-C stops." in capsys.readouterr().err
    reporter(Joined("my-auth"))
    assert "pasted" not in capsys.readouterr().err


def test_the_keys_tell_what_there_is_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    reporter().keys["a"]()
    assert capsys.readouterr().err == "", "nothing is waited for yet"
    reporter(WAITING, Opened("firefox")).keys["?"]()
    assert "b: go on" not in capsys.readouterr().err
    reporter(WAITING, Opened("Chromium", window=True)).keys["？"]()
    assert "b: go on in your own browser, beside the window" in capsys.readouterr().err


async def test_the_countdown_ends_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    others = asyncio.all_tasks()
    waiting = reporter(Waiting(LISTENER, "", datetime.now(UTC) - timedelta(seconds=1)), countdown=True)
    await asyncio.gather(*(asyncio.all_tasks() - others))
    waiting.stop_countdown()
    assert capsys.readouterr().err == ""


async def test_the_countdown_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = reporter(Waiting(LISTENER, "", datetime.now(UTC) + timedelta(seconds=60)), countdown=True)
    await asyncio.sleep(0)
    assert capsys.readouterr().err == "\r\x1b[2KWaiting for the redirect. 1:00 left, Ctrl-C stops."
    waiting.stop_countdown()
    assert capsys.readouterr().err == "\r\x1b[2K"


def test_an_authorization_that_does_not_work_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    reporter().print_linked(Linked(Authorization("my-auth", "github", status=2)), "my-auth")
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "Linked my-auth.",
        "warning: ServiceStage says that it does not work yet: status 2 (unauthenticated).",
    ]


@pytest.mark.parametrize(
    ("events", "message", "hint"),
    [
        ((), "Terminated. Nothing was created", ""),
        (
            (Captured(Way.PAGE), Deleting("my-auth", kept=True)),
            "Terminated while ServiceStage was asked to delete the authorization named my-auth, which may be gone",
            "The redirect is kept: `oauth-helper resume` finishes it",
        ),
        (
            (Captured(Way.PAGE), Deleting("my-auth", kept=True), Deleted("my-auth"), Exchanging(kept=True)),
            f"{ASKED}. The authorization that was named my-auth is deleted",
            "The redirect is kept: `oauth-helper resume` finishes it",
        ),
        ((Captured(Way.PAGE), Exchanging(kept=False)), ASKED, "`oauth-helper show my-auth` tells whether it exists."),
    ],
)
def test_who_stops_it_is_told_what_is_left_undone(events: tuple[Event, ...], message: str, hint: str) -> None:
    stopped = StoppedError(_("Terminated"))
    reporter(*events).explain_stop(stopped, "my-auth")
    assert stopped.message == message
    assert stopped.hint.startswith(hint)


def test_who_stops_it_in_the_sandbox_is_not_sent_to_what_has_ended_with_it() -> None:
    stopped = StoppedError(_("Terminated"))
    reporter(Captured(Way.PAGE), Exchanging(kept=True)).explain_stop(stopped, "my-auth", in_sandbox=True)
    assert stopped.hint == "The sandbox has ended too. Run the command again when you are ready."


@pytest.mark.parametrize(
    ("environ", "is_link"),
    [
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7200"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4999"}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "dumb", "TERM_PROGRAM": "iTerm.app"}, False),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TMUX": "/run/tmux,1,0"}, False),
    ],
)
def test_an_address_is_a_link_where_the_terminal_is_known_to_show_one(environ: dict[str, str], is_link: bool) -> None:
    shown = hyperlink(LISTENER, environ)
    assert LISTENER in shown
    assert ("\x1b]8;;" in shown) is is_link


DESKTOP = Environment(Place.DESKTOP)


SSH = Environment(Place.SSH, "ada@198.51.100.7")


CODESPACE = Environment(Place.CODESPACE, codespace="fluffy")


TUNNEL = "ssh -L 4711:127.0.0.1:4711 ada@198.51.100.7"


def words(guidance: Guidance, *, pastes: bool = True, window: bool = False) -> str:
    if guidance is Guidance.UNREACHED:
        return unreached_text(DESKTOP, WAITING, takes_pastes=pastes)[0]
    return guidance_text(guidance, in_window=window, takes_pastes=pastes)


@pytest.mark.parametrize(
    ("guidance", "happened", "remedy"),
    [
        (Guidance.HTTPS, "Your browser forces HTTPS", "http:// in front"),
        (Guidance.LOCALHOST, "asked for localhost", "127.0.0.1"),
        (Guidance.OTHER_USER, "Another user of this machine", "as the user who runs this command"),
        (Guidance.OTHER_ATTEMPT, "an earlier attempt", "the one that was opened now"),
        (Guidance.NOT_WHOLE, "was not whole", "Copy all of it"),
        (Guidance.UNREACHED, "Nothing has reached me yet", "first run there:"),
        (Guidance.UNDECIDED, "Nothing has come back yet", "paste the address where the browser ends"),
    ],
)
def test_each_advice_says_what_happened_and_what_to_do(guidance: Guidance, happened: str, remedy: str) -> None:
    told = words(guidance)
    assert told.index(happened) < told.index(remedy)
    assert len(told) < 3 * 80


def test_every_advice_has_its_words() -> None:
    assert all(words(guidance, pastes=pastes) for guidance in Guidance for pastes in (True, False))


def whats(told: list[Step]) -> list[str]:
    return [what for _, what in told]


@pytest.mark.parametrize("pastes", [True, False])
@pytest.mark.parametrize("place", list(Place))
def test_everywhere_there_is_a_way_to_the_page_and_one_without_it(place: Place, pastes: bool) -> None:
    told = manual_steps(Environment(place), WAITING, takes_pastes=pastes)
    assert whats(told)[-2:] == [WAITING.listener, WAITING.authorization_url]
    assert ("or here" in told[-1][0]) is pastes
    said, what = unreached_text(Environment(place), WAITING, takes_pastes=pastes)
    assert ("`oauth-helper deliver`" in said) is not pastes
    assert "THIS-MACHINE" in what or what == WAITING.authorization_url


def test_the_tunnel_comes_before_the_page_it_leads_to() -> None:
    assert whats(manual_steps(SSH, WAITING, takes_pastes=True))[:2] == [TUNNEL, WAITING.listener]
    forward = whats(manual_steps(CODESPACE, WAITING, takes_pastes=True))[0]
    assert forward == "gh codespace ports forward 4711:4711 -c fluffy"
    assert unreached_text(SSH, WAITING, takes_pastes=True)[1] == TUNNEL
    assert unreached_text(DESKTOP, WAITING, takes_pastes=True)[1].endswith("THIS-MACHINE")


def test_forwarding_text_it_is_told_what_stands_in_between() -> None:
    for place in Place:
        said = forwarding_text(Environment(place), takes_pastes=True)
        between = {Place.WSL, Place.CODESPACE, Place.GITPOD, Place.DEV_CONTAINER}
        assert said.endswith("press a and Enter.") if place in between else not said
    assert "press" not in forwarding_text(Environment(Place.WSL), takes_pastes=False)


def test_who_cannot_paste_here_is_told_of_deliver() -> None:
    assert "`oauth-helper deliver`" in words(Guidance.UNREACHED, pastes=False)
    assert "or here" not in words(Guidance.NOT_WHOLE, pastes=False)


def test_in_a_window_there_is_nothing_to_paste() -> None:
    assert words(Guidance.UNDECIDED, window=True).endswith("press b and Enter.")
    assert words(Guidance.UNDECIDED, window=True, pastes=False).endswith("Authorize there.")


async def test_a_second_use_is_told_on_the_terminal_with_an_address_that_works() -> None:
    async with Sandbox() as sandbox, terminal(*LINK, "--no-browser", environ=commands.environ(sandbox)) as screen:
        first = (await screen.line_with("/start?k=")).split()[-1]
        async with ClientSession() as browser:
            for status, title in ((200, "Link your GitHub account"), (404, "This page is already open")):
                async with browser.get(first) as answer:
                    assert (answer.status, title in await answer.text()) == (status, True)
            await screen.until("already opened, and is asked for once")
            async with asyncio.timeout(10), browser.get((await screen.line_with("/start?k=")).split()[-1]) as answer:
                assert 'id="authorize"' in await answer.text()
        await screen.until("Ignored: 1 already opened.")
        screen.type("\x03")
        assert await screen.ended() == 130


async def test_in_quiet_it_is_told_all_the_same() -> None:
    quiet = (*LINK, "--no-browser", "--quiet")
    async with Sandbox() as sandbox, terminal(*quiet, environ=commands.environ(sandbox)) as screen:
        first = (await screen.line_with("/start?k=")).split()[-1]
        async with ClientSession() as browser:
            for _ in range(2):
                async with browser.get(first):
                    pass
        await screen.until("already opened")
        screen.type("\x03")
        assert await screen.ended() == 130
