"""A fake of ServiceStage that returns what the test tells it to, and keeps the requests.

:class:`FakeServiceStage` speaks HTTP as aiohttp does; :class:`RawServer` leaves every byte to the test;
:class:`ContractServer` implements the API reference and checks every request against it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from aiohttp import web
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.secret import Secret

PROJECT = "0123456789abcdef0123456789abcdef"
AUTHS = f"/v1/{PROJECT}/git/auths"
KEY = AccessKey("AccessKey", "SecretKey")
TOKEN = IamToken("MIIE-token")
CODE = Secret("fb32b45c3513bc3267f5")
STATE = Secret("$2a$10$.uQYThj5yKFs51w9s9ajeuQ0NSGshPH7IUfXoZLPlz7J/oAJ8Babc")
RECORD: dict[str, object] = {
    "name": "my-auth",
    "repo_type": "github",
    "repo_user": "octo",
    "avartar": "https://x/y.png",
    "status": 0,
}


@dataclass(frozen=True)
class Received:
    """A request; ``target`` is the unchanged request target."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def vendor_authorization(self, access_key: str, secret_key: str) -> str:
        """Return the Authorization that the vendor's SDK computes for this request."""
        sent = self.headers["Authorization"]
        names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        path, _, query = self.target.partition("?")
        request = SdkRequest(
            method=self.method,
            resource_path=path,
            query_params=parse_qsl(query, keep_blank_values=True),
            header_params={name: self.headers[name] for name in names},
            body=self.body,
        )
        signed = Signer(BasicCredentials(access_key, secret_key)).sign(request)
        return str(signed.header_params["Authorization"])


Respond = Callable[[Received], web.Response | Awaitable[web.Response]]


def answering(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[Received], web.Response]:
    """Answer every request with the same JSON."""
    return lambda _request: web.json_response(document, status=status, headers=headers)


@dataclass
class FakeServiceStage:
    """Answer each request with ``respond``; ``received`` has them all, in order."""

    respond: Respond
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(_application(self), access_log=None, max_field_size=256 * 1024)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def handle(self, request: web.Request) -> web.Response:
        received = Received(request.method, request.raw_path, request.headers.copy(), await request.read())
        self.received.append(received)
        answer = self.respond(received)
        return answer if isinstance(answer, web.Response) else await answer


def _application(fake: FakeServiceStage) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.handle)
    return application


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Run ``script`` for every connection; ``heads`` has the request heads that scripts have read."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def stop_listening(self) -> None:
        """Refuse further connections; the open ones continue."""
        self._server.close()

    async def read_request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        """Return head and body of the next request on this connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head, await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            # A client that gives up closes its end; that is the end of the script too.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._script(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


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


def json_answer(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    """Return a whole HTTP answer with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a reset (RST) instead of an end (FIN)."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# The contract: ServiceStage as the API reference has it, chapter "Git Repository Access", independent of our client.

CONTRACT_PROJECT: Final = "5f1d1f2a3c4b4e0f8a9b7c6d5e4f3a2b"
ACCESS_KEY: Final = "QTWAOYTTINDUT2QVKYUC"
SECRET_KEY: Final = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
PERSONAL_TOKEN: Final = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
PASSWORD: Final = "pl@nted passw0rd/+="
USER: Final = "account/someone"
CONSOLE: Final = "https://console.huaweicloud.com/servicestage/oauth?repo_type="
Json = dict[str, Any]

_EVERY_REQUEST: Final = {"Host", "Content-Type", "X-Project-Id", "X-Sdk-Date", "Authorization"}
_LIBRARY: Final = {"User-Agent", "Accept", "Accept-Encoding", "Content-Length"}
_AUTHORIZATION: Final = re.compile(
    r"SDK-HMAC-SHA256 Access=(?P<key>\S+), SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{4,63}")
