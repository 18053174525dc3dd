"""The wire: the bytes of a request, and redirects that are not followed."""

from __future__ import annotations

import asyncio

import pytest
from fake_servicestage import AUTHS, KEY, PROJECT, RawServer, json_answer

from oauth_helper.errors import UnusableAnswerError
from oauth_helper.secret import Secret
from oauth_helper.servicestage.transport import Connection

QUERY, BODY = [("tag", "intl")], b'{"code": "C0DE"}'


def connection(server: RawServer) -> Connection:
    return Connection(server.endpoint, credentials=KEY, project_id=PROJECT)


async def post(server: RawServer) -> None:
    async with connection(server) as service:
        await service.request("POST", "/x", query=QUERY, body=BODY, secrets=(Secret("C0DE"),))


async def test_path_and_query_are_sent_as_they_were_signed() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b"{}"))

    async with RawServer(script) as server, connection(server) as service:
        await service.request("GET", "/a%2Fb/%7E/:/..//c", query=[("b", "2"), ("B", "1"), ("a", "~-_. *+/"), ("Z", "")])
    request_line, *_ = server.heads[0].split(b"\r\n")
    assert request_line == b"GET /a%2Fb/%7E/:/..//c?B=1&Z=&a=~-_.%20%2A%2B%2F&b=2 HTTP/1.1"
    assert server.heads[0].lower().count(b"\r\nhost:") == 1
    assert f"Host: 127.0.0.1:{server.port}".encode() in server.heads[0]


async def test_cookies_are_not_taken() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await server.read_request(reader)
            writer.write(json_answer(b"{}", more="Set-Cookie: a=b; Path=/\r\n"))

    async with (
        RawServer(script) as server,
        # By its name: aiohttp's own jar takes no cookies from an IP address.
        Connection(f"http://localhost:{server.port}", credentials=KEY) as service,
    ):
        await service.request("GET", "/")
        await service.request("GET", "/")
    assert b"cookie" not in b"".join(server.heads).lower()


async def test_what_netrc_says_does_not_replace_the_signature(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b"{}"))

    async with RawServer(script) as server, connection(server) as service:
        await service.request("GET", "/")
    assert b"Authorization: SDK-HMAC-SHA256 Access=AccessKey," in server.heads[0]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_redirect_is_not_followed_and_only_its_host_is_told(status: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b"", status=status, more="Location: https://elsewhere.example/x?code=C0DE\r\n"))

    async with RawServer(script) as server:
        with pytest.raises(UnusableAnswerError, match=r"redirects to elsewhere\.example \(HTTP 30") as caught:
            await post(server)
    assert caught.value.sent
    assert "C0DE" not in str(caught.value)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("location", "where"), [("/login", "127.0.0.1"), ("", "127.0.0.1"), ("https://[x", "an unreadable address")]
)
async def test_a_redirect_to_nowhere_is_told_too(location: str, where: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b"", status="302 Found", more=f"Location: {location}\r\n"))

    async with RawServer(script) as server:
        with pytest.raises(UnusableAnswerError) as caught:
            await post(server)
    assert f"redirects to {where}" in str(caught.value)


async def test_ipv6_endpoints_work_with_brackets_in_host() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(json_answer(b"{}"))
        writer.close()
        await writer.wait_closed()

    heads: list[bytes] = []
    try:
        server = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Connection(f"http://[::1]:{port}", credentials=KEY) as service:
            await service.request("GET", AUTHS)
    assert f"Host: [::1]:{port}\r\n".encode() in heads[0]
