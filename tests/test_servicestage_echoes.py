"""Secrets that a server repeats in its errors: none of them comes back to the terminal."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from fake_servicestage import CODE, PROJECT, STATE, TOKEN, FakeServiceStage, Received

from oauth_helper.credentials import AccessKey
from oauth_helper.errors import OAuthHelperError
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret, redact
from oauth_helper.servicestage.client import ServiceStageClient

KEY = AccessKey("AccessKey", "SecretKey", "security-token")

ECHOES = {
    "as it is": "{}",
    "in a request": "GET|/v1/|tag=x|x-security-token:{}||host",
    "after a long text": "." * 150 + "{}",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_no_secret_comes_back_in_an_error(status: int, echo: str) -> None:
    """The server knows every secret that was sent, and repeats it in message, code, request id and header."""

    def answer(request: Received) -> web.Response:
        body = json.loads(request.body)
        signature = request.headers.get("Authorization", "").rpartition("=")[2]
        sent = [request.headers.get("X-Security-Token", ""), request.headers.get("X-Auth-Token", ""), signature]
        spoken = " ".join([body["state"], body["code"], *sent, body["state"].replace("$", "%24").replace("/", "%2f")])
        return web.json_response(
            {"error_code": body["code"], "error_msg": echo.format(spoken), "request_id": body["state"]},
            status=status,
            headers={"X-Request-Id": body["code"]},
        )

    for credentials in (KEY, TOKEN):
        async with (
            FakeServiceStage(answer) as fake,
            ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=credentials) as service,
        ):
            with pytest.raises(OAuthHelperError) as caught:
                await service.create_oauth(RepoType.GITHUB, name="my-auth", code=CODE, state=STATE)
        told = json.dumps(caught.value.to_json()) + repr(caught.value)
        signature = fake.received[0].headers.get("Authorization", "Signature").rpartition("=")[2]
        for secret in (CODE.reveal(), "uQYThj5yKFs51w9s9ajeuQ0", "security-token", "MIIE", "SecretKey", signature):
            assert secret[:12] not in told.replace("x-security-token:", "")


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("p/q r+&<é", "p/q r+&<é"),
        ("p/q r+&<é", "p%2Fq%20r%2B%26%3C%C3%A9"),
        ("p/q r+&<é", "p%2fq%20r%2b%26%3c%c3%a9"),
        ("p/q r+&<é", "p/q+r%2B%26%3C%C3%A9"),
        ("p/q r+&<é", "p/q r+&amp;&lt;é"),
        ("p/q r+&<é", "p/q r+&<\\u00e9"),
        ("ab  cd\te", "ab  cd\te"),
        ("abcd", "ab\u200bc\x00d"),
        ("abc", "ABC"),
    ],
)
def test_a_secret_is_starred_in_every_spelling(secret: str, text: str) -> None:
    assert redact(f"a {text} z", [Secret(secret), Secret("")], limit=200) == "a ******** z"


def test_half_a_secret_does_not_stay_at_the_cut() -> None:
    token = "t" * 90_000
    assert redact("x" * 190 + token + "y" * 200_000, [Secret(token)], limit=200) == "x" * 190 + "********" + "y" + "…"
