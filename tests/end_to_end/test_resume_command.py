"""``resume``, and the ``link`` that finds what an earlier one has left; and a journal that cannot be had or trusted."""

import json
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.command_runner import Ended, commands, error_of, records
from support.link_script import (
    LINK,
    NAME,
    bring,
    brought,
    entries,
    faulty_sandbox,
    holding,
    make_older,
    scripted,
    secrets_of,
    spend,
    until,
)
from support.promised_json import read_authorizations

from oauth_helper.sandbox import Sandbox

NO_BROWSER = {"BROWSER": "/nonexistent"}


async def cut_off(environ: dict[str, str]) -> Ended:
    """Link up to where ServiceStage cuts it off; the redirect must be kept."""
    async with scripted(environ=environ) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        end = await script.ended()
    assert script.names[-1] == "failed"
    assert holding(*secrets_of(redirect)) == entries()
    [entry] = entries()
    assert (entry.stat().st_mode & 0o777, entry.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    return end


async def assert_resumes(sandbox: Sandbox) -> None:
    end = await commands.run("resume", "--json", environ=commands.environ(sandbox, **NO_BROWSER))
    assert end.status == 0, end.err
    [record], [listed] = read_authorizations(end.out), await records(sandbox)
    assert record["name"] == listed["name"] == NAME
    assert sum(exchange.created for exchange in sandbox.exchanges) == 1
    assert entries() == []


async def test_nothing_pending_is_no_error(sandbox: Sandbox) -> None:
    end = await commands.run("resume", environ=commands.environ(sandbox))
    assert (end.status, end.out, end.err) == (0, "", "No link is unfinished.\n")
    end = await commands.run("resume", "--json", environ=commands.environ(sandbox))
    assert (end.status, end.out, end.err) == (0, "[]\n", "")


@pytest.mark.parametrize(("fault", "kind"), [("exchange=401", "credentials"), ("exchange=403", "not-permitted")])
async def test_credentials_refused_in_the_exchange_cost_nothing(fault: str, kind: str) -> None:
    async with faulty_sandbox(fault) as sandbox:
        end = await cut_off(commands.environ(sandbox, TZ="Asia/Shanghai"))
        assert end.status == 3
        assert error_of(end.err)["kind"] == kind
        captured_at = datetime.fromisoformat(json.loads(entries()[0].read_text())["captured_at"])
        until = (captured_at + timedelta(minutes=10)).astimezone(ZoneInfo("Asia/Shanghai"))
        assert f"The redirect is kept: `oauth-helper resume` finishes it, until {until:%H:%M:%S}." in end.err
        await assert_resumes(sandbox)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_during_the_exchange_leaves_the_redirect(number: signal.Signals) -> None:
    async with faulty_sandbox("exchange=hang-after") as sandbox:
        async with scripted(environ=commands.environ(sandbox)) as script:
            redirect = await script.consent()
            async with brought(script.listener, redirect):
                await until(lambda: sandbox.calls["exchange"])
                script.process.send_signal(number)
                end = await script.ended()
        assert end.status == 128 + number
        assert f'while ServiceStage was creating "{NAME}"' in end.err
        assert "Run `oauth-helper resume` within 10 minutes" in end.err
        await assert_resumes(sandbox)


async def test_the_next_link_of_that_name_finishes_it_first_and_opens_no_browser() -> None:
    async with faulty_sandbox("exchange=401") as sandbox:
        await cut_off(commands.environ(sandbox))
        async with scripted(environ=commands.environ(sandbox)) as script:
            assert (await script.ended()).status == 0
        assert script.names == ["exchanging", "linked"]
        assert script.events[-1]["kept"] is False
        assert len(await records(sandbox)) == sandbox.calls["redirect-url"] == 1
        assert entries() == []


@pytest.mark.parametrize(
    ("is_link", "words"),
    [(True, '"{entry}" is a symbolic link'), (False, '"{entry}" is not an entry of this version of oauth-helper')],
)
async def test_an_entry_that_is_not_to_be_trusted_is_named_and_stops_no_link(is_link: bool, words: str) -> None:
    async with faulty_sandbox("exchange=401") as sandbox:
        await cut_off(commands.environ(sandbox))
        [entry] = entries()
        if is_link:
            entry.rename(entry.with_name("elsewhere"))
            entry.symlink_to("elsewhere")
        else:
            content = json.loads(entry.read_text())
            content["target"]["endpoint"] = "https://servicestage.evil.example"
            entry.write_text(json.dumps(content))
        warning = f"warning: What an earlier run left cannot be read: {words.format(entry=entry)}.\n"
        end = await commands.run("resume", "--json", environ=commands.environ(sandbox))
        assert (end.status, end.out) == (9, "[]\n")
        assert error_of(end.err)["kind"] == "machine"
        assert warning in end.err
        end = await commands.run(*LINK, environ=commands.environ(sandbox))
        assert end.status == 0, end.err
        assert warning in end.err
        assert len(await records(sandbox)) == 1
        assert entries() == []


async def test_an_entry_that_others_could_read_is_warned_about_and_finished() -> None:
    async with faulty_sandbox("exchange=401") as sandbox:
        await cut_off(commands.environ(sandbox))
        [entry] = entries()
        entry.chmod(0o644)
        end = await commands.run("list", environ=commands.environ(sandbox))
        assert (end.status, entry.stat().st_mode & 0o777) == (0, 0o600)
        assert f'warning: Other users could read "{entry}".\n' in end.err
        await assert_resumes(sandbox)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits to set")
async def test_a_link_works_where_nothing_can_be_written(sandbox: Sandbox) -> None:
    ours = ("COVERAGE_", "RECORDED_")  # neither coverage nor KEY can be recorded; all other secrets are searched
    environ = {name: value for name, value in commands.environ(sandbox).items() if not name.startswith(ours)}
    without_files = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
    async with commands.running(*LINK, environ=environ, prefix=without_files) as process:
        end = await commands.ended(process)
    assert end.status == 0, end.err
    assert "warning: The redirect could not be saved" in end.err
    assert "other runs will not find this one." in end.err
    assert "Traceback" not in end.err
    assert len(await records(sandbox)) == 1
    assert entries() == []


async def test_the_commands_own_sandbox_leaves_no_journal(clean_environment: Path) -> None:
    end = await commands.run("link", "github", "--sandbox", environ=commands.environ())
    assert end.status == 0, end.err
    assert not list(clean_environment.rglob("pending*"))


async def cut_off_by_credentials(name: str, sandbox: Sandbox) -> str:
    """Link up to where ServiceStage refuses the credentials; return the redirect, which is kept."""
    async with scripted("link", "github", "--name", name, environ=commands.environ(sandbox)) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 3
    return redirect


async def test_of_several_each_is_told_how_it_ended_and_the_first_failure_is_the_status() -> None:
    async with faulty_sandbox("exchange=401", "exchange=401") as sandbox:
        await cut_off_by_credentials("the-first", sandbox)
        await spend(sandbox, await cut_off_by_credentials("the-second", sandbox))
        end = await commands.run("resume", "--json", environ=commands.environ(sandbox))
        assert [one["name"] for one in await records(sandbox)] == ["the-first"]
    assert (end.status, error_of(end.err)["code"]) == (6, "SVCSTG.REPO.0402")
    assert [one["name"] for one in json.loads(end.out)] == ["the-first"]
    told = end.err.splitlines()
    assert 'Linked "the-first".' in told
    assert any(line.startswith("warning: the-second: ") for line in told)
    assert entries() == []


async def test_a_signal_leaves_what_is_not_finished_to_the_next_resume() -> None:
    async with faulty_sandbox("exchange=401", "exchange=hang") as sandbox:
        redirect = await cut_off_by_credentials("my-auth", sandbox)
        environ = commands.environ(sandbox)
        async with commands.running("resume", environ=environ) as process:
            await until(lambda: sandbox.calls["exchange"] == 2)
            process.send_signal(signal.SIGTERM)
            end = await commands.ended(process)
        assert end.status == 143
        assert "error: Terminated" in end.err
        assert "hint: Unfinished links are kept: run `oauth-helper resume` again." in end.err
        assert holding(secrets_of(redirect)[0]) == entries()
        make_older(minutes=1)
        end = await commands.run("resume", environ=environ)
        assert end.status == 0, end.err
        assert "Name      my-auth" in end.out
    assert entries() == []
