"""Which error of ours an HTTP error answer is, and what its reader can do about it. No I/O.

Codes decide, and the sub-messages that API Gateway documents for its authentication codes. No other text does: the
manual's editions swap the columns "message" and "description".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oauth_helper.address import parse_address
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
from oauth_helper.phrase import Phrase, counted, phrase
from oauth_helper.presentable import presentable
from oauth_helper.servicestage.answer import CHECK_THE_ENDPOINT, LONGEST_RETRY_AFTER, Answer
from oauth_helper.servicestage.error_body import ErrorBody, read_error_body

LARGEST_SKEW: Final = 15 * 60
"""How many seconds the clocks may differ before the gateway refuses every signature (Signing Guide, FAQ)."""

_THROTTLING: Final = frozenset({"APIGW.0308", "APIG.0308"})
_THROTTLED: Final = re.compile(r"\btime:\s?(\d{1,6}) ?(second|minute|hour|day)")
"""Such as ``policy user over ratelimit,limit:200,time:5 minute``."""
_SECONDS: Final[Mapping[str, float]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class _Verdict:
    error: type[RefusedError | CredentialsError]
    words: Phrase
    """What the server did, after its name."""
    hint: Phrase | None = None
    """Where ``None``, the error's own."""


_REFUSED: Final = _Verdict(RefusedError, phrase("refused the request"))
_NOT_PERMITTED: Final = _Verdict(NotPermittedError, phrase("does not permit this call to these credentials"))
_NO_SUCH_API: Final = _Verdict(
    RefusedError,
    phrase("does not offer this API"),
    phrase("Check --region and --endpoint: this host does not serve ServiceStage's Git API there."),
)
_API_ACCESS_DENIED: Final = _Verdict(
    NotPermittedError,
    phrase("does not let this IAM user call the API at all"),
    phrase("Ask the account's administrator to let this IAM user call the ServiceStage API (its allow or deny list)."),
)
_ADDRESS_DENIED: Final = _Verdict(
    NotPermittedError,
    phrase("does not accept requests from this machine's IP address"),
    phrase("Run it from a network that is allowed, or ask the account's administrator to allow this address."),
)
_AUTHENTICATION_FAILED: Final = frozenset({"APIGW.0301", "APIGW.0303", "APIG.0301", "APIG.0303", "APIG.0305"})

_BY_CODE: Final[Mapping[str, _Verdict]] = {
    "SVCSTG.REPO.0400": _Verdict(
        RefusedError,
        phrase("found a parameter invalid"),
        phrase("Check the name (4 to 63 characters of A-Z a-z 0-9 . _ -), the repository type and --tag."),
    ),
    "SVCSTG.REPO.0401": _Verdict(RepositoryNotImplementedError, phrase("does not offer this repository type")),
    "SVCSTG.REPO.0402": _Verdict(CodeOrStateInvalidError, phrase("did not accept code and state")),
    "SVCSTG.REPO.0403": _Verdict(NameTakenError, phrase("has an authorization of that name already")),
    "SVCSTG.REPO.0450": _Verdict(NoSuchAuthorizationError, phrase("found no such authorization")),
    "SVCSTG.REPO.0451": _Verdict(
        RefusedError,
        phrase("says that the authorization is no longer valid"),
        phrase("Link the account again: `oauth-helper link REPO_TYPE --name NAME --if-exists replace`."),
    ),
    "SVCSTG.REPO.0452": _Verdict(
        RefusedError,
        phrase("found the clone URL invalid"),
        phrase("Give it as https://USER@HOST/NAMESPACE/PROJECT.git."),
    ),
    "APIGW.0101": _NO_SUCH_API,
    "APIGW.0103": _NO_SUCH_API,
    "APIG.0101": _NO_SUCH_API,
    "APIG.0103": _NO_SUCH_API,
    "APIGW.0302": _API_ACCESS_DENIED,
    "APIG.0306": _API_ACCESS_DENIED,
    "APIGW.0402": _ADDRESS_DENIED,
}

