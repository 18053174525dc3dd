"""What the contract page demands of each request: headers, signature, body. Signatures by the vendor's own signer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from fake_servicestage import Received

PROJECT: Final = "5f1d1f2a3c4b4e0f8a9b7c6d5e4f3a2b"
ACCESS_KEY: Final = "QTWAOYTTINDUT2QVKYUC"
SECRET_KEY: Final = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
Json = dict[str, Any]

_OF_EVERY_REQUEST: Final = {"Host", "Content-Type", "X-Project-Id", "X-Sdk-Date", "Authorization"}
_OF_THE_LIBRARY: Final = {"User-Agent", "Accept", "Accept-Encoding", "Content-Length"}
_AUTHORIZATION: Final = re.compile(
    r"SDK-HMAC-SHA256 Access=(?P<key>\S+), SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<digest>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Route:
    """One operation: how it is asked for, and who answers."""

    operation: str
    method: str
    path: re.Pattern[str]
    answer: Callable[..., web.Response]
    query: frozenset[str] = frozenset()
    """Parameters that there may be."""
    bodies: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    """The fields that a body must have, and those that it may have besides."""
    asks_by_authorization: bool = False


def header_faults(request: Received, route: Route, host: str) -> list[str]:
    """Return what is wrong with the headers, the signature among them."""
    needed = _OF_EVERY_REQUEST | ({"X-Repo-Auth"} if route.asks_by_authorization else set())
    names = list(request.headers.keys())
    faults = [f"header {name}, {count} times" for name, count in Counter(names).items() if count > 1]
    faults += [f"without {name}" for name in needed - set(names)]
    faults += [f"with {name}" for name in set(names) - needed - _OF_THE_LIBRARY]
    expected = {"Host": host, "Content-Type": "application/json", "X-Project-Id": PROJECT}
    faults += [
        f"{name}: {request.headers.get(name)}" for name in expected if request.headers.get(name) != expected[name]
    ]
    return faults or _signature_faults(request, needed - {"Authorization"})


def _signature_faults(request: Received, to_be_signed: set[str]) -> list[str]:
    found = _AUTHORIZATION.fullmatch(request.headers["Authorization"])
    if found is None:
        return ["Authorization is not written as the guide writes it"]
    names = found["names"].split(";")
    faults = [] if found["key"] == ACCESS_KEY else ["the access key"]
    if names != sorted(name.lower() for name in to_be_signed):
        faults.append(f"signed headers {names}")
    signed_at = datetime.strptime(request.headers["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs((datetime.now(UTC) - signed_at).total_seconds()) > 15 * 60:
        faults.append(f"signed at {signed_at}")
    if request.vendor_authorization(ACCESS_KEY, SECRET_KEY) != request.headers["Authorization"]:
        faults.append("the signature")
    return faults


def body_faults(request: Received, route: Route) -> list[str]:
    """Return what is wrong with the body."""
    if not route.bodies:
        return ["a body"] if request.body else []
    body = read_json(request.body)
    texts = all(isinstance(value, str) and value for value in body.values())
    fits = any(needed <= set(body) <= needed | possible for needed, possible in route.bodies)
    return [] if fits and texts else [f"a body with {sorted(body)}"]


def read_json(raw: bytes) -> Json:
    """Read a body; what is no object has no fields."""
    document = json.loads(raw)
    return document if isinstance(document, dict) else {}
