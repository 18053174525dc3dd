"""``doctor`` on machines of other kinds: a snap alone, no browser to drive, no files left, a checkout."""

import json
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from command import Ended, ended, run_command, surroundings
from support.fake_servicestage import PROJECT, TOKEN, FakeServiceStage, Received, answering

import oauth_helper
from oauth_helper.cli.doctor import check_listener
from oauth_helper.sandbox import Sandbox

FROM_A_CHECKOUT = """
import sys
folder, site = sys.argv[1:3]
del sys.argv[1:3]
sys.path[sys.path.index(site)] = folder
from oauth_helper.cli import main
sys.exit(main())
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (folder := tmp_path / "bin").mkdir()
    return folder


def install(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)


async def finding(subject: str, *options: str, environ: Mapping[str, str]) -> dict[str, str]:
    end = await run_command("doctor", "--json", *options, environ=environ)
    [found] = [one for one in json.loads(end.out) if one["subject"] == subject]
    return dict(found)


async def test_a_window_that_others_could_drive_is_had_where_it_is_demanded_and_noted(
    sandbox: Sandbox, programs: Path
) -> None:
    install(programs / "snap")
    (programs / "chromium").symlink_to("snap")
    environ = surroundings(sandbox, BROWSER="", DISPLAY=":of-nobody", PATH=str(programs))
    found = await finding("browser", "--browser", str(programs / "chromium"), environ=environ)
    assert found["verdict"] == "note"
    assert "a window of our own in Chromium" in found["message"]
    assert "other users of this machine" in found["hint"].lower()


async def test_where_only_an_opener_is_installed_the_default_browser_shows_the_page(
    sandbox: Sandbox, programs: Path
) -> None:
    install(programs / "xdg-open")
    found = await finding(
        "browser", environ=surroundings(sandbox, BROWSER="", DISPLAY=":of-nobody", PATH=str(programs))
    )
    assert found["verdict"] == "note"
    assert "xdg-open opens the page; no window of ours" in found["message"]
    assert "Chromium or Firefox would save the copy" in found["hint"]


@contextmanager
def files_left(most: int) -> Iterator[None]:
    """Let this process open no file of a number above that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_listener_that_cannot_be_had_or_not_be_reached_is_told() -> None:
    assert (await check_listener(None)).verdict == "ok", "all is imported"
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    told = []
    for most in range(free, free + 10):
        with files_left(most):
            found = await check_listener(None)
        told.append(f"{found.verdict}: {found.message}")
    assert told[0].startswith("fail: ")
    assert "cannot be reached" not in told[0]
    assert any(one.startswith("fail: cannot be reached: ") for one in told)
    assert told[-1].startswith("ok: ")


@pytest.mark.parametrize("has_clock", [True, False])
async def test_a_server_that_does_not_tell_the_time_is_no_judge_of_the_clock(has_clock: bool) -> None:
    listed = answering({"authorizations": [], "count": 0})

    def respond(request: Received) -> web.Response:
        answer = listed(request)
        answer.headers["Date"] = formatdate(usegmt=True) if has_clock else "soon"
        return answer

    async with FakeServiceStage(respond) as server:
        environ = surroundings(
            OAUTH_HELPER_ENDPOINT=server.endpoint,
            OAUTH_HELPER_PROJECT_ID=PROJECT,
            OAUTH_HELPER_TOKEN=TOKEN.token.reveal(),
        )
        end = await run_command("doctor", "--json", environ=environ)
    assert ("clock" in {one["subject"] for one in json.loads(end.out)}) is has_clock
    assert end.status == 0


async def from_a_checkout(*arguments: str, folder: Path, environ: Mapping[str, str]) -> Ended:
    """Run the command with the package as it is, and its dependencies, but with nothing of it installed."""
    site = Path(aiohttp.__file__).parents[1]
    for installed in site.iterdir():
        if "oauth_helper" not in installed.name and installed.suffix != ".pth":
            (folder / installed.name).symlink_to(installed)
    (folder / "oauth_helper").symlink_to(Path(oauth_helper.__file__).parent)
    process = await create_subprocess_exec(
        *(sys.executable, "-I", "-c", FROM_A_CHECKOUT, str(folder), str(site), *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(environ),
    )
    return await ended(process)


async def test_a_report_from_a_checkout_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    (folder := tmp_path / "site").mkdir()
    end = await from_a_checkout("doctor", "--report", folder=folder, environ=surroundings(sandbox))
    assert end.status == 0, end.err
    first, _, packages, *_ = end.out.splitlines()
    assert first == "oauth-helper of a checkout"
    assert "aiohttp 3." in packages
