"""The sandbox's own reading of the signature ``SDK-HMAC-SHA256``: whether a request bears a genuine one. No I/O.

Source: the vendor's API Request Signing Guide (devg-apisign, api-sign-algorithm-001 to 004). Nothing here is
shared with the client that signs: two readings of one contract are the point.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from oauth_helper.secret import Secret

DATE_HEADER: Final = "x-sdk-date"
"""The one header that must be signed."""

_ALGORITHM: Final = "SDK-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Access=(?P<key>[^\s,]+), SignedHeaders=(?P<headers>[^\s,]+), Signature=(?P<digest>[0-9a-f]{{64}})"
)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came over the wire."""

    method: str
    target: str
    """Path and query as they stood in the request line, still percent-encoded."""
    headers: Sequence[tuple[str, str]] = field(repr=False)
    """Every header line, repeated ones included; bytes beyond UTF-8 as surrogates."""
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return the one value of the header ``name``, without the blanks around it.

        Raises:
            ValueError: The header is missing, or was sent more than once, so it cannot be told what was signed.
        """
        values = [value for header, value in self.headers if header.lower() == name]
        if len(values) != 1:
            raise ValueError(f"{len(values)} headers {name}")
        return values[0].strip()


@dataclass(frozen=True, slots=True)
class Signature:
    """What the header ``Authorization`` says: who signed which headers, and the outcome."""

    access_key: str
    signed_headers: tuple[str, ...]
    digest: str = field(repr=False)

    @classmethod
    def read(cls, authorization: str) -> Signature:
        """Read the header's value.

        Raises:
            ValueError: It is not written as the guide writes it, or does not sign ``X-Sdk-Date``.
        """
        match = _AUTHORIZATION.fullmatch(authorization)
        if match is None:
            raise ValueError("not a signature of this algorithm")
        signed = match["headers"].split(";")
        if signed != sorted({name.lower() for name in signed}) or DATE_HEADER not in signed:
            raise ValueError("the signed headers are not lower-case, sorted, single and dated")
        return cls(match["key"], tuple(signed), match["digest"])

    def is_genuine(self, request: ReceivedRequest, secret_key: Secret) -> bool:
        """Whether the holder of ``secret_key`` signed exactly this request."""
        try:
            text = _string_to_sign(request, self.signed_headers)
        except ValueError:
            return False
        digest = hmac.new(secret_key.reveal().encode(), text, hashlib.sha256).hexdigest()
        return hmac.compare_digest(digest, self.digest)


def _string_to_sign(request: ReceivedRequest, signed_headers: Sequence[str]) -> bytes:
    canonical = hashlib.sha256(_canonical_request(request, signed_headers)).hexdigest()
    return "\n".join((_ALGORITHM, request.header(DATE_HEADER), canonical)).encode("utf-8", "surrogateescape")


def _canonical_request(request: ReceivedRequest, signed_headers: Sequence[str]) -> bytes:
    path, _, query = request.target.partition("?")
    lines = (
        request.method.upper(),
        _canonical_path(path),
        _canonical_query(query),
        *(f"{name}:{request.header(name)}" for name in signed_headers),
        "",  # every header line ends in a line feed, the last one too
        ";".join(signed_headers),
        hashlib.sha256(request.body).hexdigest(),
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _canonical_path(path: str) -> str:
    """Decode before encoding: an escaped slash is signed as a slash. The signed form ends in one."""
    decoded = unquote_to_bytes(path)
    return quote(decoded if decoded.endswith(b"/") else decoded + b"/", safe="/")


def _canonical_query(query: str) -> str:
    """Sort by the decoded name, then value (upper case before lower); a name without a value keeps its ``=``."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    decoded = sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in decoded)
