"""API errors as exceptions of ours."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

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
from oauth_helper.i18n import Text, _, ngettext
from oauth_helper.secret import Secret, redact, safe_text
from oauth_helper.values import parse_address

CHECK_THE_ENDPOINT = _("Try again in a moment; `oauth-helper doctor` checks the endpoint.")
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
        return redact(text, self.secrets, limit=limit)

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
            what = _("is empty")
        elif (title := page_title(self.text)) is not None:
            what = _("is a web page, so it does not come from ServiceStage")
            if title:
                shown = self.shown(title, limit=100)
                what = _('is the web page "{title}", so it does not come from ServiceStage', title=shown)
        else:
            raise self.unusable(_("is not the JSON that was promised"))
        error = self.unusable(what)
        error.hint = _(
            "Check --region and --endpoint, and whether a proxy, a firewall or a sign-in page answers in its place."
        )
        raise error

    def unusable(self, what: Text) -> UnusableAnswerError:
        """Return the error for an answer that says success, but ``what`` is wrong with it."""
        return UnusableAnswerError(
            _("The answer of {host} (HTTP {status}) {what}", host=self.host, status=self.status, what=what),
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


# API Gateway and ServiceStage write error_code and error_msg; the engine APIs, the configuration APIs and the image
# registry write the other spellings; IAM nests code and message in an object "error".
_CODE_FIELDS: Final = ("error_code", "errorCode", "code")
_MESSAGE_FIELDS: Final = ("error_msg", "errorMsg", "errorMessage", "error_message", "message")
_REQUEST_ID_FIELDS: Final = ("request_id", "requestId")
_DEEPEST: Final = 4


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says; provider text, presentable, without any secret of ours."""

    code: str
    """Such as ``SVCSTG.REPO.0402``; the HTTP status where the body has none, as in the vendor's SDK."""
    message: str
    """One line of any length: cut it where it is shown."""
    request_id: str | None


def read_error_body(answer: Answer) -> ErrorBody:
    """Read an error answer of any shape; what is no JSON object with a code or a message is itself the message."""
    objects = tuple(_objects(_document(answer), _DEEPEST))
    chosen = _most_telling(objects)
    message = _field(chosen, _MESSAGE_FIELDS) if chosen else _text(answer)
    request_id = next(filter(None, (_field(each, _REQUEST_ID_FIELDS) for each in objects)), "")
    return ErrorBody(
        code=answer.shown(_field(chosen, _CODE_FIELDS), limit=64) or str(answer.status),
        message=answer.shown(message, limit=max(len(message), 1)),
        request_id=answer.shown(request_id, limit=64) or answer.request_id,
    )


def _objects(document: object, depth: int) -> Iterator[Mapping[str, object]]:
    """Give every object in ``document``, an outer one before those within it."""
    if isinstance(document, dict):
        yield document
    if depth and isinstance(document, dict | list):
        for child in document.values() if isinstance(document, dict) else document:
            yield from _objects(child, depth - 1)


def _most_telling(objects: Collection[Mapping[str, object]]) -> Mapping[str, object]:
    telling = [each for each in objects if _field(each, _CODE_FIELDS) or _field(each, _MESSAGE_FIELDS)]
    whole = [each for each in telling if _field(each, _CODE_FIELDS) and _field(each, _MESSAGE_FIELDS)]
    return next(iter(whole + telling), {})