_TOKEN_TYPES: Final = {"github", "gitlab", "gitee"}
_PASSWORD_TYPES: Final = {"bitbucket", "devcloud"}
_BODIES: Final = {
    "oauth": ({"name", "code", "state"},),
    "personal": ({"name", "token"}, {"name", "token", "host"}),
    "password": ({"name", "user", "password"}, {"name", "token"}),
}
_ROUTES: Final = tuple(
    (operation, method, re.compile(f"/v1/{CONTRACT_PROJECT}/git/{path}"))
    for operation, method, path in (
        ("list", "GET", "auths"),
        ("redirect", "GET", "auths/([a-z]+)/redirect"),
        ("oauth", "POST", "auths/([a-z]+)/oauth"),
        ("personal", "POST", "auths/([a-z]+)/personal"),
        ("password", "POST", "auths/([a-z]+)/password"),
        ("delete", "DELETE", "auths/([A-Za-z0-9._-]+)"),
        ("namespaces", "GET", "repos/namespaces"),
        ("projects", "GET", "repos/([^/?:]+)/projects"),
        ("branches", "GET", "repos/([^/?:]+)/([^/?]+)/branches"),
    )
)


def refusal(status: int, code: str) -> web.Response:
    """Refuse as API Gateway and ServiceStage both do."""
    document = {"error_code": code, "error_msg": "refused"}
    return web.json_response(document, status=status, headers={"X-Request-Id": "0" * 32})


@dataclass
class ContractServer:
    """Serves one project and checks every request; violations of the contract fail the test when the context ends."""

    records: dict[str, Json] = field(default_factory=dict)
    namespaces: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    understands: str = "documented"
    """Or ``terraform``: the body of a password."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and code with which an operation is always refused."""
    violations: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    async def __aenter__(self) -> Self:
        self.server = await FakeServiceStage(self._respond).__aenter__()
        return self

    async def __aexit__(self, *end: Any) -> None:
        await self.server.__aexit__(*end)
        if end[0] is None:
            assert self.violations == []

    @staticmethod
    def keys() -> dict[str, str]:
        """Environment variables for the project and its access key."""
        return {
            "OAUTH_HELPER_PROJECT_ID": CONTRACT_PROJECT,
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
        }

    def environment(self) -> dict[str, str]:
        """Environment variables that let the command use this server."""
        return self.keys() | {"OAUTH_HELPER_ENDPOINT": self.server.endpoint}

    def put(self, name: str, repo_type: str = "github", kind: str = "oauth", **more: object) -> Json:
        """Store an authorization and return its record."""
        site, now = f"https://{repo_type}.com", int(time.time() * 1000)
        self.records[name] = {
            "name": name,
            "repo_type": repo_type,
            "repo_host": f"https://api.{repo_type}.com",
            "repo_home": f"{site}/someone",
            "repo_user": "someone",
            "avartar": f"{site}/someone.png",
            "token_type": kind,
            "create_time": now,
            "update_time": now,
            "status": 0,
        } | more
        return self.records[name]

    def _respond(self, request: Received) -> web.Response:
        path, _, query = request.target.partition("?")
        for operation, method, pattern in _ROUTES:
            if (found := pattern.fullmatch(path)) and method == request.method:
                self.calls[operation] += 1
                faults = contract_faults(request, operation, self.server.endpoint.removeprefix("http://"))
                names = set(dict(parse_qsl(query, keep_blank_values=True)))
                if not names <= ({"tag"} if operation in {"redirect", "oauth"} else set()):
                    faults.append(f"query {sorted(names)}")
                self.violations += [f"{request.method} {request.target}: {fault}" for fault in faults]
                if operation in self.refusals:
                    return refusal(*self.refusals[operation])
                return self._answer(operation, request, *map(unquote, found.groups()))
        self.violations.append(f"{request.method} {request.target}: no such operation")
        return refusal(404, "APIGW.0101")

    def _answer(self, operation: str, request: Received, first: str = "", second: str = "") -> web.Response:
        match operation:
            case "list":
                listed = [record | {"tag": record.get("tag")} for record in self.records.values()]
                return web.json_response({"authorizations": listed, "count": len(listed)})
            case "redirect":
                values = {
                    "client_id": "0123456789abcdef0123",
                    "redirect_uri": CONSOLE + first,
                    "state": STATE.reveal(),
                    "scope": "read:user repo write:repo_hook",
                }
                query = urlencode(values, quote_via=quote, safe="")
                return web.json_response({"url": f"https://{first}.com/login/oauth/authorize?{query}"})
            case "delete":
                if self.records.pop(first, None) is None:
                    self.violations.append(f"DELETE of {first}, which is not there")
                    return refusal(500, "SVCSTG.REPO.0500")
                return web.Response(status=204)
            case "namespaces":
                found = [{"id": str(number), "name": name} for number, name in enumerate(self.namespaces)]
                return web.json_response({"namespaces": found})
            case "projects":
                address = f"https://github.com/{first}"
                names = enumerate(self.namespaces[first])
                projects = [{"id": str(n), "name": name, "clone_url": f"{address}/{name}.git"} for n, name in names]
                return web.json_response({"projects": projects})
            case "branches":
                return web.json_response({"branches": self.namespaces[first][second.replace(":", "/")]})
            case _:
                return self._create(first, operation, read_json(request.body))

    def _create(self, repo_type: str, kind: str, body: Json) -> web.Response:
        types = {"oauth": _TOKEN_TYPES | _PASSWORD_TYPES, "personal": _TOKEN_TYPES, "password": _PASSWORD_TYPES}
        if repo_type not in types[kind]:
            return refusal(400, "SVCSTG.REPO.0401")
        is_understood = kind != "password" or ("user" in body) == (self.understands == "documented")
        if not is_understood or not _NAME.fullmatch(body["name"]):
            return refusal(400, "SVCSTG.REPO.0400")
        if body["name"] in self.records:
            return refusal(400, "SVCSTG.REPO.0403")
        if kind == "oauth" and (body["code"], body["state"]) != (CODE.reveal(), STATE.reveal()):
            return refusal(400, "SVCSTG.REPO.0402")
        host = {"repo_host": body["host"]} if "host" in body else {}
        return web.json_response({"authorization": self.put(body["name"], repo_type, kind, **host)})


