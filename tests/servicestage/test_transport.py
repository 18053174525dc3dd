"""Requests over HTTP: what is refused before, how connections break, and what is never sent twice."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version

import aiohttp
import pytest
from aiohttp import web
from support.fake_servicestage import (
    AUTHS,
    CODE,
    KEY,
    PROJECT,
    RECORD,
    STATE,
    TOKEN,
    FakeServiceStage,
    RawServer,
    Received,
    answering,
    json_answer,
    reset,
)

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import CredentialsError, SettingsError, UnavailableError, UnreachableError, UnusableAnswerError
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import LARGEST_ANSWER, Transport, translated
from oauth_helper.version import VERSION


def client(fake: FakeServiceStage, credentials: AccessKey | IamToken = KEY, prefix: str = "") -> ServiceStageClient:
    return ServiceStageClient(fake.endpoint + prefix, project_id=PROJECT, credentials=credentials)


async def test_the_servers_clock_is_noted() -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    dates = iter([{"Date": ahead}, {"Date": "yesterday"}, {"Date": ahead.replace("GMT", "-0000")}])
    skews: list[float | None] = []

    def answer(_request: Received) -> web.Response:
        return web.json_response({"authorizations": []}, headers=next(dates))

    async with FakeServiceStage(answer) as fake, client(fake) as service:
        assert service.last_clock_skew is None
        for _ in range(3):
            await service.list_authorizations()
            skews.append(service.last_clock_skew)
    assert skews == [pytest.approx(3600, abs=5), None, pytest.approx(3600, abs=5)]


async def test_the_program_names_itself_and_its_version() -> None:
    async with FakeServiceStage(answering({"authorizations": []})) as fake, client(fake) as service:
        await service.list_authorizations()
    assert [request.headers["User-Agent"] for request in fake.received] == [f"oauth-helper/{VERSION}"]
    assert version("oauth-helper") == VERSION, "the build reads it too"


async def test_a_debug_log_tells_the_call_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeServiceStage(answering({"authorization": RECORD})) as fake:
        async with client(fake, AccessKey("AK", "SecretKey", "tok/en")) as service:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE, tag="intl")
        async with client(fake, TOKEN) as service:
            await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
    assert caplog.text.count(f"POST 127.0.0.1:{fake.port}{AUTHS}/github/oauth: 200") == 2
    for secret in ("SecretKey", "tok/en", "MIIE", CODE.reveal(), STATE.reveal(), "Signature"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "endpoint", ["http://servicestage.example.com", "ftp://x", "https://u:p@x.example", "https://x.example/?a=b", ""]
)
def test_an_endpoint_that_would_not_be_safe_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError):
        ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY)


@pytest.mark.parametrize("project_id", ["", "a b", "a\r\nX-Evil: 1", "a\n", "é"])
def test_a_project_id_that_cannot_stand_in_a_header_is_refused(project_id: str) -> None:
    with pytest.raises(SettingsError, match="project ID") as caught:
        ServiceStageClient("https://x.example", project_id=project_id, credentials=KEY)
    assert not isinstance(caught.value, CredentialsError)


@pytest.mark.parametrize(
    "credentials",
    [
        AccessKey("", "SecretKey"),
        AccessKey("A\nK", "SecretKey"),
        AccessKey("AK", ""),
        AccessKey("AK", "Secret\nKey"),
        AccessKey("AK", "SecretKey", "tok\r\nen"),
        IamToken(""),
        IamToken("to ken"),
        IamToken("tokén"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_unseen(credentials: AccessKey | IamToken) -> None:
    with pytest.raises(CredentialsError) as caught:
        ServiceStageClient("https://x.example", project_id=PROJECT, credentials=credentials)
    assert "Key" not in str(caught.value)
    assert "en" not in str(caught.value).replace("token", "")


QUERY, BODY = [("tag", "intl")], b'{"code": "C0DE"}'

CREATED = b'{"authorization": {"name": "my-auth", "repo_type": "github"}}'

SOON, LATER = aiohttp.ClientTimeout(total=0.3), aiohttp.ClientTimeout(total=20)


def connection(server: RawServer, limits: aiohttp.ClientTimeout = LATER) -> Transport:
    return Transport(server.endpoint, credentials=KEY, project_id=PROJECT, timeout=limits)


async def post(server: RawServer, limits: aiohttp.ClientTimeout = LATER) -> None:
    async with connection(server, limits) as service:
        await service.request("POST", "/x", query=QUERY, body=BODY, secrets=(Secret("C0DE"),))


async def create(service: ServiceStageClient) -> None:
    await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)


async def test_a_refused_connection_was_never_sent() -> None:
    async with RawServer(lambda _reader, _writer: asyncio.sleep(0)) as server:
        pass
    with pytest.raises(UnreachableError, match=rf"No connection to 127\.0\.0\.1:{server.port}: .*refused") as caught:
        await post(server)
    assert not caught.value.sent


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "then", "error_class", "words"),
    [
        (b"", "close", UnreachableError, "closed the connection|broke"),
        (b"", "reset", UnreachableError, "closed the connection|broke"),
        (HEAD + b"Content-Le", "close", UnreachableError, "closed the connection|broke"),
        (HEAD + b"Content-Le", "reset", UnreachableError, "closed the connection|broke"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", "close", UnreachableError, "broke off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", "close", UnreachableError, "broke off"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n{abcd", "close", UnreachableError, "broke off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "wait", UnusableAnswerError, "is not HTTP"),
        (HEAD + b"not a header\r\n\r\n", "wait", UnusableAnswerError, "is not HTTP"),
        (b"", "wait", UnreachableError, "did not answer in time"),
        (HEAD + b"Content-Type: appl", "wait", UnreachableError, "did not answer in time"),
        (HEAD + b"Content-Length: 9\r\n\r\n{", "wait", UnreachableError, "did not answer in time"),
    ],
)
async def test_a_post_without_a_complete_answer_is_sent_once_and_may_have_arrived(
    answer: bytes, then: str, error_class: type[UnavailableError], words: str
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(answer)
        await writer.drain()
        if then == "reset":
            reset(writer)
        if then == "wait":
            await reader.read()

    async with RawServer(script) as server:
        with pytest.raises(error_class, match=words) as caught:
            await post(server, SOON if words.endswith("in time") else LATER)
    assert caught.value.sent
    assert len(server.heads) == 1


async def test_a_handshake_that_never_ends_was_never_sent() -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with RawServer(script) as server:
        endpoint = server.endpoint.replace("http:", "https:")
        limits = aiohttp.ClientTimeout(total=20, connect=0.3)
        async with Transport(endpoint, credentials=KEY, timeout=limits) as service:
            with pytest.raises(UnreachableError, match="came about in time") as caught:
                await service.request("POST", "/x", body=BODY)
    assert not caught.value.sent


async def test_an_endless_answer_is_cut() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async with RawServer(script) as server:
        with pytest.raises(UnusableAnswerError, match=f"larger than {LARGEST_ANSWER} bytes") as caught:
            await post(server)
    assert caught.value.sent


async def test_a_post_lost_on_a_kept_connection_is_not_sent_again() -> None:
    """The server takes the second request of a connection, and closes without an answer."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b'{"authorizations": []}'))
        await server.read_request(reader)

    async with (
        RawServer(script) as server,
        ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        await service.list_authorizations()
        with pytest.raises(UnreachableError) as caught:
            await create(service)
    assert caught.value.sent
    assert [head.split()[0] for head in server.heads] == [b"GET", b"POST"]


async def test_no_secret_is_in_a_failures_traceback() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(b"SSH-2.0\r\n\r\n")

    async with RawServer(script) as server, Transport(server.endpoint, credentials=TOKEN) as service:
        with pytest.raises(UnusableAnswerError) as caught:
            await service.request("POST", "/x", query=QUERY, body=BODY)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join(traceback.format_exception(error)) + repr(error) + str(error.to_json())
    for hidden in ("MIIE", "C0DE", "intl"):
        assert hidden not in told


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
        while True:
            await server.read_request(reader)
            writer.write(json_answer(b"{}", more="Set-Cookie: a=b; Path=/\r\n"))

    async with (
        RawServer(script) as server,
        # By its name: aiohttp's own jar takes no cookies from an IP address.
        Transport(f"http://localhost:{server.port}", credentials=KEY) as service,
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


@pytest.mark.parametrize(
    ("status", "location", "host"),
    [
        ("301 Moved", "https://elsewhere.example/x?code=C0DE", r"elsewhere\.example"),
        ("302 Found", "/login", "127.0.0.1"),
        ("307 Temporary Redirect", "", "127.0.0.1"),
        ("308 Permanent Redirect", "https://[x", "an unreadable address"),
    ],
)
async def test_a_redirect_is_not_followed_and_only_its_host_is_told(status: str, location: str, host: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(json_answer(b"", status=status, more=f"Location: {location}\r\n"))

    async with RawServer(script) as server:
        with pytest.raises(UnusableAnswerError, match=f"redirects to {host}") as caught:
            await post(server)
    assert caught.value.sent
    assert "C0DE" not in str(caught.value)
    assert len(server.heads) == 1


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
        async with Transport(f"http://[::1]:{port}", credentials=KEY) as service:
            await service.request("GET", AUTHS)
    assert f"Host: [::1]:{port}\r\n".encode() in heads[0]


@pytest.mark.parametrize(
    ("error", "message", "sent"),
    [
        (TimeoutError(), "example.com did not answer in time", True),
        (OSError(errno.ENETDOWN, "?tag=x"), "The connection with example.com broke: Network is down", True),
        (OSError("?tag=x"), "The connection with example.com broke", True),
        (ssl.SSLError(1, "?tag=x"), "The connection with example.com broke", True),
        (UnicodeError("?tag=x"), "example.com is not a usable address", False),
        (ValueError("?tag=x"), "The request to example.com failed", True),
        (aiohttp.InvalidURL("https://x/?tag=x"), "example.com is not a usable address", False),
        (aiohttp.ClientPayloadError("?tag=x"), "The answer of example.com broke off", True),
    ],
)
def test_what_an_exception_says_itself_is_not_repeated(error: Exception, message: str, sent: bool) -> None:
    ours = translated(error, server="example.com", proxy=None)
    assert isinstance(ours, UnavailableError)
    assert str(ours) == message
    assert ours.sent is sent
    assert "Nothing was created" not in ours.hint
