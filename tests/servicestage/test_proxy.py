"""The proxy that the environment names: NO_PROXY, user name and password, and messages that name the proxy."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path

import pytest
import trustme
from support.command_runner import Ended, commands
from support.fake_servicestage import KEY, PROJECT, FakeServiceStage, RawServer, answering, tunnel_to
from yarl import URL

from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.proxies import proxy_for

EMPTY = answering({"authorizations": []})

NAME = "servicestage.oauth-helper.invalid"
"""A name that only the proxy knows (RFC 6761 section 6.4)."""

DIRECT = {
    "https://api.corp.example": [
        *("*.corp.example", ".corp.example", "CORP.example", "a.example,\tCorp.Example ", "a.example corp.example."),
        *("*.example", "api.corp.example:443", "corp.example:443", "*.corp.example:443", "a, *"),
    ],
    "https://corp.example": [".corp.example", "corp.example", "Example"],
    "https://密.example": ["密.example", "xn--vct.example", ".EXAMPLE"],
    "https://192.0.2.77": ["192.0.2.0/25", "192.0.2.77/24", "192.0.2.77", "192.0.2.77:443", "0.0.0.0/0"],
    "https://[2001:db8::5]:8443": ["2001:db8::/32", "[2001:db8::5]", "[2001:DB8:0::5]:8443", "2001:db8::5"],
}
"""Entries of NO_PROXY that name the endpoint."""

THROUGH_THE_PROXY = {
    "https://api.corp.example": ["orp.example", "api.corp", "api.corp.example:8443", "*corp", "10.0.0.0/8", "/", "."],
    "https://corp.example": ["*.corp.example", "api.corp.example", ".corp.example:80"],
    "https://192.0.2.77": ["192.0.2.0/26", "192.0.2.7", "2.77", "192.0.2.77:80", "::/0", "*.77", "192.0.2.77/x"],
    "https://[2001:db8::5]:8443": ["[2001:db8::5]:443", "2001:db9::/32", "[2001:db8::6]", "0.0.0.0/0"],
}

Certified = tuple[ssl.SSLContext, Path]
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """Return a server context for NAME, and the bundle that trusts it."""
    authority, ca_bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(ca_bundle))
    authority.issue_cert(NAME).configure_cert(tls)
    return tls, ca_bundle


def client(endpoint: str, ca_bundle: Path | str | None) -> ServiceStageClient:
    return ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY, ca_bundle=ca_bundle)


@pytest.mark.parametrize(
    ("environment", "endpoint", "proxy"),
    [
        ({}, "https://x.example", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://x.example", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "https://x.example", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://x.example", "http://p:1"),
        ({"https_proxy": "https://u:w@p"}, "https://x.example", "https://p"),
        ({"HTTPS_PROXY": ""}, "https://x.example", None),
        ({"HTTP_PROXY": "http://p:1"}, "https://x.example", None),
        ({"ALL_PROXY": "socks5://p:1"}, "https://x.example", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example"}, "https://x.example", None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "y.example, .example"}, "https://x.example", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://x.example", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example:8443"}, "https://x.example:8443", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example:8443"}, "https://x.example", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "y.example"}, "https://x.example", "http://p:1"),
        *(
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy}, endpoint, None)
            for endpoint, matching in DIRECT.items()
            for no_proxy in matching
        ),
        *(
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy}, endpoint, "http://p:1")
            for endpoint, other in THROUGH_THE_PROXY.items()
            for no_proxy in other
        ),
        ({"HTTPS_PROXY": "http://p:1"}, "https://127.0.0.1:8443", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://[::1]", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://localhost", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8080", None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], endpoint: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found, _authorization = proxy_for(URL(endpoint))
    assert found == (URL(proxy) if proxy else None)


async def test_a_proxy_resolves_the_name(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, ca_bundle = certified
    async with (
        FakeServiceStage(EMPTY, tls=tls) as fake,
        tunnel_to(fake.port) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:passw%2Frd@127.0.0.1:{proxy.port}")
        async with client(f"https://{NAME}", ca_bundle) as service:
            assert await service.list_authorizations() == []
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"someone:passw/rd") in head
    assert b"SDK-HMAC-SHA256" not in head
    request = fake.received[0]
    assert request.headers["Host"] == NAME
    assert "Proxy-Authorization" not in request.headers
    assert request.headers["Authorization"] == request.vendor_authorization("AccessKey", "SecretKey")


async def test_doctor_names_the_proxy_but_not_its_password(certified: Certified) -> None:
    tls, ca_bundle = certified
    async with FakeServiceStage(EMPTY, tls=tls) as fake, tunnel_to(fake.port) as proxy:
        environ = commands.environ(
            OAUTH_HELPER_ENDPOINT=f"https://{NAME}",
            OAUTH_HELPER_PROJECT_ID=PROJECT,
            OAUTH_HELPER_TOKEN="MIIE",
            HTTPS_PROXY=f"http://someone:passw%2Frd@127.0.0.1:{proxy.port}",
        )
        end = await commands.run("doctor", "--json", "--ca-bundle", str(ca_bundle), environ=environ)
    (line,) = (one for one in json.loads(end.out) if one["subject"] == "service")
    assert line["message"].endswith(f" 0 authorizations, through the proxy 127.0.0.1:{proxy.port}")
    assert "passw" not in end.out + end.err


async def test_the_open_connection_uses_the_proxy(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, ca_bundle = certified
    async with FakeServiceStage(EMPTY, tls=tls) as fake, tunnel_to(fake.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:passw%2Frd@127.0.0.1:{proxy.port}")
        async with client(f"https://{NAME}", ca_bundle) as service:
            for _ in range(2):
                async with service.kept_open():
                    while service._transport._open is None:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await service.list_authorizations()
    assert len(proxy.heads) == 1
    assert len(fake.received) == 2


HINT = "hint: In the user name and the password, write @ as %40, # as %23, / as %2F and ? as %3F."


async def through(proxy: str, *arguments: str) -> Ended:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")
    inherited = {name: value for name, value in commands.environ().items() if name not in names}
    ours = {
        "HTTPS_PROXY": proxy,
        "OAUTH_HELPER_ENDPOINT": f"https://{NAME}",
        "OAUTH_HELPER_PROJECT_ID": PROJECT,
        "HUAWEICLOUD_SDK_AK": "AccessKey",
        "HUAWEICLOUD_SDK_SK": "SecretKey",
    }
    return await commands.run(*(arguments or ("list",)), environ=inherited | ours)


def refusing(status: int, *headers: str) -> RawServer:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        lines = [f"HTTP/1.1 {status} No", "Content-Length: 0", *headers]
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        await writer.drain()

    server = RawServer(script)  # the script needs its name
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
    "value",
    [
        "socks5://bob:planted@proxy.invalid:1080",
        "ftp://bob:planted@proxy.invalid",
        '"http://bob:planted@proxy.invalid:1"',
        "http://bob:planted@",
    ],
)
async def test_what_is_no_http_proxy_is_refused_and_not_shown(value: str) -> None:
    end = await through(value, "list", "-vv")
    assert end.status == 3
    assert "error: HTTPS_PROXY is not the address of an HTTP proxy\n" in end.err
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
