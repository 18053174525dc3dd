"""A provider for the peers: its configuration, and a token endpoint that notes which codes it is brought."""

from __future__ import annotations

import base64
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web

AUDIENCE = "sigstore"
"""The client id that sigstore expects in an identity token."""


@dataclass
class TokenEndpoint:
    """One server; each client has a folder of its own there."""

    origin: str = ""
    codes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By the client's folder: every code it was brought, in order."""
    _numbers: count[int] = field(default_factory=count)

    def register(self) -> str:
        """The folder of a new client."""
        return f"client-{next(self._numbers)}"

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/{client}/.well-known/openid-configuration", self._configuration)
        application.router.add_post("/{client}/token", self._token)
        return application

    async def _configuration(self, request: web.Request) -> web.Response:
        folder = f"{self.origin}/{request.match_info['client']}"
        return web.json_response(
            {"authorization_endpoint": f"{folder}/authorize", "token_endpoint": f"{folder}/token", "issuer": folder}
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.codes[request.match_info["client"]] += map(str, form.getall("code", []))
        return web.json_response({"access_token": _identity(), "token_type": "Bearer", "expires_in": 600})


@asynccontextmanager
async def token_endpoint() -> AsyncIterator[TokenEndpoint]:
    """Serve on a free port of 127.0.0.1."""
    endpoint = TokenEndpoint()
    runner = web.AppRunner(endpoint.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    endpoint.origin = f"http://{host}:{port}"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


def _identity() -> str:
    """An identity token as sigstore reads it; nobody here checks its signature."""
    now = int(time.time())
    claims = {"iss": "http://127.0.0.1", "sub": "ada", "aud": AUDIENCE, "iat": now, "exp": now + 600}
    return ".".join(_part(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)) + "." + _part(b"none")


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
