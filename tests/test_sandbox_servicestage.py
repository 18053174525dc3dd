"""The sandbox's ServiceStage over real sockets: redirect URLs, exchanges, every refusal, lists and deletes."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from aiohttp import ClientSession
from repo_type_contract import IN_BROWSER, TYPES

from oauth_helper.sandbox import Sandbox

BCRYPT = re.compile(r"\$2a\$10\$[./A-Za-z0-9]{53}")


class Clock:
    seconds = 1_700_000_000.25

    def __call__(self) -> float:
        return self.seconds


@dataclass
class User:
    """Asks ServiceStage, and consents at the Git host by one POST."""

    sandbox: Sandbox
    session: ClientSession

    async def ask(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        address = f"{self.sandbox.endpoint}/v1/{self.sandbox.project_id}/git/auths{path}"
        headers = {"X-Auth-Token": self.sandbox.token.token.reveal()}
        async with self.session.request(method, address, headers=headers, **request) as response:
            text = await response.text()
            assert response.headers["X-Request-Id"]
            return response.status, json.loads(text) if text else None

    async def authorization_url(self, repo_type: str = "github", **query: str) -> str:
        status, body = await self.ask("GET", f"/{repo_type}/redirect", params=query)
        assert status == 200
        assert set(body) == {"url"}
        return str(body["url"])

    async def consent(self, authorization_url: str) -> dict[str, str]:
        async with self.session.post(
            authorization_url, data={"decision": "authorize"}, allow_redirects=False
        ) as response:
            query = parse_qs(urlsplit(response.headers["Location"]).query)
        return {"code": query["code"][0], "state": query["state"][0]}

    async def granted(self, repo_type: str = "github", **query: str) -> dict[str, str]:
        return await self.consent(await self.authorization_url(repo_type, **query))

    async def exchange(self, body: object, repo_type: str = "github", **query: str) -> tuple[int, Any]:
        return await self.ask("POST", f"/{repo_type}/oauth", params=query, json=body)

    async def names(self) -> list[str]:
        _, body = await self.ask("GET", "")
        assert body["count"] == len(body["authorizations"])
        return [record["name"] for record in body["authorizations"]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def user(clock: Clock) -> AsyncIterator[User]:
    async with Sandbox(now=clock, code_lifetime=60) as sandbox, ClientSession() as session:
        yield User(sandbox, session)


def assert_refused(answer: tuple[int, Any], code: str) -> None:
    status, body = answer
    assert status == 400
    assert set(body) == {"error_code", "error_msg"}
    assert body["error_code"] == f"SVCSTG.REPO.{code}"


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_the_authorization_url_is_shaped_like_the_real_ones(user: User, repo_type: str) -> None:
    url = urlsplit(await user.authorization_url(repo_type))
    assert url.path == TYPES[repo_type].authorization_path
    query = dict(parse_qsl(url.query, strict_parsing=True))
    assert re.fullmatch(r"[0-9a-f]{20}", query["client_id"])
    callback = urlsplit(query["redirect_uri"])
    assert (callback.hostname, callback.path, callback.query) == (
        "127.0.0.1",
        "/servicestage/oauth",
        f"repo_type={repo_type}",
    )
    assert BCRYPT.fullmatch(query["state"])
    assert query["scope"]
    assert query.get("response_type") == (None if repo_type == "github" else "code")
    assert "state=%242a%2410%24" in url.query
    assert not set(url.query) & set("$/ +:")


async def test_every_redirect_url_has_a_state_of_its_own(user: User) -> None:
    assert await user.authorization_url() != await user.authorization_url()


@pytest.mark.parametrize("repo_type", IN_BROWSER)
async def test_an_exchange_answers_with_the_documented_record_and_the_list_shows_it(
    user: User, repo_type: str, clock: Clock
) -> None:
    granted = await user.granted(repo_type, tag="intl")
    status, body = await user.exchange({"name": "my-auth.1_2", **granted}, repo_type, tag="intl")
    assert status == 200
    record = body["authorization"]
    assert list(body) == ["authorization"]
    assert set(record) == {
        *("name", "repo_type", "repo_host", "repo_home", "repo_user"),
        *("avartar", "token_type", "create_time", "update_time", "status"),
    }
    assert (record["name"], record["repo_type"], record["repo_user"]) == ("my-auth.1_2", repo_type, "octocat")
    assert (record["token_type"], record["status"]) == ("oauth", 0)
    assert record["create_time"] == record["update_time"] == int(clock.seconds * 1000)
    _, listed = await user.ask("GET", "")
    assert listed == {"authorizations": [{**record, "tag": "intl"}], "count": 1}


async def test_the_addresses_of_the_record_lead_to_the_sandboxes_git_host(user: User) -> None:
    _, body = await user.exchange({"name": "my-auth", **await user.granted()})
    for field, kind in (("repo_home", "text/html"), ("avartar", "image/svg+xml")):
        async with user.session.get(body["authorization"][field]) as response:
            assert (response.status, response.content_type) == (200, kind)
    assert body["authorization"]["repo_home"].startswith(body["authorization"]["repo_host"])


async def test_without_a_tag_the_list_shows_null(user: User) -> None:
    await user.exchange({"name": "my-auth", **await user.granted()}, tag="")
    _, listed = await user.ask("GET", "")
    assert listed["authorizations"][0]["tag"] is None


@pytest.mark.parametrize("repo_type", ["devcloud", "GitHub", "svn"])
async def test_a_type_without_oauth_is_not_implemented(user: User, repo_type: str) -> None:
    assert_refused(await user.ask("GET", f"/{repo_type}/redirect"), "0401")
    assert_refused(await user.exchange({"name": "my-auth", "code": "c", "state": "s"}, repo_type), "0401")


@pytest.mark.parametrize(
    "changed",
    [
        *({"name": name} for name in ("abc", "a" * 64, "with space", "näme", "a/bc", "abcd\n", "\ud800abcd", "", 1)),
        {"code": ""},
        {"code": None},
        {"state": ""},
        {"state": ["s"]},
    ],
    ids=repr,
)
async def test_a_bad_parameter_is_refused_and_costs_neither_code_nor_state(
    user: User, changed: dict[str, object]
) -> None:
    granted = await user.granted()
    assert_refused(await user.exchange({"name": "my-auth", **granted, **changed}), "0400")
    assert (await user.exchange({"name": "my-auth", **granted}))[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b'"text"', b'{"name": "my-auth", "code": "c"}', b"[" * 100_000]
)
async def test_an_unreadable_or_incomplete_body_is_refused(user: User, body: bytes) -> None:
    headers = {"X-Auth-Token": user.sandbox.token.token.reveal(), "Content-Type": "application/json;charset=utf8"}
    address = f"{user.sandbox.endpoint}/v1/{user.sandbox.project_id}/git/auths/github/oauth"
    async with user.session.post(address, data=body, headers=headers) as response:
        assert_refused((response.status, await response.json()), "0400")


async def test_a_taken_name_is_refused_and_costs_neither_code_nor_state(user: User) -> None:
    await user.exchange({"name": "my-auth", **await user.granted("gitlab")}, "gitlab")
    granted = await user.granted()
    assert_refused(await user.exchange({"name": "my-auth", **granted}), "0403")
    assert (await user.exchange({"name": "other-auth", **granted}))[0] == 200
    assert await user.names() == ["my-auth", "other-auth"]


async def test_a_state_is_good_once(user: User) -> None:
    granted = await user.granted()
    assert (await user.exchange({"name": "my-auth", **granted}))[0] == 200
    fresh = await user.granted()
    again = {"name": "other-auth", "code": fresh["code"], "state": granted["state"]}
    assert_refused(await user.exchange(again), "0402")
    assert (await user.exchange({"name": "other-auth", **fresh}))[0] == 200, "a foreign state does not cost the code"


async def test_a_code_is_good_once(user: User) -> None:
    granted = await user.granted()
    assert (await user.exchange({"name": "my-auth", **granted}))[0] == 200
    fresh = await user.granted()
    again = {"name": "other-auth", "code": granted["code"], "state": fresh["state"]}
    assert_refused(await user.exchange(again), "0402")
    assert_refused(await user.exchange({"name": "other-auth", **fresh}), "0402")
    assert await user.names() == ["my-auth"]


async def test_an_invented_code_or_state_is_refused(user: User) -> None:
    granted = await user.granted()
    assert_refused(await user.exchange({"name": "my-auth", **granted, "state": "$2a$10$" + "x" * 53}), "0402")
    assert_refused(await user.exchange({"name": "my-auth", **granted, "code": "0" * 20}), "0402")


@pytest.mark.parametrize(("later", "status"), [(59.9, 200), (60, 400)])
async def test_a_code_is_good_for_its_lifetime(user: User, clock: Clock, later: float, status: int) -> None:
    granted = await user.granted()
    clock.seconds += later
    assert (await user.exchange({"name": "my-auth", **granted}))[0] == status


async def test_a_state_is_good_for_its_repo_type_alone(user: User) -> None:
    granted = await user.granted("github")
    assert_refused(await user.exchange({"name": "my-auth", **granted}, "gitlab"), "0402")


@pytest.mark.parametrize(
    ("asked", "sent"), [({"tag": "intl"}, {}), ({}, {"tag": "intl"}), ({"tag": "a"}, {"tag": "b"})]
)
async def test_a_state_is_good_for_its_tag_alone(user: User, asked: dict[str, str], sent: dict[str, str]) -> None:
    assert_refused(await user.exchange({"name": "my-auth", **await user.granted(**asked)}, **sent), "0402")


async def test_a_code_is_good_for_the_application_it_was_given_to(user: User) -> None:
    github = await user.granted("github")
    gitlab = await user.granted("gitlab")
    mixed = {"name": "my-auth", "code": github["code"], "state": gitlab["state"]}
    assert_refused(await user.exchange(mixed, "gitlab"), "0402")


async def test_a_deleted_authorization_is_gone_and_its_name_is_free(user: User) -> None:
    await user.exchange({"name": "my-auth", **await user.granted()})
    assert await user.ask("DELETE", "/my-auth") == (204, None)
    assert await user.names() == []
    assert (await user.exchange({"name": "my-auth", **await user.granted()}))[0] == 200


@pytest.mark.parametrize("name", ["no-such", "a%2Fb"])
async def test_what_is_not_there_cannot_be_deleted(user: User, name: str) -> None:
    assert_refused(await user.ask("DELETE", f"/{name}"), "0450")
