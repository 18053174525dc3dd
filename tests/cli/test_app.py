"""Errors become messages and exit statuses; records become lines."""

import asyncio
import logging

import click
import pytest
from support.promised_json import read_authorization, read_error

from oauth_helper.cli import main
from oauth_helper.cli.app import print_error, program
from oauth_helper.cli.options import run
from oauth_helper.cli.output import print_authorization, print_table, status_text
from oauth_helper.errors import RefusedError
from oauth_helper.i18n import _
from oauth_helper.models import Authorization


@click.command("break")
@click.argument("how")
@click.option("--json", is_flag=True)
@click.option("-v", "--verbose", count=True)
def break_command(how: str, **_options: object) -> None:
    """Break in the way that is asked for."""
    if how == "fault":
        raise ZeroDivisionError("planted")
    if how == "interrupt":
        raise KeyboardInterrupt
    raise click.ClickException("odd")


@pytest.fixture(autouse=True)
def breakable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(program.commands, "break", break_command)


def test_a_fault_of_ours_is_status_1_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "fault", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    message, hint, last = err.splitlines()
    assert message == "error: Unexpected ZeroDivisionError"
    assert "report" in hint
    assert read_error(last)["kind"] == "fault"
    assert "planted" not in err


@pytest.mark.parametrize("flags", [["-vv"], ["-v", "-v"], ["--verbose", "--verbose"], ["-v", "--verbose"]])
def test_the_trace_is_shown_to_who_asks_twice(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "fault", *flags]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError\n" in said
    assert "ZeroDivisionError: planted" not in said, "the words of a foreign error may repeat what it was called with"
    assert main(["break", "fault", "-v"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_keyboard_interrupt_outside_the_loop_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "interrupt"]) == 130
    assert capsys.readouterr().err.lstrip().startswith("error: Cancelled\n")


def test_what_click_refuses_is_status_2_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "odd"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: The command line cannot be understood",
        "hint: See `oauth-helper --help`.",
    ]
    assert main(["link"]) == 2
    assert " See `oauth-helper link --help`." in capsys.readouterr().err
    assert main(["no-such-command"]) == 2
    capsys.readouterr()
    assert main(["--help"]) == 0
    helped = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == helped


def test_an_error_shows_its_code_and_request_id_last_and_colours_only_on_terminals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_error(RefusedError(_("No"), code="SVCSTG.REPO.0400", request_id="r-1"), as_json=False, trace=False)
    first, *_hint, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("error: No", "SVCSTG.REPO.0400, request id r-1")


def test_records_with_gaps_and_hostile_text_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    odd = Authorization.from_json({"name": "n\x1b[2J", "repo_type": "github", "create_time": 10**18, "status": 7})
    print_authorization(odd, as_json=False)
    print_table([odd])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Created   1000000000000000000" in out
    assert "Account" not in out.splitlines()
    assert "7" in out
    assert status_text(Authorization("n", "github")) == "unknown"
    print_authorization(odd, as_json=True)
    assert read_authorization(capsys.readouterr().out)["name"] == "n\x1b[2J"


def test_a_record_of_a_host_learnt_since_and_without_a_time_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_authorization(Authorization.from_json({"name": "mine", "repo_type": "codeup", "status": 0}), as_json=False)
    assert capsys.readouterr().out == "Name      mine\nGit host  codeup\n"


async def and_a_callback_fails() -> str:
    def fail() -> None:
        raise ZeroDivisionError("-".join(("planted", "word")))

    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)
    return "done"


def test_a_fault_in_a_callback_ends_nothing_and_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "oauth_helper"):
        assert run(and_a_callback_fails()) == "done"
    [record] = caplog.records
    assert record.name == "oauth_helper.cli.options"
    assert "ZeroDivisionError" in record.getMessage()
    assert "planted-word" not in record.getMessage()


async def that_is_cancelled_from_within() -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(0)


def test_a_cancellation_that_no_signal_brought_is_no_stop() -> None:
    with pytest.raises(asyncio.CancelledError):
        run(that_is_cancelled_from_within())
