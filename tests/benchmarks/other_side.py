"""ServiceStage, a Git host and a token endpoint in one: it answers at once, and notes when each request was there."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import trustme

CONSOLE = "https://console.huaweicloud.com/servicestage/oauth?repo_type=github"
IDLE_CLOSE = 60.0
"""Seconds after which a server closes a connection on which nothing comes; 60 is nginx's and many gateways' default."""


@dataclass
class OtherSide:
    """What the requests are answered with. Who asks is known by the project or client in the path."""

    idle_close: float
    ca_bundle: Path
    port: int = 0
    """Of ServiceStage and token endpoint: TLS."""
    git_host: str = ""
    """The Git host's origin, without TLS since it is on loopback."""
    moments: dict[tuple[str, str], float] = field(default_factory=dict)
    """Who and what, and when it was first there whole, by the performance counter."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, Location and body of an answer."""
        _, *path = urlsplit(target).path.split("/")
        match method, path:
            case "GET", ["v1", who, "git", "auths"]:
                return self._noted(who, "list", {"authorizations": [], "count": 0})
            case "GET", ["v1", who, "git", "auths", _, "redirect"]:
                return self._noted(who, "url", {"url": self.authorization_url(who)})
            case "POST", ["v1", who, "git", "auths", repo_type, "oauth"]:
                record = {"name": json.loads(body)["name"], "repo_type": repo_type, "token_type": "oauth", "status": 0}
                return self._noted(who, "post", {"authorization": record})
            case "POST", [who, "token"]:
                return self._noted(who, "post", {"access_token": "t", "token_type": "Bearer", "expires_in": 600})
            case "GET", [who, "authorize"]:
                self._noted(who, "git host", {})
                return 302, redirect_of(target), b""
            case _:
                return 404, "", b"{}"

    async def moment(self, who: str, what: str) -> float:
        """Wait until it is there, and return when it was."""
        while (who, what) not in self.moments:
            self._news.clear()
            await self._news.wait()
        return self.moments[who, what]

    def _noted(self, who: str, what: str, document: object) -> tuple[int, str, bytes]:
        self.moments.setdefault((who, what), time.perf_counter())
        self._news.set()
        return 200, "", json.dumps(document).encode()

    def authorization_url(self, who: str) -> str:
        """A fresh one."""
        query = {"client_id": "0" * 20, "redirect_uri": CONSOLE, "state": f"$2a$10${secrets.token_hex(26)}"}
        return f"{self.git_host}/{who}/authorize?{urlencode(query)}"


def redirect_of(authorization_url: str) -> str:
    """Where the Git host sends a browser that comes with this URL and whose user consents."""
    asked = parse_qs(urlsplit(authorization_url).query)
    response = urlencode({"code": secrets.token_hex(10), "state": asked["state"][0]})
    uri = asked["redirect_uri"][0]
    return f"{uri}{'&' if '?' in uri else '?'}{response}"


class _Serving(asyncio.Protocol):
    """HTTP/1.1 as far as it is needed here, with nothing between the socket and the clock."""

    def __init__(self, side: OtherSide) -> None:
        self._side = side
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._await_the_next()

    def _await_the_next(self) -> None:
        self._closing = asyncio.get_running_loop().call_later(self._side.idle_close, self._transport.close)

    def connection_lost(self, _error: Exception | None) -> None:
        self._closing.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        if not ended or len(body) < length:
            return
        self._received = b""
        method, target, _ = lines[0].split(" ")
        status, location, content = self._side.answer(method, target, body)
        fields = f"Location: {location}\r\n" if location else ""
        said = (
            f"HTTP/1.1 {status} OK\r\n{fields}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._transport.write(said.encode() + content)
        self._closing.cancel()
        self._await_the_next()


@asynccontextmanager
async def other_side(folder: Path, *, idle_close: float = IDLE_CLOSE) -> AsyncIterator[OtherSide]:
    """Serve on free ports of 127.0.0.1; the certificate to trust is put into ``folder``."""
    authority = trustme.CA()
    ca_bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_bundle)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
    side = OtherSide(idle_close, ca_bundle)
    loop = asyncio.get_running_loop()
    service = await loop.create_server(lambda: _Serving(side), "127.0.0.1", 0, ssl=tls)
    git_host = await loop.create_server(lambda: _Serving(side), "127.0.0.1", 0)
    side.port = service.sockets[0].getsockname()[1]
    side.git_host = f"http://127.0.0.1:{git_host.sockets[0].getsockname()[1]}"
    try:
        yield side
    finally:
        # Connections that stand open are not waited for.
        service.close()
        git_host.close()
