"""The proxy that the environment names: its user name and password, and who is blamed when it does not work."""

from __future__ import annotations

import asyncio
import base64

import pytest
from command import Ended, run_command, surroundings
from fake_servicestage import PROJECT, RawServer

NAME = "servicestage.oauth-helper.invalid"
HINT = "hint: In the user name and the password, write @ as %40, # as %23, / as %2F and ? as %3F."


async def through(proxy: str, *arguments: str) -> Ended:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")
    inherited = {name: value for name, value in surroundings().items() if name not in names}
    ours = {
        "HTTPS_PROXY": proxy,
        "OAUTH_HELPER_ENDPOINT": f"https://{NAME}",
        "OAUTH_HELPER_PROJECT_ID": PROJECT,
        "HUAWEICLOUD_SDK_AK": "AccessKey",
        "HUAWEICLOUD_SDK_SK": "SecretKey",
    }
    return await run_command(*(arguments or ("list",)), environ=inherited | ours)


def refusing(status: int, *headers: str) -> RawServer:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        lines = [f"HTTP/1.1 {status} No", "Content-Length: 0", *headers]
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        await writer.drain()

    server = RawServer(script)
    return server


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ("zoë:straße", "zoë:straße"),
        ("李雷:%E6%9A%97%E5%8F%B7", "李雷:暗号"),
        ("a%40b.example:p%23%2f%3F%25:x", "a@b.example:p#/?%:x"),
        ("LAB\\bob:p+w", "LAB\\bob:p+w"),
        ("bob", "bob:"),
        ("bob:100%", "bob:100%"),
    ],
)
async def test_user_name_and_password_are_sent_as_utf_8(login: str, sent: str) -> None:
    async with refusing(403) as proxy:
        end = await through(f"http://{login}@127.0.0.1:{proxy.port}")
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\n".encode())
    assert f"Proxy-Authorization: Basic {base64.b64encode(sent.encode()).decode()}\r\n".encode() in head
    assert end.status == 7
    assert login not in end.err


@pytest.mark.parametrize(
    "value",
    [
        *("http://bob:planted@sekret@proxy.invalid:3128", "http://bob:planted#sekret@proxy.invalid:3128"),
        *("http://bob:planted/sekret@proxy.invalid:3128", "http://bob:planted?sekret@proxy.invalid:3128"),
        *("bob@corp.example:planted@proxy.invalid:3128", "https://bob:@planted#/@?@proxy.invalid", "bob@planted#9"),
    ],
)
async def test_a_login_that_is_not_escaped_is_refused_and_not_shown(value: str) -> None:
    for arguments in (["list", "--json", "-vv"], ["doctor"]):
        end = await through(value, *arguments)
        said = end.out + end.err
        assert end.status == 3
        assert "HTTPS_PROXY cannot be read: its user name or password contains @, #, / or ?" in said
        assert HINT.removeprefix("hint: ") in " ".join(said.split())
        for part in ("bob", "planted", "sekret", "corp", "proxy.invalid"):
            assert part not in said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("socks5://bob:planted@proxy.invalid:1080", "HTTPS_PROXY names a SOCKS proxy, which is not supported"),
        ("socks4a://proxy.invalid", "HTTPS_PROXY names a SOCKS proxy, which is not supported"),
        *(
            (value, "HTTPS_PROXY is not the address of an HTTP proxy")
            for value in (
                "ftp://bob:planted@proxy.invalid",
                '"http://bob:planted@proxy.invalid:1"',
                "http://bob:planted@",
            )
        ),
    ],
)
async def test_what_is_no_http_proxy_is_refused_and_not_shown(value: str, told: str) -> None:
    end = await through(value, "list", "-vv")
    assert end.status == 3
    assert f"error: {told}\n" in end.err
    assert "planted" not in end.err


@pytest.mark.parametrize(
    ("status", "headers", "message", "hint"),
    [
        (407, ["Proxy-Authenticate: Basic realm=x"], "refused the user name or password, or needs one", "percent-enc"),
        (407, ["Proxy-Authenticate: NTLM", "Proxy-Authenticate: Negotiate"], "refused the user name", "Basic auth"),
        (403, [], f"does not allow connections to {NAME}", "administrator"),
        (502, [], f"did not connect to {NAME}", "http://[USER:PASSWORD@]HOST:PORT"),
    ],
)
async def test_a_proxy_that_refuses_is_blamed(status: int, headers: list[str], message: str, hint: str) -> None:
    async with refusing(status, *headers) as proxy:
        end = await through(f"http://bob:planted@127.0.0.1:{proxy.port}")
    assert end.status == 7
    error, guidance = end.err.splitlines()
    assert error.startswith(f"error: The proxy 127.0.0.1:{proxy.port} {message}")
    assert error.endswith(f"(HTTP {status})")
    assert hint in guidance
    assert "HTTPS_PROXY" in guidance
    for wrong in ("--region", "planted", "bob"):
        assert wrong not in end.err


async def test_a_proxy_that_is_not_found_or_not_there_is_blamed() -> None:
    async with refusing(403) as proxy:
        pass
    for address, message in (
        ("proxy.oauth-helper.invalid:3128", "No address was found for the proxy proxy.oauth-helper.invalid:3128"),
        (f"127.0.0.1:{proxy.port}", f"No connection to the proxy 127.0.0.1:{proxy.port}: Connection refused"),
    ):
        end = await through(f"http://bob:planted@{address}")
        assert end.status == 7
        assert end.err.startswith(f"error: {message}\nhint: Check HTTPS_PROXY")
        assert "planted" not in end.err
