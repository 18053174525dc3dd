"""One answer of a server, as it came. No I/O."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from oauth_helper.errors import UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret
from oauth_helper.stars import starred

CHECK_THE_ENDPOINT = phrase("Try again in a moment; `oauth-helper doctor` checks the endpoint.")
"""What to do where the request may have been carried out: it must not claim that nothing was created."""

LONGEST_RETRY_AFTER: Final = 86400.0
"""Seconds. A server that asks for more is taken to ask for this."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole. Headers and body are kept out of its ``repr``: a token may stand in them."""

    host: str
    """Who answered, for people: host, and port where it is not the scheme's own."""
    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Case-insensitive."""
    body: bytes = field(repr=False)
    received_at: datetime
    """When it came, by this machine's clock (UTC)."""
    secrets: Collection[Secret] = field(default=(), repr=False)
    """What stood in the request, and must not be repeated should the provider's text repeat it."""

    @property
    def server_time(self) -> datetime | None:
        """What the server's clock said (``Date``, RFC 9110 section 6.6.1), or ``None`` where it does not say."""
        return _date(self.headers.get("Date", ""))

    @property
    def clock_skew(self) -> float | None:
        """How many seconds the server's clock is ahead of this machine's, to about a second."""
        server_time = self.server_time
        return None if server_time is None else (server_time - self.received_at).total_seconds()

    @property
    def retry_after(self) -> float | None:
        """The seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3), from 0 to LONGEST_RETRY_AFTER."""
        value = self.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdecimal():
            return min(float(value[:20]), LONGEST_RETRY_AFTER)
        date = _date(value)
        if date is None:
            return None
        # The date is by the server's clock, so this machine's clock does not matter if the server tells its own.
        seconds = (date - (self.server_time or self.received_at)).total_seconds()
        return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)

    @property
    def request_id(self) -> str | None:
        """What the vendor's support asks for; provider text, made presentable."""
        return self.shown(self.headers.get("X-Request-Id", ""), limit=64) or None

    def shown(self, text: str, *, limit: int) -> str:
        """Return text of this answer as it may be shown."""
        return starred(text, self.secrets, limit=limit)

    def json_object(self) -> dict[str, object]:
        """Read the body.

        Raises:
            UnusableAnswerError: It is not JSON, or not an object.
        """
        try:
            document = parse_json(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self.unusable(phrase("is not the JSON that was promised"))
        return document

    def unusable(self, what: Phrase) -> UnusableAnswerError:
        """Return the error for an answer that says success, but ``what`` is wrong with it."""
        return UnusableAnswerError(
            phrase("The answer of {host} (HTTP {status}) {what}", host=self.host, status=self.status, what=what),
            sent=True,
            status=self.status,
            hint=CHECK_THE_ENDPOINT,
            request_id=self.request_id,
        )


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        # RFC 5322 section 3.3: a zone of -0000 is UTC too, though Python gives it as no zone at all.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_json(body: bytes) -> object:
    """Read JSON from a stranger.

    Raises:
        ValueError: It is not JSON, not Unicode, or nested deeper than can be read.
    """
    try:
        document: object = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return document
