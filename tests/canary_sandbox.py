"""A sandbox that tells which secrets a run has seen: it learns them on the server's side, whatever the command did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from canaries import Canary

from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import Call, Fault, Faults, Kind
from oauth_helper.sandbox.git_host import AuthorizationServer, GitHost

_IN_HEADERS = ("X-Auth-Token", "X-Security-Token", "X-Subject-Token", "Proxy-Authorization")
_IN_BODIES = ("code", "state", "password")


class _CountedFaults(Faults):
    """Tells which faults came."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__(faults)
        self.struck: list[tuple[Call, Kind]] = []

    def _use(self, call: Call) -> None:
        self.struck.append((call, self._queues[call][0].kind))
        super()._use(call)


class TappedSandbox(Sandbox):
    """Notes each secret in a request to it or an answer of it."""

    def __init__(self, *faults: str, **options: Any) -> None:
        super().__init__(**{"fault_duration": 0.3} | options)
        self._injector._faults = self._counted = _CountedFaults(map(Fault.parse, faults))
        self.learned: dict[str, Canary] = {}
        """By value."""
        self.echoes_with: int | None = None
        """The status of an exchange's answer that repeats all secrets in the request; None: it is no such answer."""
        self.echoes_token = False
        """Whether every answer is unusable, and has the token of its request for a request id."""
        self.authorization_urls: set[str] = set()
        """All that were given out."""

    @property
    def struck(self) -> list[tuple[Call, Kind]]:
        """What went wrong, in order."""
        return self._counted.struck

    def has_struck(self, call: Call, kind: Kind) -> bool:
        """Whether this went wrong."""
        return (call, kind) in self.struck

    def go_wrong(self, fault: str) -> None:
        """Go wrong with this too, from now on."""
        planned = Fault.parse(fault)
        self._counted._queues[planned.call].append(planned)

    def learn(self, name: str, value: str) -> None:
        """Take ``value`` for a secret."""
        if value:
            self.learned.setdefault(value, Canary(name, value))

    def _applications(self, server: AuthorizationServer, git_host: GitHost) -> tuple[web.Application, ...]:
        *apis, console = super()._applications(server, git_host)
        for api in apis:
            api.middlewares.insert(0, self._tap)
        return *apis, console

    @web.middleware
    async def _tap(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._learn_of(request.headers, await request.read())
        signed = request.headers.get("Authorization", "")
        self.learn("signature", signed.partition("Signature=")[2])
        if self.echoes_with and request.method == "POST" and request.path.endswith("/oauth"):
            return _echo(self.echoes_with, json.loads(await request.read()), signed)
        if self.echoes_token:
            return web.Response(text="[", headers={"X-Request-Id": request.headers.get("X-Auth-Token", "")})
        answer = await handler(request)
        body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
        self._learn_of(answer.headers, body)
        return answer

    def _learn_of(self, headers: Mapping[str, str], body: bytes) -> None:
        for name in _IN_HEADERS:
            self.learn(name, headers.get(name, ""))
        self.learn_of_address(headers.get("Location", ""))
        with suppress(ValueError):  # a page, or nothing
            self._learn_of_document(json.loads(body))

    def _learn_of_document(self, document: object) -> None:
        if not isinstance(document, dict):
            return
        for name, value in document.items():
            if isinstance(value, str) and name in _IN_BODIES:
                self.learn(name, value)
            elif isinstance(value, str) and name == "url":
                self.authorization_urls.add(value)
                self.learn_of_address(value)
            else:
                self._learn_of_document(value)

    def learn_of_address(self, address: str) -> None:
        query = parse_qs(urlsplit(address).query)
        for name in ("code", "state"):
            for value in query.get(name, []):
                self.learn(name, value)


def _echo(status: int, body: Mapping[str, str], signed: str) -> web.Response:
    """Return a refusal that repeats every secret of a request, in a few spellings and in each place."""
    values = body["code"], body["state"], signed.partition("Signature=")[2]
    spoken = " ".join(f"{value} {quote(value)} {escape(value)}" for value in values)
    return web.json_response(
        {"error_code": body["code"], "error_msg": spoken, "request_id": body["state"]},
        status=status,
        headers={"X-Request-Id": body["code"]},
    )
