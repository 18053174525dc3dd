"""An OpenID provider over a real socket that answers what it is told to, be it of use to nobody."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = {"access_token": "planted-token", "token_type": "bearer"}
CLAIMS = {"sub": "1"}
Answer = Callable[[], Awaitable[web.Response]]


async def _token() -> web.Response:
    return web.json_response(TOKEN)


async def _claims() -> web.Response:
    return web.json_response(CLAIMS)


@dataclass
class PaperProvider:
    """Answers what it is told to."""

    address: str
    changes: dict[str, Any] = field(default_factory=dict)
    """To its document; None takes a field away."""
    token: Answer = _token
    claims: Answer = _claims
    headers: list[dict[str, str]] = field(default_factory=list)
    """Those of the requests to the token endpoint and to userinfo."""
    forms: list[dict[str, str]] = field(default_factory=list)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._describe)
        application.router.add_post("/token", self._answer_token)
        application.router.add_get("/userinfo", self._answer_claims)
        application.router.add_get("/page/.well-known/openid-configuration", _page)
        application.router.add_get("/moved/.well-known/openid-configuration", _moved)
        application.router.add_get("/closed/.well-known/openid-configuration", _closed)
        return application

    async def _describe(self, _: web.Request) -> web.Response:
        document = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "response_types_supported": ["code"],
        } | self.changes
        return web.json_response({name: value for name, value in document.items() if value is not None})

    async def _answer_token(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return await self.token()

    async def _answer_claims(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return await self.claims()


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def _moved(_: web.Request) -> web.Response:
    raise web.HTTPFound("/.well-known/openid-configuration")


async def _closed(_: web.Request) -> web.Response:
    return web.json_response({"error": "temporarily_unavailable"}, status=503)


def answering(status: int, body: object, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer() -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer
