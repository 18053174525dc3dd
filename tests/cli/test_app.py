"""Errors become messages and exit statuses; records become lines."""

import asyncio
import logging
import os

import click
import pytest
from support.command_runner import commands
from support.promised_json import read_authorization, read_error

from oauth_helper.cli import main
from oauth_helper.cli.app import print_error, program
from oauth_helper.cli.options import CODEARTS, run
from oauth_helper.cli.output import print_authorization, print_table, status_text
from oauth_helper.credentials import TOKEN_GUIDES, TOKEN_TYPES
from oauth_helper.errors import RefusedError
from oauth_helper.i18n import _
from oauth_helper.models import Authorization, RepoType

FAULTS = {"fault": ZeroDivisionError("planted"), "interrupt": KeyboardInterrupt(), "odd": click.ClickException("odd")}


@click.command("break")
@click.argument("how")
@click.option("--json", is_flag=True)
@click.option("-v", "--verbose", count=True)
def break_command(how: str, **_options: object) -> None:
    """Break in the way that is asked for."""
    raise FAULTS[how]


@pytest.fixture(autouse=True)
def breakable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(program.commands, "break", break_command)


def test_a_fault_of_ours_is_status_1_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "fault", "--json"]) == 1
    out, err = capsys.readouterr()
    message, hint, last = err.splitlines()
    assert (out, message) == ("", "error: Unexpected ZeroDivisionError")
    assert "report" in hint
    assert read_error(last)["kind"] == "fault"
    assert "planted" not in err


@pytest.mark.parametrize("flags", [["-vv"], ["-v", "-v"], ["--verbose", "--verbose"], ["-v", "--verbose"], ["-v"]])
def test_the_trace_is_shown_to_who_asks_twice(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "fault", *flags]) == 1
    said = capsys.readouterr().err
    assert ("Traceback" in said) is ("ZeroDivisionError\n" in said.partition("error:")[0]) is (flags != ["-v"])
    assert "planted" not in said, "the words of a foreign error may repeat what it was called with"


def test_interrupts_and_usage_errors_have_their_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "interrupt"]) == 130
    assert capsys.readouterr().err.lstrip().startswith("error: Cancelled\n")
    assert main(["break", "odd"]) == 2
    lines = ["error: The command line cannot be understood", "hint: See `oauth-helper --help`."]
    assert capsys.readouterr().err.splitlines() == lines


def test_main_leaves_the_process_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    assert main(["--lang", "zh", "list", "--nonsense"]) == 2
    assert "错误：" in capsys.readouterr().err
    assert dict(os.environ) == before
    assert main(["link", "github", "--nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_error_shows_its_code_and_request_id_last(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(RefusedError(_("No"), code="SVCSTG.REPO.0400", request_id="r-1"), as_json=False)
    first, *_hint, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("error: No", "SVCSTG.REPO.0400, request id r-1")
    print_error(RefusedError(_("No (HTTP 418)"), code="418", status=418, hint=_("Yes.")), as_json=False)
    assert capsys.readouterr().err == "error: No (HTTP 418)\nhint: Yes.\n", "the message shows the status"


def test_records_with_gaps_and_hostile_text_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    odd = Authorization.from_json({"name": "n\x1b[2J", "repo_type": "github", "create_time": 10**18, "status": 7})
    print_authorization(odd, as_json=False)
    print_table([odd])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Created   1000000000000000000" in out
    assert status_text(Authorization("n", "github")) == "unknown"
    print_authorization(odd, as_json=True)
    assert read_authorization(capsys.readouterr().out)["name"] == "n\x1b[2J"
    print_authorization(Authorization.from_json({"name": "mine", "repo_type": "codeup", "status": 0}), as_json=False)
    assert capsys.readouterr().out == "Name      mine\nGit host  codeup\n"


def test_a_fault_in_a_callback_ends_nothing_and_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError("-".join(("planted", "word")))

    async def work() -> str:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        return "done"

    with caplog.at_level(logging.ERROR, "oauth_helper"):
        assert run(work()) == "done"
    [record] = caplog.records
    assert "ZeroDivisionError" in record.getMessage()
    assert "planted-word" not in record.getMessage()


def test_a_cancellation_that_no_signal_brought_is_no_stop() -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run(work())


async def test_help_names_every_repository_type_and_each_that_takes_a_token_has_a_guide() -> None:
    text = (await commands.run("help", "link", environ=dict(os.environ))).out
    with_token = next(line for line in text.splitlines() if "--with-token " in line)
    for repo_type in RepoType:
        assert repo_type.replace("devcloud", CODEARTS) in text
        assert repo_type not in TOKEN_TYPES or (repo_type in TOKEN_GUIDES and repo_type in with_token)
