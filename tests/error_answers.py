"""Error answers: those of the API reference, those of the sandbox, and those that the vendor's SDK reads otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from oauth_helper.sandbox.faults import Kind

_INCORRECT: Final = "Incorrect IAM authentication information: "
CODES: Final[Mapping[str, tuple[int, str]]] = {
    # ServiceStage: servicestage_06_0162, the Git part and what stands beside it.
    "SVCSTG.REPO.0400": (400, "parameter invalid"),
    "SVCSTG.REPO.0401": (400, "repository not implemented"),
    "SVCSTG.REPO.0402": (400, "oauth code or state invalid"),
    "SVCSTG.REPO.0403": (400, "resource already exist"),
    "SVCSTG.REPO.0450": (400, "no repository authorization"),
    "SVCSTG.REPO.0451": (400, "repository authorization invalid"),
    "SVCSTG.REPO.0452": (400, "clone url invalid"),
    "SVCSTG.00100400": (400, "参数无效。"),
    "SVCSTG.00100403": (404, "application not found"),
    "SVCSTG.00100449": (400, "environment name used"),
    "SVCSTG.0111": (400, "the sample of the engine's chapters"),
    # API Gateway: devg-apisign, api-sign-errorcode.
    "APIGW.0101": (404, "API does not exist or not published"),
    "APIGW.0103": (404, "backend does not exist"),
    "APIGW.0104": (400, "plug-in error"),
    "APIGW.0105": (400, "backend configuration error"),
    "APIGW.0106": (400, "orchestration error"),
    "APIGW.0201": (413, "entity too large"),
    "APIGW.0203": (504, "Backend timeout"),
    "APIGW.0301": (401, f"{_INCORRECT}verify aksk signature fail"),
    "APIGW.0302": (403, "The IAM user is not authorized to access the API"),
    "APIGW.0303": (401, "Incorrect app authentication information: app not found"),
    "APIGW.0308": (429, "The throttling threshold has been reached: policy user over ratelimit"),
    "APIGW.0402": (403, "The IP address is not authorized to access the API"),
    "APIG.0305": (401, "Incorrect authentication information"),
    "APIG.0306": (403, "API access denied"),
    # IAM's, in the same flat form.
    "IAM.0002": (403, "You are not authorized to perform the requested action."),
    "IAM.0003": (403, "Policy doesn't allow servicestage:repositoryAuth:list to be performed."),
    "IAM.0011": (401, "IAM-0011: The token must be updated"),
}
"""Status and message by code."""

OF_THE_CONTRACT: Final[Mapping[str, tuple[int, object]]] = {
    "the gateway, flat": (401, {"error_msg": "no", "error_code": "APIGW.0301", "request_id": "0f" * 16}),
    "ServiceStage, flat": (400, {"error_code": "SVCSTG.REPO.0400", "error_msg": "no"}),
    "Keystone, nested": (401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}}),
    "IAM, with a message to decode": (
        403,
        {"error_code": "IAM.0003", "error_msg": "no", "encoded_authorization_message": "eyJh"},
    ),
    **{
        f"the gateway: {reason}": (
            401,
            {"error_msg": f"{_INCORRECT}{reason}", "error_code": "APIGW.0301", "request_id": "0f" * 16},
        )
        for reason in (
            "verify aksk signature fail",
            "x-auth-token not found",
            "decrypt token fail",
            "token expires, expires_at: 2023-11-15T22:13:20Z",
            "AK access failed to reach the limit, forbidden",
            "signature expired, signature time: 20231115T000000Z, server time: 20231115T010000Z",
            # It echoes the request that it could not verify, with bars in the place of its line breaks.
            "verify aksk signature fail, canonicalRequest:GET|/v1/||host:example.com||host|e3b0c442",
        )
    },
}
"""Status and body, as the API reference and the signing guide show them."""

WITHOUT_SHAPE: Final = (
    *(b"", b" ", b"null", b"true", b"7", b'"no"', b"[]", b"[1]", b"{}", b'{"error": "no"}', b'{"error": null}'),
    *(b"no such thing\r\nhere", b'{"error_code": "X.1", ', b'{"error_msg": "no"', b"\x00\x1b[31mred"),
    *("出错了。".encode(), b'{"a": {"b": {"c": 1}}}', b'{"error_code": null, "error_msg": null}', b"upstream error"),
)
"""Answers in which no code and no message can be found, whatever they claim to be."""


@dataclass(frozen=True)
class Difference:
    """An error answer with status 418 that the two read otherwise: code, message (its first 200), request id."""

    reason: str
    body: bytes
    ours: tuple[str, str, str | None]
    theirs: tuple[str, str, str | None]
    headers: Mapping[str, str] = field(default_factory=dict)


_ID: Final = "0f" * 16
_SWR: Final = json.dumps([{"errorCode": "X.1", "errorMessage": "no", "detail": "d"}])
_ENGINE: Final = json.dumps({"errorCode": "X.1", "errorMessage": "no", "detail": "d"})
_SERVICECOMB: Final = json.dumps({"error_code": "X.1", "error_message": "no"})
_HALF: Final = json.dumps({"error_code": "X.1"})
_OTHER_HALF: Final = json.dumps({"error_msg": "no"})
_TWO: Final = json.dumps({"a": {"code": "X.1", "message": "first"}, "b": {"code": "X.2", "message": "last"}})
_OWN_ID: Final = json.dumps({"error_code": "X.1", "error_msg": "no", "request_id": "r-1"})
_PAGE: Final = "<html><head><title>418 I&#39;m a teapot</title></head><body>x</body></html>"
_EMPTY_CODE: Final = json.dumps({"error_code": "", "error_msg": "", "code": "X.1", "message": "no"})
_DEEP: Final = b"[" * 100_000
_NO_TEXT: Final = json.dumps({"error_code": "X.1", "error_msg": {"en": "no"}})

DIFFERENCES: Final[Mapping[str, Difference]] = {
    "an array, as of the image registry": Difference(
        "The SDK reads objects alone; ServiceStage's manual has an array for one of its neighbours.",
        *(_SWR.encode(), ("X.1", "no", _ID), ("418", _SWR, _ID)),
    ),
    "errorMessage, as of the engines": Difference(
        "The SDK knows errorMsg alone beside errorCode; the manual's chapters on engines write errorMessage.",
        *(_ENGINE.encode(), ("X.1", "no", _ID), ("418", _ENGINE, _ID)),
    ),
    "error_message, as of the configuration API": Difference(
        "The SDK knows error_msg alone beside error_code; the manual's configuration chapters write error_message.",
        *(_SERVICECOMB.encode(), ("X.1", "no", _ID), ("418", _SERVICECOMB, _ID)),
    ),
    "a code without a message": Difference(
        "The SDK wants both; what an error is follows from its code, so that ours is kept by itself.",
        *(_HALF.encode(), ("X.1", "", _ID), ("418", _HALF, _ID)),
    ),
    "a message without a code": Difference(
        "The SDK wants both, and gives the whole body; a person wants the message.",
        *(_OTHER_HALF.encode(), ("418", "no", _ID), ("418", _OTHER_HALF, _ID)),
    ),
    "two within": Difference(
        "The SDK overwrites the first with the last; what stands first is what the one who refused put first.",
        *(_TWO.encode(), ("X.1", "first", _ID), ("X.2", "last", _ID)),
    ),
    "an empty pair before a full one": Difference(
        "The SDK takes the empty pair, and falls back on the whole body; to us what is empty is not there.",
        *(_EMPTY_CODE.encode(), ("X.1", "no", _ID), ("418", _EMPTY_CODE, _ID)),
    ),
    "a message that is no text": Difference(
        "The SDK hands on whatever type it is; ours is text, or nothing.",
        *(_NO_TEXT.encode(), ("X.1", "", _ID), ("X.1", "{'en': 'no'}", _ID)),
    ),
    "a request id in the body": Difference(
        "The SDK reads the header alone; the gateway writes its own into the body, and a proxy may set the header.",
        *(_OWN_ID.encode(), ("X.1", "no", "r-1"), ("X.1", "no", _ID)),
    ),
    "nested deeper than can be read": Difference(
        "The SDK raises before it has filled in the status as the code.",
        *(_DEEP, ("418", _DEEP.decode(), _ID), ("None", "[" * 200, _ID)),
    ),
    "text that does not say how it is written": Difference(
        "The SDK's library falls back on ISO 8859-1 for text (RFC 2616); today's servers write UTF-8 (RFC 9110).",
        *("défaut".encode(), ("418", "défaut", _ID), ("418", "dÃ©faut", _ID)),
        headers={"Content-Type": "text/plain"},
    ),
    "what is no Unicode, of a server that does not say what it writes": Difference(
        "The SDK's library guesses by the bytes; we do not guess.",
        *(b"d\xe9faut", ("418", "d\ufffdfaut", _ID), ("418", "défaut", _ID)),
        headers={"Content-Type": "text/plain"},
    ),
    "a web page": Difference(
        "The SDK's message is the whole page; ours is its title, which is what a person can read.",
        *(_PAGE.encode(), ("418", "418 I'm a teapot", _ID), ("418", _PAGE, _ID)),
        headers={"Content-Type": "text/html"},
    ),
}
"""Where we read more than the SDK does, or other things, on purpose."""


@dataclass(frozen=True)
class Refused:
    """A request that the sandbox refuses, with status and code; without headers, it bears a good token."""

    method: str
    path: str
    answer: tuple[int, str | None] = (0, None)
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    server: str = "servicestage"


_AUTHS: Final = "/v1/{project_id}/git/auths"
_OAUTH: Final = f"{_AUTHS}/github/oauth"
_PERSONAL: Final = f"{_AUTHS}/github/personal"
_TOKENS: Final = "/v3/auth/tokens"
_SCOPED: Final = json.dumps(
    {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "n", "password": "p", "domain": {"name": "d"}}},
            },
            "scope": {"project": {"name": "sandbox-1"}},
        }
    }
)

SANDBOX_REFUSALS: Final[Mapping[str, Refused]] = {
    "no credentials": Refused("GET", _AUTHS, (401, "APIGW.0301"), headers={}),
    "no such token": Refused("GET", _AUTHS, (401, "APIGW.0301"), headers={"X-Auth-Token": "wrong"}),
    "no such signature": Refused("GET", _AUTHS, (401, "APIGW.0301"), headers={"Authorization": "SDK-HMAC-SHA256 x"}),
    "no such path": Refused("GET", "/v1/nowhere", (404, "APIGW.0101")),
    "no such method": Refused("PATCH", _AUTHS, (404, "APIGW.0101")),
    "too large": Refused("POST", _OAUTH, (413, "APIGW.0201"), b"x" * 2_000_000),
    "another project": Refused("GET", "/v1/another/git/auths", (403, "IAM.0002")),
    "no body": Refused("POST", _OAUTH, (400, "SVCSTG.REPO.0400")),
    "no such type": Refused("GET", f"{_AUTHS}/svn/redirect", (400, "SVCSTG.REPO.0401")),
    "no such state": Refused(
        "POST", _OAUTH, (400, "SVCSTG.REPO.0402"), b'{"name": "my-auth", "code": "c", "state": "s"}'
    ),
    "taken": Refused("POST", _PERSONAL, (400, "SVCSTG.REPO.0403"), b'{"name": "taken", "token": "{token}"}'),
    "nobody": Refused("DELETE", f"{_AUTHS}/nobody", (400, "SVCSTG.REPO.0450")),
    "a wrong token": Refused("POST", _PERSONAL, (400, "SVCSTG.REPO.0451"), b'{"name": "my-auth", "token": "t"}'),
    "no token request": Refused("POST", _TOKENS, (400, None), b"{}", {}, "iam"),
    "not the user": Refused("POST", _TOKENS, (401, None), _SCOPED.encode(), {}, "iam"),
    "IAM without credentials": Refused("GET", "/v3/projects", (401, "APIGW.0301"), headers={}, server="iam"),
}

SANDBOX_FAULTS: Final[Mapping[Kind, tuple[int, str | None]]] = {
    Kind.UNAUTHORIZED: (401, "APIGW.0301"),
    Kind.FORBIDDEN: (403, "IAM.0003"),
    Kind.CODE_OR_STATE_INVALID: (400, "SVCSTG.REPO.0402"),
    Kind.NOT_FOUND: (404, None),
    Kind.TOO_MANY_REQUESTS: (429, "APIGW.0308"),
    Kind.INTERNAL_ERROR: (500, "SVCSTG.REPO.0500"),
    Kind.INTERNAL_ERROR_AFTER: (500, "SVCSTG.REPO.0500"),
    Kind.BAD_GATEWAY: (502, None),
    Kind.UNAVAILABLE: (503, None),
    Kind.GATEWAY_TIMEOUT: (504, "APIGW.0203"),
    Kind.GATEWAY_TIMEOUT_BEFORE: (504, "APIGW.0203"),
}
"""What the sandbox answers where it goes wrong; a web page has no code."""
