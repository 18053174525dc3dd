"""Proxies, as the environment names them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from command import run_command, surroundings
from fake_servicestage import KEY, PROJECT, FakeServiceStage, RawServer, Script, answering
from yarl import URL

from oauth_helper.errors import SettingsError, UnreachableError
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import proxy_for

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
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def client(endpoint: str, ca_bundle: Path | str | None) -> ServiceStageClient:
    return ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY, ca_bundle=ca_bundle)


async def failure(endpoint: str, ca_bundle: Path | str | None = None) -> UnreachableError:
    async with client(endpoint, ca_bundle) as service:
        with pytest.raises(UnreachableError) as caught:
            await service.list_authorizations()
    return caught.value


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
    found = proxy_for(URL(endpoint))
    assert (found and found.url) == (URL(proxy) if proxy else None)


@pytest.mark.parametrize("address", ["socks5://u:passw0rd@p:1", "http://", "http://u:passw0rd@p:port", "://"])
def test_a_proxy_that_is_none_is_refused_unseen(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        client("https://x.example", None)
    assert "passw0rd" not in str(caught.value)
    assert caught.value.__context__ is None


@asynccontextmanager
async def tunnel_to(port: int) -> AsyncIterator[RawServer]:
    """Run a proxy that leads every CONNECT to the server at ``port``."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)
        writer.close()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.read_request(reader)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer))
        finally:
            upstream.close()
            await upstream.wait_closed()

    async with RawServer(script) as proxy:
        yield proxy


async def test_a_proxy_leads_to_a_host_that_only_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, ca_bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(ca_bundle))
    authority.issue_cert(NAME).configure_cert(tls)
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


async def test_doctor_names_the_proxy_but_not_its_password(tmp_path: Path) -> None:
    authority, ca_bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(ca_bundle))
    authority.issue_cert(NAME).configure_cert(tls)
    async with FakeServiceStage(EMPTY, tls=tls) as fake, tunnel_to(fake.port) as proxy:
        environ = surroundings(
            OAUTH_HELPER_ENDPOINT=f"https://{NAME}",
            OAUTH_HELPER_PROJECT_ID=PROJECT,
            OAUTH_HELPER_TOKEN="MIIE",
            HTTPS_PROXY=f"http://someone:passw%2Frd@127.0.0.1:{proxy.port}",
        )
        end = await run_command("doctor", "--json", "--ca-bundle", str(ca_bundle), environ=environ)
    (line,) = (one for one in json.loads(end.out) if one["subject"] == "service")
    assert line["message"].endswith(f" 0 authorizations, through the proxy 127.0.0.1:{proxy.port}")
    assert "passw" not in end.out + end.err


async def test_what_stands_ready_is_a_way_through_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, ca_bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(ca_bundle))
    authority.issue_cert(NAME).configure_cert(tls)
    async with FakeServiceStage(EMPTY, tls=tls) as fake, tunnel_to(fake.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:passw%2Frd@127.0.0.1:{proxy.port}")
        async with client(f"https://{NAME}", ca_bundle) as service:
            for _ in range(2):
                async with service.kept_ready():
                    await asyncio.sleep(0)
                await service.list_authorizations()
    assert len(proxy.heads) == 1
    assert len(fake.received) == 2


async def test_no_proxy_goes_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tunnel_to(1) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.endpoint)
        monkeypatch.setenv("NO_PROXY", NAME)
        error = await failure(f"https://{NAME}")
    assert error.message == f"There is no address for the name {NAME}"
    assert not error.sent
    assert proxy.heads == []


async def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeServiceStage(EMPTY) as fake, tunnel_to(fake.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        async with client(fake.endpoint, None) as service:
            await service.list_authorizations()
    assert proxy.heads == []
    assert len(fake.received) == 1


async def broken_proxy(script: Script, monkeypatch: pytest.MonkeyPatch) -> UnreachableError:
    async with RawServer(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:passw0rd@127.0.0.1:{proxy.port}")
        error = await failure(f"https://{NAME}")
    assert "127.0.0.1" in error.message or NAME in error.message
    assert "passw0rd" not in error.message
    return error


async def test_a_proxy_that_refuses_is_told_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 \x1b[31mNo\r\nContent-Length: 0\r\n\r\n")

    error = await broken_proxy(script, monkeypatch)
    assert error.message.endswith("refused the user name or password, or needs one (HTTP 407)")
    assert "HTTPS_PROXY" in error.hint
    assert not error.sent


async def test_a_proxy_that_hangs_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    await broken_proxy(script, monkeypatch)


async def test_a_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tunnel_to(1) as proxy:
        pass
    monkeypatch.setenv("HTTPS_PROXY", proxy.endpoint)
    error = await failure(f"https://{NAME}")
    assert error.message.startswith(f"No connection to the proxy 127.0.0.1:{proxy.port}: ")
    assert not error.sent


async def test_a_proxy_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.oauth-helper.invalid:3128")
    error = await failure("https://x.example")
    assert error.message == "No address was found for the proxy proxy.oauth-helper.invalid:3128"
    assert "HTTPS_PROXY (http" in error.hint
    assert not error.sent
