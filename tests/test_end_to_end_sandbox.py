"""``sandbox`` in a process of its own, and ``link --sandbox`` with one of its own making."""

import json
import signal
import socket

import pytest
from command import ended, error_of, line_with, run_command, running, surroundings
from link_script import scripted
from support.promised_json import read_authorization
from yarl import URL

from oauth_helper.sandbox.faults import CALLS, KINDS


async def test_the_sandbox_command_prints_its_lines_and_serves_until_it_is_stopped() -> None:
    async with running("sandbox", environ=surroundings()) as process:
        assert process.stdout
        lines = [await line_with(process.stdout, "export ") for _ in range(6)]
        environ = surroundings()
        for line in lines[:-1]:
            name, _, value = line.removeprefix("export ").partition("=")
            environ[name] = value
        assert lines[-1].startswith("# export OAUTH_HELPER_TOKEN=")
        end = await run_command("link", "github", "--json", environ=environ)
        assert end.status == 0, end.err
        process.send_signal(signal.SIGTERM)
        assert (await ended(process)).status == 0


async def test_the_sandbox_command_gives_json_to_scripts() -> None:
    async with running("sandbox", "--json", "--quiet", environ=surroundings()) as process:
        assert process.stdout
        environ = surroundings() | json.loads(await process.stdout.readline())
        assert (await run_command("list", environ=environ)).status == 0
        process.send_signal(signal.SIGINT)
        end = await ended(process)
    assert (end.status, end.err) == (0, "")


async def test_the_sandbox_misbehaves_on_request() -> None:
    faults = ("--fault", "list=403", "--fault", "list=429:4")
    async with running("sandbox", "--json", *faults, environ=surroundings()) as process:
        assert process.stdout
        environ = surroundings() | json.loads(await process.stdout.readline())
        ends = [await run_command("list", "--json", environ=environ) for _ in range(3)]
    assert [end.status for end in ends] == [3, 7, 0]
    assert [error_of(end.err)["code"] for end in ends[:2]] == ["IAM.0003", "APIGW.0308"]


async def test_the_consoles_port_is_the_same_each_time_where_it_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        end = await run_command("sandbox", "--json", "--console-port", port, environ=surroundings())
        assert (end.status, end.out, error_of(end.err)["kind"]) == (9, "", "port-taken")
        assert f"Port {port} on 127.0.0.1 cannot be had (Address already in use)" in error_of(end.err)["message"]
        assert "--console-port" in error_of(end.err)["hint"]
    for _ in range(2):
        async with running("sandbox", "--json", "--console-port", port, environ=surroundings()) as process:
            assert process.stdout
            environ = surroundings() | json.loads(await process.stdout.readline())
            async with scripted(environ=environ) as script:
                address = URL((await script.event("waiting"))["authorization_url"])
        assert URL(address.query["redirect_uri"]).origin() == URL(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("fault", ["tea=429", "list=418", "list=429:often"])
async def test_a_fault_that_nobody_knows_is_wrong_usage(fault: str) -> None:
    end = await run_command("sandbox", "--json", "--fault", fault, environ=surroundings())
    assert (end.status, end.out) == (2, "")
    assert error_of(end.err)["kind"] == "usage"
    assert error_of(end.err)["hint"] == "See `oauth-helper sandbox --help`."


async def test_the_help_tells_every_fault() -> None:
    end = await run_command("sandbox", "--help", environ=surroundings())
    assert end.status == 0
    told = end.out.partition("WHAT goes wrong:")[2]
    for word, meaning in (*CALLS.items(), *KINDS.items()):
        assert f"{word} {meaning}" in " ".join(told.split())


async def test_link_with_sandbox_needs_nothing_and_its_visitor_plays_the_user() -> None:
    end = await run_command("link", "github", "--sandbox", "--json", environ=surroundings(BROWSER=""))
    assert end.status == 0, end.err
    assert read_authorization(end.out)["repo_user"]
    assert "the sandbox's own visitor plays the user" in end.err
    with_browser = await run_command("link", "gitee", "--sandbox", environ=surroundings())
    assert with_browser.status == 0, with_browser.err
    assert "visitor" not in with_browser.err
