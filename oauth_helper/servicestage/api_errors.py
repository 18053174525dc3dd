"""HTTP answers of ServiceStage and IAM, and the errors that they mean."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import Struct

from oauth_helper.credentials import AccessKey, Credentials, IamToken
from oauth_helper.errors import (
    TRY_AGAIN,
    ClockSkewError,
    CodeOrStateInvalidError,
    CredentialsError,
    NameTakenError,
    NoSuchAuthorizationError,
    NotPermittedError,
    RefusedError,
    RepositoryNotImplementedError,
    UnusableAnswerError,
)
from oauth_helper.i18n import Text, _, enumerated, ngettext
from oauth_helper.secret import Secret, redact, safe_text
from oauth_helper.values import parse_address

CHECK_THE_ENDPOINT = _("Try again in a moment; `oauth-helper doctor` checks the endpoint.")
"""The hint if the request may have been carried out: it must not claim that nothing was created."""
LONGEST_RETRY_AFTER: Final = 86400.0
"""Seconds. A longer ``Retry-After`` counts as this."""
LARGEST_SKEW: Final = 15 * 60
"""Seconds that the clocks may differ before the gateway refuses every signature (Signing Guide, FAQ)."""
_LONGEST_TEXT: Final = 65536
"""Bytes, if the server names another charset than UTF-8: its codec may be slow."""
_HTML: Final = re.compile(r"\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)<", re.IGNORECASE)
_TITLE_WITHIN: Final = 4096
"""Characters from the start of a page in which its title is looked for."""

# API Gateway and ServiceStage write error_code and error_msg; the engine APIs, the configuration APIs and the image
# registry write the other spellings; IAM nests code and message in an object "error".
_CODE_FIELDS: Final = ("error_code", "errorCode", "code")
_MESSAGE_FIELDS: Final = ("error_msg", "errorMsg", "errorMessage", "error_message", "message")
_REQUEST_ID_FIELDS: Final = ("request_id", "requestId")
_DEEPEST: Final = 4
_TIME: Final = "%Y-%m-%d %H:%M:%S"

_THROTTLED: Final = re.compile(r"apig\w?\.0308 .*\btime:\s?(\d{1,6}) ?(second|minute|hour|day)", re.IGNORECASE)
"""Such as ``policy user over ratelimit,limit:200,time:5 minute``."""
_SECONDS: Final[Mapping[str, float]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

_WORDS: Final[Mapping[type[RefusedError | CredentialsError], Text]] = {
    RefusedError: _("refused the request"),
    CredentialsError: _("refused the credentials"),
    NotPermittedError: _("does not permit this call to these credentials"),
    RepositoryNotImplementedError: _("does not offer this repository type"),
    CodeOrStateInvalidError: _("did not accept code and state"),
    NameTakenError: _("has an authorization of that name already"),
    NoSuchAuthorizationError: _("found no such authorization"),
}
_NOT_OFFERED: Final = _("Check --region and --endpoint: this host does not serve ServiceStage's Git API there.")
_NOT_WHOLE: Final = _("The IAM token was not copied whole, has expired, or is not of --region. Get a new one.")
_MEANINGS: Final[Sequence[tuple[str, type[RefusedError | CredentialsError], Text | None]]] = (
    (r"\d+ svcstg\.repo\.0400", RefusedError, _("Check the name, the repository type and --tag.")),
    (r"\d+ svcstg\.repo\.0401", RepositoryNotImplementedError, None),
    (r"\d+ svcstg\.repo\.0402", CodeOrStateInvalidError, None),
    (r"\d+ svcstg\.repo\.0403", NameTakenError, None),
    (r"\d+ svcstg\.repo\.0450", NoSuchAuthorizationError, None),
    (r"\d+ svcstg\.repo\.0451", RefusedError, _("Link the account again, with --if-exists replace.")),
    (r"\d+ svcstg\.repo\.0452", RefusedError, _("Give it as https://USER@HOST/NAMESPACE/PROJECT.git.")),
    # Behind the gateway, which has accepted the key: version 3 of the API answers 401 for what does not exist.
    (r"401 svcstg\.", CredentialsError, _(NotPermittedError.default_hint)),
    (r"403 svcstg\.", NotPermittedError, None),
    (r"\d+ svcstg\.", RefusedError, None),
    (r"40[13] apigw?\.(0101|0103)", CredentialsError, _NOT_OFFERED),
    (r"\d+ apigw?\.(0101|0103)", RefusedError, _NOT_OFFERED),
    (
        r"\d+ (apigw\.0302|apig\.0306)",
        NotPermittedError,
        _("Ask the administrator to let this IAM user call the ServiceStage API (its allow or deny list)."),
    ),
    (
        r"\d+ apigw\.0402|403 .*\bacl\b",
        NotPermittedError,
        _("Run it from a network that is allowed, or ask the administrator to allow this machine's IP address."),
    ),
    (
        r"40[04] .*(could not find|no such|not found).*\bproject",
        CredentialsError,
        _("Check --region and the project's name, or pass --project-id."),
    ),
    (
        r"40[13] .*(token expires|token must be updated|decrypt token fail)|401 apigw?\.0307",
        CredentialsError,
        _NOT_WHOLE,
    ),
    (
        r"40[0134] .*(account|user)\b.*\block",
        CredentialsError,
        _("The account is locked after wrong passwords. Wait 15 minutes without a try, then check the password."),
    ),
    (
        r"40[0134] .*(\bmfa\b|multi-factor|login protection)",
        CredentialsError,
        _("This user has login protection (MFA), so no token can be fetched. Use an access key instead."),
    ),
    (r"40[13] .*arrears", CredentialsError, _("The account is in arrears. Top it up in the console (Billing).")),
    (
        r"40[13] .*(ak access failed to reach the limit|verify aksk signature fail)",
        CredentialsError,
        _(
            "The secret key does not belong to the access key, or was not copied whole. More than five wrong "
            "signatures lock the access key for 5 minutes. Wait if it is locked, and correct the secret key first."
        ),
    ),
    (
        r"40[13] .*signature expired",
        CredentialsError,
        _("Both clocks agree, so a temporary key may have expired. Get a new one."),
    ),
    (
        r"40[13] .*x-auth-token not found",
        CredentialsError,
        _("This gateway asks for an IAM token. Set OAUTH_HELPER_TOKEN, or name and password of an IAM user."),
    ),
    (r"401 |\d+ (apigw?\.030[13]|apig\.0305)|400 iam\.", CredentialsError, None),
    (r"403 ", NotPermittedError, None),
    (r"404 iam\.", RefusedError, _("Check --region and --project-id; IAM does not have what was asked for.")),
    (r"", RefusedError, None),
)
"""What "STATUS CODE MESSAGE" of an answer begins with, the error, and its hint. The first match counts.