def contract_faults(request: Received, operation: str, host: str) -> list[str]:
    """Return what the contract forbids in a request: headers, body, and the signature by the vendor's signer."""
    by_authorization = operation in {"namespaces", "projects", "branches"}
    needed = _EVERY_REQUEST | ({"X-Repo-Auth"} if by_authorization else set())
    names = list(request.headers.keys())
    expected = {"Host": host, "Content-Type": "application/json", "X-Project-Id": CONTRACT_PROJECT}
    body, bodies = read_json(request.body), _BODIES.get(operation)
    faults = [f"header {name}, {count} times" for name, count in Counter(names).items() if count > 1]
    faults += [f"without {name}" for name in needed - set(names)]
    faults += [f"with {name}" for name in set(names) - needed - _LIBRARY]
    faults += [f"{name}: {value}" for name in expected if (value := request.headers.get(name)) != expected[name]]
    if bodies is None and request.body:
        faults.append("a body")
    if bodies and (set(body) not in bodies or not all(isinstance(one, str) and one for one in body.values())):
        faults.append(f"a body with {sorted(body)}")
    return faults + ([] if faults else _signature_faults(request, needed - {"Authorization"}))


def _signature_faults(request: Received, signed: set[str]) -> list[str]:
    found = _AUTHORIZATION.fullmatch(request.headers["Authorization"])
    if found is None:
        return ["Authorization has another form than the guide's"]
    signed_at = datetime.strptime(request.headers["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    checks = {
        "the access key": found["key"] == ACCESS_KEY,
        f"signed headers {found['names']}": found["names"].split(";") == sorted(name.lower() for name in signed),
        f"signed at {signed_at}": abs((datetime.now(UTC) - signed_at).total_seconds()) < 15 * 60,
        "the signature": request.vendor_authorization(ACCESS_KEY, SECRET_KEY) == request.headers["Authorization"],
    }
    return [fault for fault, is_right in checks.items() if not is_right]


def read_json(raw: bytes) -> Json:
    """Read a body; anything but an object has no fields."""
    document = json.loads(raw or b"null")
    return document if isinstance(document, dict) else {}
