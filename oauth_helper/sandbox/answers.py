"""What the sandbox's APIs answer when they refuse, and the headers that every one of their answers bears."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class ApiError(Exception):
    """A refusal, in the shape of the one who refuses."""

    def __init__(self, status: int, body: Mapping[str, object], request_id: str) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body
        self.request_id = request_id

    def answer(self) -> web.Response:
        """Return the answer that says so."""
        return web.json_response(self.body, status=self.status, headers={"X-Request-Id": self.request_id})


class GatewayError(ApiError):
    """The API gateway refused, before any service was asked: flat, with the request's id (api-sign-errorcode)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        request_id = new_request_id()
        super().__init__(status, {"error_msg": message, "error_code": code, "request_id": request_id}, request_id)


class ServiceError(ApiError):
    """ServiceStage, or a policy of IAM's, refused: flat, the id in the header only (the manual's samples)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, {"error_code": code, "error_msg": message}, new_request_id())


class InternalError(ServiceError):
    """ServiceStage failed. The tables that could be seen have no code for a 500; this one is formed as theirs are."""

    def __init__(self) -> None:
        super().__init__(500, "SVCSTG.REPO.0500", "internal server error")


class KeystoneError(ApiError):
    """IAM's token call refused: nested, as Keystone does."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        error = {"code": status.value, "message": message, "title": status.phrase}
        super().__init__(status, {"error": error}, new_request_id())


def new_request_id() -> str:
    """Return an id for one request, of the form the gateway gives: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def envelope(now: Callable[[], float]) -> Middleware:
    """Return the middleware that turns refusals into answers, and gives each answer its id and its date."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await _answer(request, handler)
        except ApiError as error:
            response = error.answer()
        response.headers.setdefault("X-Request-Id", new_request_id())
        # The sandbox's own clock, so that a reader who compares Date with the refusal of a signature sees one time.
        response.headers["Date"] = formatdate(now(), usegmt=True)
        return response

    return answer


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.match_info.http_exception is not None:
        raise GatewayError(404, "APIGW.0101", "The API does not exist or has not been published in the environment")
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        raise GatewayError(413, "APIGW.0201", "Request entity too large") from None
