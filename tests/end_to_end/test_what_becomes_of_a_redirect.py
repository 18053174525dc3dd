"""What becomes of a captured redirect if the name is taken, the run is stopped, or other links and runs are there."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from end_to_end.blocked_cloud import (
    CREATED,
    EARLIER,
    Cloud,
    assert_resumes,
    behind,
    gateway,
    linked,
    page,
    redirect_for,
)
from link.scripted_link import Script, does_nothing, fail_with
from support.command_runner import Ended, commands, error_of, line_with
from support.link_script import LINK, NAME, bring, entries, scripted, until

from oauth_helper.errors import DeadlineError
from oauth_helper.receiver import RedirectReceiver

KEPT = "Run `oauth-helper resume` within 10 minutes to finish it."


def taken_once(cloud: Cloud) -> Callable[[], web.Response]:
    """Refuse the name of the first creation, which somebody has taken; the list cannot be had after that."""

    def answer() -> web.Response:
        del cloud.blocked["create"]
        cloud.blocked["get"] = cloud.never
        return gateway(400, "SVCSTG.REPO.0403")()

    return answer


async def stopped(cloud: Cloud, environ: dict[str, str], call: str, *options: str) -> tuple[Ended, str]:
    """Link, and interrupt it in the call that never ends; return its end and the page."""
    async with scripted(*LINK, *options, environ=environ) as script:
        redirect = redirect_for((await script.event("waiting"))["authorization_url"])
        page = asyncio.create_task(bring(script.listener, redirect))
        await until(lambda: "create" in cloud.calls and cloud.calls[-1] == call)
        script.process.send_signal(signal.SIGINT)
        return await script.ended(), await page


async def test_a_refused_name_costs_no_redirect_even_if_the_run_is_stopped_then() -> None:
    cloud = Cloud()
    cloud.blocked["create"] = taken_once(cloud)
    async with behind(cloud) as environ:
        end, html = await stopped(cloud, dict(environ), "get", "--if-exists", "replace")
        assert end.status == 130
        assert len(entries()) == 1
        assert KEPT in end.err
        assert "The redirect is kept" in html
        await assert_resumes(cloud, environ)


async def test_what_is_not_kept_is_not_said_to_be() -> None:
    cloud = Cloud()
    cloud.blocked["create"] = cloud.never
    async with behind(cloud) as environ:
        place = Path(environ["HOME"]) / "state"
        place.touch()
        end, html = await stopped(cloud, dict(environ) | {"XDG_STATE_HOME": str(place)}, "create")
    assert end.status == 130
    assert "could not be saved" in end.err
    assert entries() == []
    assert "is kept" not in end.err + html
    assert f"oauth-helper show {NAME}" in end.err
    assert "Run the command again" in html


async def test_a_wait_ends_when_it_was_said_to_even_if_the_machine_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time

    async def sleeps(receiver: RedirectReceiver) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        await does_nothing(receiver)

    async with asyncio.timeout(10):
        await fail_with(DeadlineError, Script(), sleeps, timeout=600)


def desktop_tools(folder: Path) -> tuple[dict[str, str], Path]:
    asked = folder / "asked"
    for tool in ("xdg-settings", "xdg-mime", "xdg-open"):
        path = folder / tool
        path.write_text(f"#!/bin/sh\necho >>{asked}\n")
        path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "DISPLAY": ":97", "BROWSER": ""}, asked


async def test_a_link_that_keeps_what_exists_starts_no_desktop_program(tmp_path: Path) -> None:
    more, asked = desktop_tools(tmp_path)
    async with behind(Cloud(records=[EARLIER])) as environ:
        end = await commands.run(*LINK, environ=dict(environ) | more)
    assert end.status == 0, end.err
    assert not asked.exists()


async def test_a_link_that_waits_for_one_without_a_browser_says_so() -> None:
    cloud = Cloud()
    cloud.blocked["create"] = cloud.never
    async with (
        behind(cloud) as environ,
        commands.running(*LINK, "--with-token", environ=environ, stdin=asyncio.subprocess.PIPE) as holder,
    ):
        assert holder.stdin
        holder.stdin.write(b"ghp_planted\n")
        holder.stdin.close()
        await until(lambda: "create" in cloud.calls)
        async with commands.running(*LINK, "--no-browser", environ=environ) as waiting:
            await line_with(waiting.stderr, f'Another oauth-helper is linking "{NAME}". Waiting for it.')
            cloud.records.append(CREATED)
            holder.send_signal(signal.SIGKILL)
            end = await commands.ended(waiting)
    assert end.status == 0, end.err
    assert "by the other oauth-helper." in end.err


def declared(folder: Path, names: list[str]) -> str:
    file = folder / "team.toml"
    entry = '[[authorization]]\nname = "{}"\nrepo_type = "github"\nmethod = "token"\nsecret = "GIT_TOKEN"\n'
    file.write_text("".join(entry.format(name) for name in names))
    return str(file)


async def test_apply_warns_once_and_goes_on(tmp_path: Path) -> None:
    """This account may not list authorizations, and other runs cannot find this one."""
    async with behind(Cloud({"get": gateway(403, "IAM.0003")})) as environ:
        (Path(environ["XDG_RUNTIME_DIR"]) / "oauth-helper").touch()
        given = ("apply", declared(tmp_path, ["team-a", "team-b"]), "--json")
        end = await commands.run(*given, environ=dict(environ) | {"GIT_TOKEN": "ghp_planted"})
    assert end.status == 0, end.err
    assert {one["result"] for one in json.loads(end.out)} == {"created"}
    assert end.err.count("This account may not list authorizations") == 1
    assert end.err.count("other runs will not find this one") == 1


async def test_resume_fails_if_one_entry_was_refused() -> None:
    cloud = Cloud({"create": page(418)})
    async with behind(cloud) as environ:
        await linked(environ)
        planted = entries()[0].with_name(f"pending-{'0' * 32}-github.json")
        os.mkfifo(planted, 0o600)
        cloud.blocked.clear()
        end = await commands.run("resume", "--json", environ=environ)
    assert end.status == 9, end.err
    assert error_of(end.err)["kind"] == "machine"
    assert planted.name in end.err
    assert [one["name"] for one in json.loads(end.out)] == [NAME]


async def test_resume_keeps_the_redirect_if_iam_answers_with_a_page() -> None:
    cloud = Cloud({"create": page(451)})
    async with behind(cloud) as environ:
        await linked(environ)
        user = {"HW_USER_NAME": "u", "HW_USER_PASSWORD": "planted-password", "HW_DOMAIN_NAME": "d"}
        cloud.blocked["post"] = page(404)
        signed_in = {key: value for key, value in environ.items() if key != "OAUTH_HELPER_TOKEN"} | user
        iam = {"OAUTH_HELPER_IAM_ENDPOINT": environ["OAUTH_HELPER_ENDPOINT"], "OAUTH_HELPER_REGION": "cn-north-4"}
        end = await commands.run("resume", environ=signed_in | iam)
        assert end.status == 8, end.err
        assert "The redirect is kept. Run `oauth-helper resume` again in a moment." in end.err
        await assert_resumes(cloud, environ)
