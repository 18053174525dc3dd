"""Where a tool waits for its redirect, and the requests, genuine and not, that can be made there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

STOLEN = "hostile-code"
"""The code in requests that bear the genuine state but must not count: whoever exchanges it took such a request.

No tool can tell it from the genuine code, so what becomes of it is what would become of that.
"""
OF_A_BROWSER = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Accept": "text/html",
}
"""What Chromium and Firefox send when a provider redirects a tab (Fetch Metadata section 2)."""


@dataclass(frozen=True)
class Callback:
    """A redirect URI on loopback, and the genuine response to it."""

    port: int
    authority: str
    """The Host that the tool's own redirect URI names."""
    path: str
    query: str
    """The genuine response, encoded."""
    method: str = "GET"
    """How the genuine response comes: GET, or POST with ``response_mode=form_post``."""

    @classmethod
    def at(cls, redirect_uri: str, query: str, method: str = "GET") -> Self:
        """Read a redirect URI; its host may be ``localhost``, where 127.0.0.1 is meant."""
        uri = urlsplit(redirect_uri)
        assert uri.port
        return cls(uri.port, uri.netloc, uri.path or "/", query, method)

    @property
    def code(self) -> str:
        """The genuine code."""
        return dict(parse_qsl(self.query))["code"]

    @property
    def genuine(self) -> bytes:
        """The genuine redirect."""
        return self.request(self.query, headers=OF_A_BROWSER)

    @property
    def stolen(self) -> str:
        """The genuine response with a code by which it is known who took it."""
        return self.response(code=STOLEN)

    @property
    def forged(self) -> str:
        """A response with a wrong state."""
        return self.response(code="forged-code", state="forged-state")

    def response(self, **changes: str) -> str:
        """The genuine response with other values, encoded."""
        return urlencode(dict(parse_qsl(self.query)) | changes)

    def request(self, query: str, *, path: str = "", headers: Mapping[str, str] | None = None) -> bytes:
        """A request that bears ``query`` the way the genuine one does."""
        target = path or self.path
        if self.method == "GET":
            return self.raw("GET", f"{target}?{query}", headers=headers)
        form = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.raw("POST", target, headers=form, body=query.encode())

    def raw(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: str | None = "",
    ) -> bytes:
        """Any request. ``host`` None leaves the header out; a ``Transfer-Encoding`` rules out a length."""
        fields = {"Host": host or self.authority} if host is not None else {}
        fields |= headers or {}
        if body and "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body
