"""One answer of a server, as it came. No I/O."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

from oauth_helper.errors import UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret
from oauth_helper.stars import starred

CHECK_THE_ENDPOINT = phrase("Try again in a moment; `oauth-helper doctor` checks the endpoint.")
"""What to do where the request may have been carried out: it must not claim that nothing was created."""

_LONGEST_TEXT: Final = 65536
"""Bytes, if the server names another charset than UTF-8: its codec may be slow."""
_HTML: Final = re.compile(r"\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)<", re.IGNORECASE)
_TITLE_WITHIN: Final = 4096
"""Characters in which a page's title stands."""
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

    @property
    def text(self) -> str:
        """The body in the charset that its ``Content-Type`` declares, else in UTF-8."""
        declared = Message()
        declared["Content-Type"] = self.headers.get("Content-Type", "")
        try:
            charset = declared.get_content_charset("utf-8")
            return self.body.decode() if charset == "utf-8" else self.body[:_LONGEST_TEXT].decode(charset, "replace")
        except (LookupError, ValueError):
            return self.body.decode(errors="replace")

    def json_object(self) -> dict[str, object]:
        """Read the body.

        Raises:
            UnusableAnswerError: It is not JSON, or not an object.
        """
        try:
            document = parse_json(self.body)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        if not self.body.strip():
            what = phrase("is empty")
        elif (title := page_title(self.text)) is not None:
            what = phrase("is a web page, so it does not come from ServiceStage")
            if title:
                shown = self.shown(title, limit=100)
                what = phrase('is the web page "{title}", so it does not come from ServiceStage', title=shown)
        else:
            raise self.unusable(phrase("is not the JSON that was promised"))
        error = self.unusable(what)
        error.hint = phrase(
            "Check --region and --endpoint, and whether a proxy, a firewall or a sign-in page answers in its place."
        )
        raise error

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


def page_title(text: str) -> str | None:
    """Return the title of an HTML page, which may be empty; None if the text is no HTML page."""
    if not _HTML.match(text):
        return None
    title = _TITLE.search(text, 0, _TITLE_WITHIN)
    return html.unescape(title[1]).strip() if title else ""


def parse_json(body: bytes) -> object:
    """Read JSON from a stranger.

    Raises:
        ValueError: It is not JSON (NaN and infinite numbers are none), not Unicode, or nested deeper than can be read.
    """
    try:
        document: object = json.loads(body, parse_constant=_number, parse_float=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return document


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("not a number of JSON")
    return number