_FETCH_ANOTHER: Final = phrase(
    "The IAM token has expired (it lasts 24 hours, less after changes to the user). Get a new one."
)
_SUB_MESSAGES: Final[Mapping[str, Phrase]] = {
    "ak access failed to reach the limit": (
        phrase(
            "More than five wrong signatures lock the access key for 5 minutes. Wait, then check the secret key first."
        )
    ),
    "verify aksk signature fail": (
        phrase(
            "The secret key does not belong to the access key, or was not copied whole. Correct it "
            "before the next try: more than five wrong signatures lock the key for 5 minutes."
        )
    ),
    "x-auth-token not found": (
        phrase(
            "This gateway asks for an IAM token. Set OAUTH_HELPER_TOKEN, or HW_USER_NAME, "
            "HW_USER_PASSWORD and HW_DOMAIN_NAME to have one fetched."
        )
    ),
    "decrypt token fail": (
        phrase(
            "The IAM token was not copied whole, or comes from another region or site. Get one from this region's IAM."
        )
    ),
    "token expires": _FETCH_ANOTHER,
    "the token must be updated": _FETCH_ANOTHER,
}
"""API Gateway's sub-messages of APIGW.0301 (Signing Guide, api-sign-0001), the last one IAM's (iam_30_0001)."""

_HINTS: Final[Mapping[type[Credentials] | None, Phrase]] = {
    AccessKey: phrase("Check the access key, the secret key, and the security token if the key is temporary."),
    IamToken: phrase("Check the IAM token: it must be whole, at most 24 hours old, and of this region's project."),
    None: (
        phrase(
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
            _message(answer, phrase("gave no usable answer"), body),
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


def _answered_by(answer: Answer, code: str) -> Phrase | None:
    """Say who answered, if it was not ServiceStage: only its own answers have its codes."""
    if code.startswith("SVCSTG."):
        return None
    if code.startswith(("APIGW.", "APIG.")):
        return phrase("API Gateway ({code})", code=code)
    named = [
        phrase('{header} "{value}"', header=header.casefold(), value=answer.shown(value, limit=60))
        for header in ("Server", "Via")
        if (value := answer.headers.get(header, "").strip())
    ]
    if not named:
        return phrase("a firewall, proxy or gateway")
    return phrase("a firewall, proxy or gateway ({headers})", headers=", ".join(named))


def _throttled_for(body: ErrorBody) -> float | None:
    """Return the seconds in which API Gateway counts requests, from the text of its throttling errors."""
    found = _THROTTLED.search(body.message) if body.code in _THROTTLING else None
    return min(int(found[1]) * _SECONDS[found[2]], LONGEST_RETRY_AFTER) if found else None


def _try_again_in(seconds: float) -> Phrase:
    """Return the hint, with the time rounded up to a unit that suits it."""
    minutes = math.ceil(seconds / 60)
    if seconds < 120 and seconds != 60:
        time = counted("{count} second", "{count} seconds", math.ceil(seconds))
    elif minutes < 120 and minutes != 60:
        time = counted("{count} minute", "{count} minutes", minutes)
    else:
        time = counted("{count} hour", "{count} hours", math.ceil(minutes / 60))
    return phrase("Try again in {time}.", time=time)


def redirected(answer: Answer) -> UnusableAnswerError:
    """Return the error that a redirect is: none is followed, because the credentials would go along."""
    try:
        target = answer.shown(parse_address(answer.headers.get("Location", "")).host or answer.host, limit=100)
    except ValueError:
        target = phrase("an unreadable address")
    return UnusableAnswerError(
        phrase(
            "{host} redirects to {target} (HTTP {status}), and redirects are not followed",
            host=answer.host,
            target=target,
            status=answer.status,
        ),
        sent=True,
        status=answer.status,
        hint=phrase("Check the endpoint: it must be the API's own host, with https."),
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
        words = phrase(
            "refused the signature because the clocks differ: this machine's clock says {ours}, the server's {theirs}",
            ours=_time(answer.received_at),
            theirs=phrase("unknown") if answer.server_time is None else _time(answer.server_time),
        )
        return _Verdict(ClockSkewError, words)
    hint = next((hint for text, hint in _SUB_MESSAGES.items() if text in said), None)
    return _Verdict(
        CredentialsError, phrase("refused the credentials"), hint or _HINTS[type(credentials) if credentials else None]
    )


def _message(answer: Answer, words: Phrase, body: ErrorBody) -> Phrase:
    status = f"HTTP {answer.status}"
    label = status if body.code == str(answer.status) else f"{status}, {body.code}"
    message = phrase("{host} {words} ({label})", host=answer.host, words=words, label=label)
    return (
        phrase("{message}: {detail}", message=message, detail=presentable(body.message).rstrip("."))
        if body.message
        else message
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
