"""AK/SK request signatures, algorithm SDK-HMAC-SHA256. Pure functions: no I/O, and time is an argument.

Source: the vendor's API Request Signing Guide, pages "Algorithm" 001 to 004 (api-sign-algorithm).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from oauth_helper.credentials import AccessKey

ALGORITHM: Final = "SDK-HMAC-SHA256"

Query = Iterable[tuple[str, str]]
"""Names and values, not yet encoded; a name may occur more than once."""


def encode(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters (section 2.3), space and slash included."""
    return quote(text, safe="")


def canonical_query(query: Query) -> str:
    """Return ``query`` encoded and in code-point order: the signed form, and the form to send."""
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(query))


def request_target(path: str, query: Query) -> str:
    """Return what stands in the request line (RFC 9112 section 3.2.1) for an encoded ``path`` and a ``query``."""
    sent_query = canonical_query(query)
    return f"{path}?{sent_query}" if sent_query else path


def sign(
    key: AccessKey, *, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """Return ``headers`` with those that authenticate the request.

    Added are ``X-Sdk-Date``, ``X-Security-Token`` with a temporary key, and ``Authorization``. Every header given
    is signed, so give those only that arrive unchanged; one with an underscore in its name is left out, because
    proxies drop such headers.

    Args:
        key: What to sign with.
        method: The HTTP method.
        path: The path as it is sent, percent-encoded, with whatever prefix the endpoint has.
        query: Names and values; send them as :func:`canonical_query` gives them.
        headers: What is to be signed, ``Host`` among them (without a default port).
        body: The bytes as they are sent.
        now: The time of the request, with a time zone.
    """
    date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Sdk-Date": date}
    if key.security_token:
        sent["X-Security-Token"] = key.security_token.reveal()
    signed = sorted((name.lower(), value.strip()) for name, value in sent.items() if "_" not in name)
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(
        (method.upper(), _canonical_path(path), canonical_query(query), lines, names, digest),
    )
    to_sign = "\n".join((ALGORITHM, date, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(key.secret_key.reveal().encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        **sent,
        "Authorization": f"{ALGORITHM} Access={key.access_key}, SignedHeaders={names}, Signature={signature}",
    }


def _canonical_path(path: str) -> str:
    # Decoded first, so that an escaped slash is signed as a slash while the path sent keeps its escape; and with a
    # slash at its end, which the path sent need not have. The vendor's SDK does both.
    encoded = "/".join(encode(segment) for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"
