"""The contract server finds what is wrong: each violation, made on purpose."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from contract_rules import ACCESS_KEY, PROJECT, SECRET_KEY
from contract_server import TOKEN, ContractServer

from oauth_helper.credentials import AccessKey
from oauth_helper.errors import OAuthHelperError
from oauth_helper.servicestage.transport import Connection

AUTHS = f"/v1/{PROJECT}/git/auths"


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    server = ContractServer()
    async with server:
        yield server
        server.violations.clear()


async def violations(
    server: ContractServer,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    secret_key: str = SECRET_KEY,
    project_id: str = PROJECT,
    query: tuple[tuple[str, str], ...] = (),
    **headers: str,
) -> str:
    """Make one request, whatever becomes of it; return what the server says of it."""
    endpoint = server.environment()["OAUTH_HELPER_ENDPOINT"]
    key = AccessKey(ACCESS_KEY, secret_key)
    async with Connection(endpoint, credentials=key, project_id=project_id) as connection:
        with suppress(OAuthHelperError):
            await connection.request(method, path, body=body, query=query, headers=headers)
    return " ".join(server.violations)


async def test_what_is_right_is_not_objected_to(server: ContractServer) -> None:
    assert await violations(server, "GET", AUTHS) == ""
    body = f'{{"name": "my-auth", "token": "{TOKEN}"}}'.encode()
    assert await violations(server, "POST", f"{AUTHS}/github/personal", body) == ""
    assert await violations(server, "DELETE", f"{AUTHS}/my-auth") == ""


@pytest.mark.parametrize(
    ("method", "path", "options", "words"),
    [
        ("GET", "", {"secret_key": "0" * 40}, "the signature"),
        ("GET", "", {"project_id": "another"}, "X-Project-Id: another"),
        ("GET", "", {"query": (("limit", "1"),)}, "query ['limit']"),
        ("GET", "", {"X-Extra": "1"}, "with X-Extra"),
        ("GET", "", {"X-Repo-Auth": "my-auth"}, "with X-Repo-Auth"),
        ("GET", "/", {}, "no such operation"),
        ("GET", "/github/oauth", {}, "no such operation"),
        ("GET", "", {"body": b"{}"}, "a body"),
        ("POST", "/github/personal", {"body": b'{"name": "a", "token": ""}'}, "a body with ['name', 'token']"),
        ("POST", "/github/personal", {"body": b'{"name": "a", "token": 1}'}, "a body with ['name', 'token']"),
        ("POST", "/github/oauth", {"body": b'{"name": "a", "code": "b"}'}, "a body with ['code', 'name']"),
        (
            *("POST", "/bitbucket/password"),
            {"body": b'{"name": "a", "user": "b", "password": "c", "token": "d"}'},
            "a body with ['name', 'password', 'token', 'user']",
        ),
        ("GET", "/../repos/namespaces", {}, "no such operation"),
        ("DELETE", "/nobody", {}, "which is not there"),
    ],
)
async def test_a_violation_is_found(
    server: ContractServer, method: str, path: str, options: dict[str, object], words: str
) -> None:
    assert words in await violations(server, method, AUTHS + path, **options)  # type: ignore[arg-type]


async def test_an_authorization_that_must_be_named_is_missed(server: ContractServer) -> None:
    assert "without X-Repo-Auth" in await violations(server, "GET", f"/v1/{PROJECT}/git/repos/namespaces")


async def test_a_violation_fails_the_test() -> None:
    with pytest.raises(AssertionError):
        async with ContractServer() as server:
            await violations(server, "GET", "/nowhere")
