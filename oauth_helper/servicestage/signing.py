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
"""Names and values, not encoded; a name may occur more than once."""


def encode(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters (section 2.3), space and slash included."""
    return quote(text, safe="")


def canonical_query(query: Query) -> str:
    """Return ``query`` encoded and in code-point order: the signed form, and the form to send."""
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(query))


def request_target(path: str, query: Query) -> str:
    """Return the request target (RFC 9112 section 3.2.1) for an encoded ``path`` and a ``query``."""
    encoded = canonical_query(query)
    return f"{path}?{encoded}" if encoded else path


def sign(
    key: AccessKey, *, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """Return ``headers`` with ``X-Sdk-Date``, ``Authorization`` and, for a temporary key, ``X-Security-Token``.

    Every given header is signed, so it must arrive unchanged; one with an underscore in its name is not signed, because
    proxies drop such headers.

    Args:
        key: The key to sign with.
        method: The HTTP method.
        path: The path as it is sent, percent-encoded, with the endpoint's prefix.
        query: Names and values, sent as :func:`canonical_query` returns them.
        headers: ``Host`` (without a default port) and others.
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
    # The vendor's SDK signs the decoded path, so an escaped slash as a slash, and ends it with a slash.
    canonical_path = "/".join(encode(segment) for segment in unquote(path).split("/")).removesuffix("/") + "/"
    request = "\n".join((method.upper(), canonical_path, canonical_query(query), lines, names, digest))
    to_sign = "\n".join((ALGORITHM, date, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(key.secret_key.reveal().encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        **sent,
        "Authorization": f"{ALGORITHM} Access={key.access_key}, SignedHeaders={names}, Signature={signature}",
    }