def _field(record: Mapping[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def _text(answer: Answer) -> str:
    title = page_title(answer.text)
    return answer.text if title is None else title or "a web page"


def _document(answer: Answer) -> object:
    for body in (answer.body, answer.text.encode(errors="replace")):
        try:
            return parse_json(body)
        except ValueError:
            continue
    return None


LARGEST_SKEW: Final = 15 * 60
"""How many seconds the clocks may differ before the gateway refuses every signature (Signing Guide, FAQ)."""

_THROTTLING: Final = frozenset({"APIGW.0308", "APIG.0308"})
_THROTTLED: Final = re.compile(r"\btime:\s?(\d{1,6}) ?(second|minute|hour|day)")
"""Such as ``policy user over ratelimit,limit:200,time:5 minute``."""
_SECONDS: Final[Mapping[str, float]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class _Verdict:
    error: type[RefusedError | CredentialsError]
    words: Text
    """What the server did, after its name."""
    hint: Text | None = None
    """Where ``None``, the error's own."""


_REFUSED: Final = _Verdict(RefusedError, _("refused the request"))
_NOT_PERMITTED: Final = _Verdict(NotPermittedError, _("does not permit this call to these credentials"))
_NO_SUCH_API: Final = _Verdict(
    RefusedError,
    _("does not offer this API"),
    _("Check --region and --endpoint: this host does not serve ServiceStage's Git API there."),
)
_API_ACCESS_DENIED: Final = _Verdict(
    NotPermittedError,
    _("does not let this IAM user call the API at all"),
    _("Ask the account's administrator to let this IAM user call the ServiceStage API (its allow or deny list)."),
)
_ADDRESS_DENIED: Final = _Verdict(
    NotPermittedError,
    _("does not accept requests from this machine's IP address"),
    _("Run it from a network that is allowed, or ask the account's administrator to allow this address."),
)
_AUTHENTICATION_FAILED: Final = frozenset({"APIGW.0301", "APIGW.0303", "APIG.0301", "APIG.0303", "APIG.0305"})

_BY_CODE: Final[Mapping[str, _Verdict]] = {
    "SVCSTG.REPO.0400": _Verdict(
        RefusedError,
        _("found a parameter invalid"),
        _("Check the name (4 to 63 characters of A-Z a-z 0-9 . _ -), the repository type and --tag."),
    ),
    "SVCSTG.REPO.0401": _Verdict(RepositoryNotImplementedError, _("does not offer this repository type")),
    "SVCSTG.REPO.0402": _Verdict(CodeOrStateInvalidError, _("did not accept code and state")),
    "SVCSTG.REPO.0403": _Verdict(NameTakenError, _("has an authorization of that name already")),
    "SVCSTG.REPO.0450": _Verdict(NoSuchAuthorizationError, _("found no such authorization")),
    "SVCSTG.REPO.0451": _Verdict(
        RefusedError,
        _("says that the authorization is no longer valid"),
        _("Link the account again: `oauth-helper link REPO_TYPE --name NAME --if-exists replace`."),
    ),
    "SVCSTG.REPO.0452": _Verdict(
        RefusedError,
        _("found the clone URL invalid"),
        _("Give it as https://USER@HOST/NAMESPACE/PROJECT.git."),
    ),
    "APIGW.0101": _NO_SUCH_API,
    "APIGW.0103": _NO_SUCH_API,
    "APIG.0101": _NO_SUCH_API,
    "APIG.0103": _NO_SUCH_API,
    "APIGW.0302": _API_ACCESS_DENIED,
    "APIG.0306": _API_ACCESS_DENIED,
    "APIGW.0402": _ADDRESS_DENIED,
}

_FETCH_ANOTHER: Final = _(
    "The IAM token has expired (it lasts 24 hours, less after changes to the user). Get a new one."
)
_SUB_MESSAGES: Final[Mapping[str, Text]] = {
    "ak access failed to reach the limit": (
        _("More than five wrong signatures lock the access key for 5 minutes. Wait, then check the secret key first.")
    ),
    "verify aksk signature fail": (
        _(
            "The secret key does not belong to the access key, or was not copied whole. Correct it "
            "before the next try: more than five wrong signatures lock the key for 5 minutes."
        )
    ),
    "x-auth-token not found": (
        _(
            "This gateway asks for an IAM token. Set OAUTH_HELPER_TOKEN, or HW_USER_NAME, "
            "HW_USER_PASSWORD and HW_DOMAIN_NAME to have one fetched."
        )
    ),
    "decrypt token fail": (
        _("The IAM token was not copied whole, or comes from another region or site. Get one from this region's IAM.")
    ),
    "token expires": _FETCH_ANOTHER,
    "the token must be updated": _FETCH_ANOTHER,
}
"""API Gateway's sub-messages of APIGW.0301 (Signing Guide, api-sign-0001), the last one IAM's (iam_30_0001)."""

_HINTS: Final[Mapping[type[Credentials] | None, Text]] = {
    AccessKey: _("Check the access key, the secret key, and the security token if the key is temporary."),
    IamToken: _("Check the IAM token: it must be whole, at most 24 hours old, and of this region's project."),
    None: (
        _(
            "Check HW_USER_NAME, HW_USER_PASSWORD, HW_DOMAIN_NAME and the region. It must be an IAM user "
            "of the account: a HUAWEI ID or a federated user cannot get a token."
        )
    ),
}


def refusal(
    answer: Answer, *, credentials: Credentials | None
) -> RefusedError | CredentialsError | UnusableAnswerError:
    """Return the error that an answer with a status of 400 or more is.

    Args:
        answer: What came.
        credentials: What the request was authenticated with; ``None`` where it asked for a token.
    """
    body = read_error_body(answer)
    if answer.status in TRY_AGAIN or answer.status >= 500:
        retry_after = _throttled_for(body) if answer.retry_after is None else answer.retry_after
        return UnusableAnswerError(
            _message(answer, _("gave no usable answer"), body),
            sent=True,
            status=answer.status,
            retry_after=retry_after,
            is_transient=True,
            hint=_try_again_in(retry_after) if retry_after else CHECK_THE_ENDPOINT,
            code=body.code,
            request_id=body.request_id,
        )
    verdict = _judge(answer, body, credentials)
    message = _message(answer, verdict.words, body)
    return verdict.error(
        message,
        hint=verdict.hint,
        code=body.code,
        request_id=body.request_id,
        status=answer.status,
        answered_by=_answered_by(answer, body.code),
    )


def _answered_by(answer: Answer, code: str) -> Text | None:
    """Say who answered, if it was not ServiceStage: only its own answers have its codes."""
    if code.startswith("SVCSTG."):
        return None
    if code.startswith(("APIGW.", "APIG.")):
        return _("API Gateway ({code})", code=code)
    named = [
        _('{header} "{value}"', header=header.casefold(), value=answer.shown(value, limit=60))
        for header in ("Server", "Via")
        if (value := answer.headers.get(header, "").strip())
    ]
    if not named:
        return _("a firewall, proxy or gateway")
    return _("a firewall, proxy or gateway ({headers})", headers=", ".join(named))


def _throttled_for(body: ErrorBody) -> float | None:
    """Return the seconds in which API Gateway counts requests, from the text of its throttling errors."""
    found = _THROTTLED.search(body.message) if body.code in _THROTTLING else None
    return min(int(found[1]) * _SECONDS[found[2]], LONGEST_RETRY_AFTER) if found else None


def _try_again_in(seconds: float) -> Text:
    """Return the hint, with the time rounded up to a unit that suits it."""
    minutes = math.ceil(seconds / 60)
    if seconds < 120 and seconds != 60:
        time = ngettext("{count} second", "{count} seconds", math.ceil(seconds))
    elif minutes < 120 and minutes != 60:
        time = ngettext("{count} minute", "{count} minutes", minutes)
    else:
        time = ngettext("{count} hour", "{count} hours", math.ceil(minutes / 60))
    return _("Try again in {time}.", time=time)


def redirected(answer: Answer) -> UnusableAnswerError:
    """Return the error that a redirect is: none is followed, because the credentials would go along."""
    try:
        target = answer.shown(parse_address(answer.headers.get("Location", "")).host or answer.host, limit=100)
    except ValueError:
        target = _("an unreadable address")
    return UnusableAnswerError(
        _(
            "{host} redirects to {target} (HTTP {status}), and redirects are not followed",
            host=answer.host,
            target=target,
            status=answer.status,
        ),
        sent=True,
        status=answer.status,
        hint=_("Check the endpoint: it must be the API's own host, with https."),
        code=str(answer.status),
        request_id=answer.request_id,
        answered_by=_answered_by(answer, ""),
    )


def _judge(answer: Answer, body: ErrorBody, credentials: Credentials | None) -> _Verdict:
    if body.code in _BY_CODE:
        return _BY_CODE[body.code]
    if (
        answer.status == 401
        or body.code in _AUTHENTICATION_FAILED
        or (answer.status == 400 and body.code.startswith("IAM."))
    ):
        return _judge_credentials(answer, body, credentials)
    return _NOT_PERMITTED if answer.status == 403 else _REFUSED


def _judge_credentials(answer: Answer, body: ErrorBody, credentials: Credentials | None) -> _Verdict:
    said = body.message.casefold()
    skewed = isinstance(credentials, AccessKey) and abs(answer.clock_skew or 0) > LARGEST_SKEW
    if skewed or "signature expired" in said:
        words = _(
            "refused the signature because the clocks differ: this machine's clock says {ours}, the server's {theirs}",
            ours=_time(answer.received_at),
            theirs=_("unknown") if answer.server_time is None else _time(answer.server_time),
        )
        return _Verdict(ClockSkewError, words)
    hint = next((hint for text, hint in _SUB_MESSAGES.items() if text in said), None)
    return _Verdict(
        CredentialsError, _("refused the credentials"), hint or _HINTS[type(credentials) if credentials else None]
    )


def _message(answer: Answer, words: Text, body: ErrorBody) -> Text:
    status = f"HTTP {answer.status}"
    label = status if body.code == str(answer.status) else f"{status}, {body.code}"
    message = _("{host} {words} ({label})", host=answer.host, words=words, label=label)
    return (
        _("{message}: {detail}", message=message, detail=safe_text(body.message).rstrip("."))
        if body.message
        else message
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
