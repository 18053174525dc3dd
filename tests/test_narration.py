"""What people read while a link goes on and when it is stopped, event by event."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from oauth_helper.cli.console import ErrorStream, linked
from oauth_helper.cli.progress import ProgressReporter, WaitingLine, explain_stop, say_how_it_ended
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

LISTENER = "http://127.0.0.1:4711/start?k=KEY"
WAITING = Waiting(LISTENER, "https://github.com/login/oauth/authorize", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
ASKED = "Terminated while ServiceStage was asked to create my-auth"


def reporter(*events: Event, quiet: bool = False, takes_pastes: bool = False) -> ProgressReporter:
    reporter = ProgressReporter(quiet=quiet, verbosity=0)
    reporter.takes_pastes = takes_pastes
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


async def test_the_line_that_counts_down_ends_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    line = WaitingLine(ErrorStream())
    others = asyncio.all_tasks()
    line.start(Waiting(LISTENER, "", datetime.now(UTC) - timedelta(seconds=1)))
    await asyncio.gather(*(asyncio.all_tasks() - others))
    line.stop()
    assert capsys.readouterr().err == ""


async def test_the_line_asks_for_no_paste_where_none_is_taken_and_is_taken_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = WaitingLine(ErrorStream())
    line.start(Waiting(LISTENER, "", datetime.now(UTC) + timedelta(seconds=60)))
    await asyncio.sleep(0)
    assert capsys.readouterr().err == "\r\x1b[2KWaiting for the redirect. 1:00 left, Ctrl-C stops."
    line.stop()
    assert capsys.readouterr().err == "\r\x1b[2K"


def test_an_authorization_that_does_not_work_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    say_how_it_ended(Linked(Authorization("my-auth", "github", status=2)), "my-auth", reporter())
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
    explain_stop(stopped, reporter(*events), "my-auth", in_sandbox=False)
    assert stopped.message == message
    assert stopped.hint.startswith(hint)


def test_who_stops_it_in_the_sandbox_is_not_sent_to_what_has_ended_with_it() -> None:
    stopped = StoppedError(_("Terminated"))
    explain_stop(stopped, reporter(Captured(Way.PAGE), Exchanging(kept=True)), "my-auth", in_sandbox=True)
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
    shown = linked(LISTENER, environ)
    assert LISTENER in shown
    assert ("\x1b]8;;" in shown) is is_link
