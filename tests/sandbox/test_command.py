"""The command ``sandbox``, alone, with an OpenID provider, and as ``link --sandbox``."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandbox.oidc_provider import LOGIN, OidcProvider, go_through, oidc_provider
from support.command_runner import Ended, commands, error_of, line_with
from support.link_script import delivered, scripted
from support.promised_json import read_authorization
from yarl import URL

from oauth_helper.sandbox.faults import Call, Kind

SECRET = "planted-client-secret"


async def test_the_command_prints_exports_and_serves_until_it_is_stopped() -> None:
    async with commands.running("sandbox", environ=commands.environ()) as process:
        assert process.stdout
        environ = await exported(process)
        assert (await line_with(process.stdout, "export ")).startswith("# export OAUTH_HELPER_TOKEN=")
        end = await commands.run("link", "github", "--json", environ=environ)
        assert end.status == 0, end.err
        process.send_signal(signal.SIGTERM)
        assert (await commands.ended(process)).status == 0


async def test_the_command_prints_json() -> None:
    async with commands.running("sandbox", "--json", "--quiet", environ=commands.environ()) as process:
        assert process.stdout
        environ = commands.environ() | json.loads(await process.stdout.readline())
        assert (await commands.run("list", environ=environ)).status == 0
        process.send_signal(signal.SIGINT)
        end = await commands.ended(process)
    assert (end.status, end.err) == (0, "")


async def test_the_console_port_can_be_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        end = await commands.run("sandbox", "--json", "--console-port", port, environ=commands.environ())
        assert (end.status, end.out, error_of(end.err)["kind"]) == (9, "", "port-taken")
        assert f"Port {port} on 127.0.0.1 is not available (Address already in use)" in error_of(end.err)["message"]
        assert "--console-port" in error_of(end.err)["hint"]
    for _ in range(2):
        async with commands.running("sandbox", "--json", "--console-port", port, environ=commands.environ()) as process:
            assert process.stdout
            environ = commands.environ() | json.loads(await process.stdout.readline())
            async with scripted(environ=environ) as script:
                address = URL((await script.event("waiting"))["authorization_url"])
        assert URL(address.query["redirect_uri"]).origin() == URL(f"http://127.0.0.1:{port}")


async def test_the_help_lists_every_fault() -> None:
    end = await commands.run("sandbox", "--help", environ=commands.environ())
    assert end.status == 0
    told = end.out.partition("WHAT fails:")[2]
    for word in (*Call, *Kind):
        assert f"{word} {word.description}" in " ".join(told.split())


async def test_link_with_sandbox_needs_no_settings_and_no_browser() -> None:
    end = await commands.run("link", "github", "--sandbox", "--json", environ=commands.environ(BROWSER=""))
    assert end.status == 0, end.err
    assert read_authorization(end.out)["repo_user"]
    assert "a simulated user authorizes instead" in end.err
    with_browser = await commands.run("link", "gitee", "--sandbox", environ=commands.environ())
    assert with_browser.status == 0, with_browser.err
    assert "visitor" not in with_browser.err


@pytest.fixture
async def provider() -> AsyncIterator[OidcProvider]:
    async with oidc_provider() as provider:
        yield provider


def options(issuer: str, secret_file: Path) -> list[str]:
    return ["--git-host", issuer, "--client-id", "servicestage", "--client-secret-file", str(secret_file)]


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "client-secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


async def exported(process: asyncio.subprocess.Process) -> dict[str, str]:
    """Return the environment of a shell that has run the first five lines."""
    environ = commands.environ()
    for _ in range(5):
        name, _, value = (await line_with(process.stdout, "export ")).removeprefix("export ").partition("=")
        environ[name] = value
    return environ


async def test_a_user_authorizes_at_the_provider(provider: OidcProvider, tmp_path: Path) -> None:
    path = secret_file(tmp_path, provider.registration.client_secret.reveal() + "\n")
    async with commands.running("sandbox", *options(provider.issuer, path), environ=commands.environ()) as process:
        environ = await exported(process)
        addresses = [await line_with(process.stdout, "# redirect URI for ") for _ in range(4)]
        async with scripted(environ=environ) as script:
            redirect = await go_through((await script.event("waiting"))["authorization_url"])
            assert redirect.startswith(addresses[0].rpartition(" ")[2])
            assert (await delivered(redirect, environ)).status == 0
            linked = (await script.ended()).out
        process.terminate()
        end = await commands.ended(process)
    assert f"{LOGIN}-of-oidc" in linked
    assert (end.status, "warning" in end.err) == (0, False)


async def test_the_reason_of_a_refused_code_is_a_warning(provider: OidcProvider, tmp_path: Path) -> None:
    path = secret_file(tmp_path, SECRET, mode=0o644)
    async with commands.running("sandbox", *options(provider.issuer, path), environ=commands.environ()) as process:
        environ = await exported(process)
        async with scripted(environ=environ) as script:
            redirect = await go_through((await script.event("waiting"))["authorization_url"])
            assert (await delivered(redirect, environ)).status == 6
        process.terminate()
        end = await commands.ended(process)
    assert f"Others can read {path}" in end.err
    assert "warning: The Git host refused the code (invalid_client)" in end.err
    assert SECRET not in end.out + end.err


async def refused(*arguments: str) -> tuple[Ended, str]:
    """Run a sandbox that cannot start; return its end and the message."""
    end = await commands.run("sandbox", "--json", *arguments, environ=commands.environ())
    assert end.out == ""
    assert SECRET not in end.err
    return end, str(error_of(end.err)["message"])


async def test_the_three_options_go_together(tmp_path: Path) -> None:
    end, message = await refused(*options("http://127.0.0.1:9", secret_file(tmp_path, SECRET))[:4])
    assert end.status == 2
    assert "--client-secret-file" in message
    assert error_of(end.err)["hint"] == "See `oauth-helper sandbox --help`."


@pytest.mark.parametrize(
    ("text", "reason"),
    [("\n\n", "is empty"), (f"{SECRET}\n{SECRET}", "has more than one line"), ("x" * 70_000, "long")],
    ids=["blank", "two lines", "huge"],
)
async def test_a_secret_file_must_have_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = secret_file(tmp_path, text)
    end, message = await refused(*options("http://127.0.0.1:9", path))
    assert end.status == 2
    assert str(path) in message
    assert reason in message
