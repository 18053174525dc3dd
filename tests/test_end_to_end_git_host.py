"""``sandbox --git-host``: the command beside a certified OpenID provider, and what is wrong with its options."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from command import Ended, ended, error_of, line_with, run_command, running, surroundings
from link_script import delivered, scripted
from oidc_provider import LOGIN, OidcProvider, go_through, oidc_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "planted-client-secret"


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
    """The surroundings of who puts the first five lines into a shell."""
    environ = surroundings()
    for _ in range(5):
        name, _, value = (await line_with(process.stdout, "export ")).removeprefix("export ").partition("=")
        environ[name] = value
    return environ


async def test_the_commands_sandbox_links_who_consents_there(provider: OidcProvider, tmp_path: Path) -> None:
    path = secret_file(tmp_path, provider.registration.client_secret.reveal() + "\n")
    async with running("sandbox", *options(provider.issuer, path), environ=surroundings()) as process:
        environ = await exported(process)
        addresses = [await line_with(process.stdout, "# redirect URI for ") for _ in range(4)]
        async with scripted(environ=environ) as script:
            redirect = await go_through((await script.event("waiting"))["authorization_url"])
            assert redirect.startswith(addresses[0].rpartition(" ")[2])
            assert (await delivered(redirect, environ)).status == 0
            linked = (await script.ended()).out
        process.terminate()
        end = await ended(process)
    assert f"{LOGIN}-of-oidc" in linked
    assert (end.status, "warning" in end.err) == (0, False)


async def test_a_refused_code_is_told_where_the_sandbox_runs(provider: OidcProvider, tmp_path: Path) -> None:
    path = secret_file(tmp_path, SECRET, mode=0o644)
    async with running("sandbox", *options(provider.issuer, path), environ=surroundings()) as process:
        environ = await exported(process)
        async with scripted(environ=environ) as script:
            redirect = await go_through((await script.event("waiting"))["authorization_url"])
            assert (await delivered(redirect, environ)).status == 6
        process.terminate()
        end = await ended(process)
    assert f"Others can read {path}" in end.err
    assert "warning: The Git host refused the code (invalid_client)" in end.err
    assert SECRET not in end.out + end.err


async def refused(*arguments: str) -> tuple[Ended, str]:
    """Run a sandbox that cannot start; return its end, and what is wrong."""
    end = await run_command("sandbox", "--json", *arguments, environ=surroundings())
    assert end.out == ""
    assert SECRET not in end.err
    return end, str(error_of(end.err)["message"])


async def test_a_git_host_that_is_not_there_ends_it_before_it_prints_anything(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    end, message = await refused(*options(f"http://{host}:{port}", secret_file(tmp_path, SECRET)))
    assert end.status == 7
    assert f"http://{host}:{port}/.well-known/openid-configuration" in message


async def test_an_address_that_is_no_issuer_ends_it(provider: OidcProvider, tmp_path: Path) -> None:
    path = secret_file(tmp_path, SECRET)
    end, message = await refused(*options(f"{provider.issuer}/nowhere", path))
    assert (end.status, "/nowhere/.well-known/openid-configuration" in message) == (7, True)
    end, message = await refused(*options(provider.issuer.replace("127.0.0.1", "localhost"), path))
    assert (end.status, f"another issuer, {provider.issuer}" in message) == (7, True)
    end, message = await refused(*options("http://git.example.com", path))
    assert (end.status, "plain http" in message) == (3, True)


@pytest.mark.parametrize("left_out", ["--git-host", "--client-id", "--client-secret-file"])
async def test_the_three_options_go_together(tmp_path: Path, left_out: str) -> None:
    given = options("http://127.0.0.1:9", secret_file(tmp_path, SECRET))
    place = given.index(left_out)
    end, message = await refused(*given[:place], *given[place + 2 :])
    assert end.status == 2
    assert left_out in message
    assert error_of(end.err)["hint"] == "See `oauth-helper sandbox --help`."


@pytest.mark.parametrize(
    ("text", "trouble"),
    [("", "is empty"), ("\n\n", "is empty"), (f"{SECRET}\n{SECRET}", "has more than one line"), ("x" * 70_000, "long")],
    ids=["empty", "blank", "two lines", "huge"],
)
async def test_a_secret_file_without_its_one_line_is_wrong_usage(tmp_path: Path, text: str, trouble: str) -> None:
    path = secret_file(tmp_path, text)
    end, message = await refused(*options("http://127.0.0.1:9", path))
    assert end.status == 2
    assert str(path) in message
    assert trouble in message


async def test_a_secret_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    end, message = await refused(*options("http://127.0.0.1:9", tmp_path / "none"))
    assert (end.status, "No such file" in message) == (2, True)
    binary = secret_file(tmp_path, "")
    binary.write_bytes(b"planted\xff")
    end, message = await refused(*options("http://127.0.0.1:9", binary))
    assert (end.status, "is no text" in message) == (2, True)
