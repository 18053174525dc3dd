"""``link`` where it cannot succeed: the status, the error for scripts, and the words for people."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import error_of, records, surroundings
from forked_commands import run_command

from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


async def test_a_denial_ends_with_its_status(sandbox: Sandbox) -> None:
    end = await run_command("link", "github", "--json", environ=surroundings(sandbox, SCRIPTED_USER="deny"))
    assert end.status == 4
    assert end.out == ""
    assert error_of(end.err)["kind"] == "denied"
    assert "access_denied" in end.err
    assert await records(sandbox) == []


async def test_the_deadline_ends_with_its_status(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, SCRIPTED_USER="nothing")
    end = await run_command("link", "github", "--timeout", "1", "--json", environ=environ)
    assert end.status == 5
    assert error_of(end.err)["kind"] == "deadline"


async def test_what_servicestage_refuses_is_shown_with_its_code() -> None:
    async with Sandbox(code_lifetime=-1) as sandbox:
        end = await run_command("link", "github", "--json", environ=surroundings(sandbox))
        assert end.status == 6
        error = error_of(end.err)
        assert error["code"] == "SVCSTG.REPO.0402"
        assert error["request_id"]
        end = await run_command("link", "devcloud", "--json", environ=surroundings(sandbox))
        assert end.status == 6
        assert error_of(end.err)["code"] == "SVCSTG.REPO.0401"
        assert "undocumented" in end.err


async def test_an_account_that_may_not_list_can_link_and_learns_of_a_taken_name_from_servicestage(
    sandbox: Sandbox,
) -> None:
    key = sandbox.access_key_without_list
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK=key.access_key, HUAWEICLOUD_SDK_SK=key.secret_key.reveal())
    end = await run_command("link", "github", "--name", "my-auth", "--json", environ=environ)
    assert end.status == 0, end.err
    assert "warning: This account may not list authorizations" in end.err
    end = await run_command("link", "github", "--name", "my-auth", "--json", environ=environ)
    assert end.status == 6
    assert error_of(end.err)["code"] == "SVCSTG.REPO.0403"


async def test_all_that_can_be_known_is_told_before_a_browser_opens(sandbox: Sandbox, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    environ = surroundings(sandbox, SCRIPTED_SIGHT=str(sight))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases: list[tuple[int, str, tuple[str, ...], dict[str, str]]] = [
            (2, "usage", ("nonsense",), {}),
            (2, "usage", ("github", "--timeout", "0"), {}),
            (2, "usage", ("github", "--no-such-option"), {}),
            (2, "usage", ("github", "--browser", "lynx"), {}),
            (2, "usage", ("github", "--sandbox", "--region", "cn-north-4"), {}),
            (2, "illegal-name", ("github", "--name", "a b c d"), {}),
            (3, "settings", ("github", "--endpoint", "http://servicestage.example"), {}),
            (3, "settings", ("github",), {"OAUTH_HELPER_ENDPOINT": ""}),
            (3, "credentials", ("github",), {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}),
            (3, "credentials", ("github",), {"HUAWEICLOUD_SDK_SK": ""}),
            (3, "credentials", ("github",), {"HUAWEICLOUD_SDK_SK": "wrong"}),
            (7, "unreachable", ("github", "--endpoint", "http://127.0.0.1:9"), {}),
            (9, "port-taken", ("github", "--port", str(taken.getsockname()[1])), {}),
            (9, "no-browser", ("github", "--browser", "default"), {"BROWSER": "/nonexistent"}),
            (9, "no-browser", ("github", "--browser", "default"), {"BROWSER": ""}),
            (9, "no-browser", ("github",), {"BROWSER": "", "CI": "true"}),
        ]
        for status, kind, arguments, more in cases:
            end = await run_command("link", *arguments, "--json", environ=environ | more)
            assert (end.status, end.out) == (status, ""), (arguments, end.err)
            assert error_of(end.err)["kind"] == kind
    assert not sight.exists()