Sources: error codes of ServiceStage and API Gateway (API reference), IAM API Reference, Signing Guide (api-sign-0001).
"""
_EVENT_ID: Final = re.compile(r"\bevent ?id\W{0,3}([\w-]{4,64})", re.IGNORECASE)
"""What a web application firewall writes on its page, for its administrator."""
_CHECK_CREDENTIALS: Final[Mapping[type[Credentials], Text]] = {
    AccessKey: _("Check the access key, the secret key, and the security token if the key is temporary."),
    IamToken: _("Check the IAM token: it must be whole, at most 24 hours old, and of this region's project."),
}


class Answer(Struct, frozen=True):
    """A complete HTTP answer. Its ``repr`` shows neither headers nor body, which may contain a token."""

    host: str  # and port unless it is the scheme's own
    status: int
    headers: Mapping[str, str]  # case-insensitive
    body: bytes
    received_at: datetime  # by this machine's clock (UTC)
    secrets: Collection[Secret] = ()  # of the request, which must not be shown if the provider's text repeats them

    def __repr__(self) -> str:
        return f"Answer({self.host!r}, {self.status})"

    @property
    def server_time(self) -> datetime | None:
        """The time by the server's clock (``Date``, RFC 9110 section 6.6.1), or ``None`` if it is not given."""
        return _date(self.headers.get("Date", ""))

    @property
    def clock_skew(self) -> float | None:
        """How many seconds the server's clock is ahead of this machine's, to about a second."""
        return (self.server_time - self.received_at).total_seconds() if self.server_time else None

    @property
    def retry_after(self) -> float | None:
        """The seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3), from 0 to LONGEST_RETRY_AFTER."""
        value = self.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdecimal():
            return min(float(value[:20]), LONGEST_RETRY_AFTER)
        if date := _date(value):
            # The date is by the server's clock, so this machine's does not matter if the server gives its own.
            seconds = (date - (self.server_time or self.received_at)).total_seconds()
            return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
        return None

    @property
    def request_id(self) -> str | None:
        """What the vendor's support asks for, safe to show."""
        return self.shown(self.headers.get("X-Request-Id", ""), limit=64) or None

    def shown(self, text: str, *, limit: int) -> str:
        """Return text of this answer, redacted."""
        return redact(text, self.secrets, limit=limit)

    @property
    def text(self) -> str:
        """The body in the charset of its ``Content-Type``, by default UTF-8."""
        declared = Message()
        declared["Content-Type"] = self.headers.get("Content-Type", "")
        try:
            charset = declared.get_content_charset("utf-8")
            return self.body.decode() if charset == "utf-8" else self.body[:_LONGEST_TEXT].decode(charset, "replace")
        except (LookupError, ValueError):
            return self.body.decode(errors="replace")

    @property
    def page_title(self) -> str | None:
        """The title of an HTML page, which may be empty; None if the body is not an HTML page."""
        text = self.text
        if not _HTML.match(text):
            return None
        title = _TITLE.search(text, 0, _TITLE_WITHIN)
        return html.unescape(title[1]).strip() if title else ""

    def json_object(self) -> dict[str, object]:
        """Read the body; UnusableAnswerError if it is not a JSON object."""
        with suppress(ValueError):
            if isinstance(document := parse_json(self.body), dict):
                return document
        what = _("is not the JSON that was promised") if self.body.strip() else _("is empty")
        if (title := self.page_title) is not None:
            shown = self.shown(title, limit=100) or "…"
            what = _('is the web page "{title}", so it does not come from ServiceStage', title=shown)
        hint = _("Check --region and --endpoint; a proxy, a firewall or a sign-in page may answer in its place.")
        raise self.unusable(what, hint)

    def unusable(self, what: Text, hint: Text = CHECK_THE_ENDPOINT) -> UnusableAnswerError:
        """Return the error for an answer whose status is success, but ``what`` is wrong with it."""
        return UnusableAnswerError(
            _("The answer of {host} (HTTP {status}) {what}", host=self.host, status=self.status, what=what),
            sent=True,
            status=self.status,
            hint=hint,
            request_id=self.request_id,
        )


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        # RFC 5322 section 3.3: a zone of -0000 is UTC too, which Python returns without a zone.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_json(body: bytes) -> object:
    """Read JSON from others; ValueError if it is none (NaN and infinite numbers are not), or nested too deep."""
    try:
        return json.loads(body, parse_constant=_number, parse_float=_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("not a number of JSON")
    return number


def read_error_body(answer: Answer) -> tuple[str, str, str | None]:
    """Return code, message and request ID of an error answer of any shape, safe to show.

    Without a code, it is the HTTP status, as in the vendor's SDK; without both, the answer's text is the message.
    """
    document: object = None
    for body in (answer.body, answer.text.encode(errors="replace")):
        with suppress(ValueError):
            document = parse_json(body)
            break
    objects = tuple(_objects(document, _DEEPEST))
    found = [(_field(each, _CODE_FIELDS), _field(each, _MESSAGE_FIELDS)) for each in objects]
    text, title = answer.text, answer.page_title
    if title is not None:
        event = _EVENT_ID.search(text[:_TITLE_WITHIN])
        text = (title or "a web page") + (f" (event ID {event[1]})" if event else "")
    # A complete pair first, then a partial one.
    code, message = max(found, key=lambda pair: sum(map(bool, pair)), default=("", ""))
    if not code and not message:
        message = text
    request_id = next(filter(None, (_field(each, _REQUEST_ID_FIELDS) for each in objects)), "")
    code, request_id = answer.shown(code, limit=64), answer.shown(request_id, limit=64)
    message = answer.shown(message, limit=max(len(message), 1))
    return code or str(answer.status), message, request_id or answer.request_id


def _objects(document: object, depth: int) -> Iterator[Mapping[str, object]]:
    """Yield every object in ``document``, an outer one before those inside it."""
    if isinstance(document, dict):
        yield document
    if depth and isinstance(document, dict | list):
        for child in document.values() if isinstance(document, dict) else document:
            yield from _objects(child, depth - 1)


def _field(record: Mapping[str, object], names: tuple[str, ...]) -> str:
    values = (record.get(name) for name in names)
    texts = (str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return next(filter(None, texts), "")


def refusal(
    answer: Answer, *, credentials: Credentials | None, check: Text | None = None
) -> RefusedError | CredentialsError | UnusableAnswerError:
    """Return the error that an answer with a status of 400 or more means.

    ``credentials`` authenticated the request; ``check`` is the hint if the answer does not say why they were refused.
    """
    code, message, request_id = read_error_body(answer)
    whole = f"{answer.status} {code} {message}".casefold()
    about: dict[str, Any] = {"status": answer.status, "code": code, "request_id": request_id}
    if answer.status in TRY_AGAIN or answer.status >= 500:
        retry_after = answer.retry_after
        if retry_after is None and (period := _THROTTLED.search(whole)):
            retry_after = min(int(period[1]) * _SECONDS[period[2]], LONGEST_RETRY_AFTER)
        return UnusableAnswerError(
            _message(answer, _("gave no usable answer"), code, message),
            sent=True,
            retry_after=retry_after,
            is_transient=True,
            hint=_try_again_in(retry_after) if retry_after else CHECK_THE_ENDPOINT,
            **about,
        )
    kind, hint = next(row[1:] for row in _MEANINGS if re.match(row[0], whole))
    words, answered_by, skew = _WORDS[kind], _answered_by(answer, code), answer.clock_skew
    clocks_differ = "signature expired" in whole if skew is None else abs(skew) > LARGEST_SKEW
    if kind is CredentialsError and isinstance(credentials, AccessKey) and clocks_differ:
        kind, hint = ClockSkewError, None
        words = _(
            "refused the signature because the clocks differ: this machine's clock says {ours}, the server's {theirs}",
            ours=f"{answer.received_at.astimezone():{_TIME}}",
            theirs=f"{answer.server_time.astimezone():{_TIME}}" if answer.server_time else _("unknown"),
        )
    elif kind is CredentialsError and hint is None:
        hint = check or (_CHECK_CREDENTIALS[type(credentials)] if credentials else None)
    elif kind is RefusedError and hint is None and answered_by:  # the manual of ServiceStage does not have its code
        hint = _("The answer comes from {who}, not from ServiceStage. Check --endpoint.", who=answered_by)
    return kind(_message(answer, words, code, message), hint=hint, answered_by=answered_by, **about)


def redirected(answer: Answer) -> UnusableAnswerError:
    """Return the error for a redirect, which is not followed because it would get the credentials."""
    try:
        target = answer.shown(parse_address(answer.headers.get("Location", "")).host or answer.host, limit=100)
    except ValueError:
        target = _("an unreadable address")
    what = _("redirects to {target}, and redirects are not followed", target=target)
    error = answer.unusable(what, _("Check the endpoint: it must be the API's own host, with https."))
    error.code, error.answered_by = str(answer.status), _answered_by(answer, "")
    return error


def _answered_by(answer: Answer, code: str) -> Text | None:
    """Return who answered; None if it was ServiceStage: only its own answers have its codes."""
    if code.startswith("SVCSTG."):
        return None
    if code.startswith(("APIGW.", "APIG.")):
        return _("API Gateway ({code})", code=code)
    headers = [
        f'{header} "{answer.shown(value, limit=60)}"'
        for header in ("server", "via")
        if (value := answer.headers.get(header, "").strip())
    ]
    if not headers:
        return _("a firewall, proxy or gateway")
    return _("a firewall, proxy or gateway ({headers})", headers=", ".join(headers))


def _try_again_in(seconds: float) -> Text:
    minutes = math.ceil(seconds / 60)
    if seconds < 120 and seconds != 60:
        time = ngettext("{count} second", "{count} seconds", math.ceil(seconds))
    elif minutes < 120 and minutes != 60:
        time = ngettext("{count} minute", "{count} minutes", minutes)
    else:
        time = ngettext("{count} hour", "{count} hours", math.ceil(minutes / 60))
    return _("Try again in {time}.", time=time)


def _message(answer: Answer, words: Text, code: str, detail: str) -> Text:
    label = enumerated([f"HTTP {answer.status}", *([code] if code != str(answer.status) else [])])
    message = _("{host} {words} ({label})", host=answer.host, words=words, label=label)
    return _("{message}: {detail}", message=message, detail=safe_text(detail).rstrip(".")) if detail else message
