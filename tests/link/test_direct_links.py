"""Links with a token or password: what is sent, and what is reported if the outcome is unclear or the name is taken."""

import json
from collections.abc import Callable, Iterable, Sequence

import pytest
from aiohttp import web
from support.fake_servicestage import AUTHS, KEY, PROJECT, RECORD, FakeServiceStage, Received

from oauth_helper import (
    NameTakenError,
    OutcomeUnknownError,
    RefusedError,
    RepoType,
    Secret,
    ServiceStageClient,
    UsageError,
    link_with_password,
    link_with_token,
)
from oauth_helper.credentials import GitCredential, PersonalToken, UserPassword
from oauth_helper.events import Event, Exchanging, Linked
from oauth_helper.exchange import Timing
from oauth_helper.link_steps import link_directly
from oauth_helper.models import IfExists, LinkRequest

TIMING = Timing(
    total=1.5,
    connecting=0.5,
    answer=0.4,
    list_call=0.3,
    verify_after=(0.05, 0.15, 0.3),
    first_pause=0.02,
    longest_pause=0.1,
)
"""A twentieth of the usual one, about."""
TOKEN = PersonalToken(Secret("planted-token"))
MADE = RECORD | {"create_time": 2, "token_type": "personal"}
OTHERS = RECORD | {"create_time": 1}


def listing(*records: dict[str, object]) -> web.Response:
    return web.json_response({"authorizations": list(records), "count": len(records)})


def creating() -> web.Response:
    return web.json_response({"authorization": MADE})


def refusing(status: int, code: str) -> web.Response:
    return web.json_response({"error_code": code, "error_msg": "no"}, status=status)


def scripted(**answers: Sequence[Callable[[], web.Response]]) -> FakeServiceStage:
    """Answer each method's requests in turn, the last for ever."""
    left = {method.upper(): list(turn) for method, turn in answers.items()}

    def respond(request: Received) -> web.Response:
        turn = left[request.method]
        return (turn.pop(0) if len(turn) > 1 else turn[0])()

    return FakeServiceStage(respond)


async def linked(fake: FakeServiceStage, if_exists: str = "keep") -> tuple[Linked, list[Event]]:
    told: list[Event] = []
    request = LinkRequest(RepoType.GITHUB, "my-auth", if_exists=IfExists(if_exists))
    async with ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service:
        return await link_directly(request, TOKEN, service, told.append, timing=TIMING), told


def methods(received: Iterable[Received]) -> str:
    return " ".join(request.method for request in received)


def nothing() -> web.Response:
    return listing()


def ours() -> web.Response:
    return listing(MADE)


def foreign() -> web.Response:
    return listing(OTHERS)


def taken() -> web.Response:
    return refusing(400, "SVCSTG.REPO.0403")


def broken() -> web.Response:
    return web.Response(status=502, text="<html>")


def busy() -> web.Response:
    return refusing(503, "APIGW.0308")


def gone() -> web.Response:
    return web.Response(status=204)


def forbidden() -> web.Response:
    return refusing(403, "IAM.0003")


@pytest.mark.parametrize(
    ("if_exists", "get", "post", "requests", "is_kept"),
    [
        ("keep", [nothing, ours], [broken], "GET POST GET", False),
        ("keep", [nothing, nothing, ours], [busy, taken], "GET POST GET POST GET", False),
        ("keep", [foreign], [], "GET", True),
        ("keep", [nothing, foreign], [taken], "GET POST GET", True),
        ("replace", [nothing, foreign], [taken, creating], "GET POST GET DELETE POST", False),
        ("replace", [foreign], [creating], "GET DELETE POST", False),
    ],
    ids=["unclear", "created by the first POST", "exists", "taken, kept", "taken, replaced", "replaced"],
)
async def test_a_link_without_a_clear_answer_or_with_a_taken_name_succeeds(
    if_exists: str,
    get: Sequence[Callable[[], web.Response]],
    post: Sequence[Callable[[], web.Response]],
    requests: str,
    is_kept: bool,
) -> None:
    async with scripted(get=get, post=post, delete=[gone]) as fake:
        result, told = await linked(fake, if_exists)
    assert (result.kept, result.authorization.create_time) == (is_kept, 1 if is_kept else 2)
    assert methods(fake.received) == requests
    assert told[-1] == result


async def test_a_post_that_was_not_processed_is_sent_again() -> None:
    async with scripted(get=[nothing], post=[busy, broken, creating]) as fake:
        _result, told = await linked(fake)
    assert [event.attempt for event in told if isinstance(event, Exchanging)] == [1, 2, 3]
    bodies = [json.loads(request.body) for request in fake.received if request.method == "POST"]
    assert bodies == [{"name": "my-auth", "token": "planted-token"}] * 3


@pytest.mark.parametrize(
    ("if_exists", "get", "requests"),
    [
        ("fail", [nothing, foreign], "GET POST"),
        ("keep", [forbidden], "GET POST"),
        ("keep", [nothing, nothing], "GET POST GET"),
        ("keep", [nothing, forbidden], "GET POST GET"),
        ("replace", [foreign], "GET DELETE POST GET"),
    ],
)
async def test_a_taken_name_that_may_not_be_used_fails_the_link(
    if_exists: str, get: Sequence[Callable[[], web.Response]], requests: str
) -> None:
    async with scripted(get=get, post=[taken], delete=[gone]) as fake:
        with pytest.raises(NameTakenError):
            await linked(fake, if_exists)
    assert methods(fake.received) == requests


@pytest.mark.parametrize(
    ("credential", "repo_type", "words"),
    [
        (TOKEN, RepoType.GITHUB, "comes from its official site"),
        (PersonalToken(Secret("planted-token"), "https://git.example"), RepoType.GITHUB, "--host"),
        (UserPassword("octocat", Secret("planted-password")), RepoType.BITBUCKET, "API token only"),
    ],
    ids=["token", "token of a private server", "password"],
)
async def test_the_hint_says_what_to_check_if_the_credential_is_refused(
    credential: GitCredential, repo_type: RepoType, words: str
) -> None:
    async with (
        scripted(get=[nothing], post=[lambda: refusing(400, "SVCSTG.REPO.0451")]) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        request = LinkRequest(repo_type, "my-auth")
        with pytest.raises(RefusedError) as raised:
            await link_directly(request, credential, service, lambda _event: None, timing=TIMING)
    assert words in raised.value.hint
    assert "planted" not in raised.value.message + raised.value.hint
    assert methods(fake.received) == "GET POST"


async def test_an_unknown_outcome_is_reported_without_a_promise_to_resume() -> None:
    async with scripted(get=[nothing, broken], post=[broken]) as fake:
        with pytest.raises(OutcomeUnknownError) as unknown:
            await linked(fake)
    assert unknown.value.exit_status == 8
    assert "whether it did is not known" in unknown.value.message
    assert unknown.value.hint == "`oauth-helper show my-auth` tells whether it exists. If not, run the command again."
    assert methods(fake.received).split().count("POST") == 1


@pytest.mark.parametrize("as_secret", [True, False])
async def test_the_secret_may_be_a_str_or_a_secret(as_secret: bool) -> None:
    token = Secret("planted") if as_secret else "planted"
    async with (
        scripted(get=[nothing], post=[creating]) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        made = await link_with_token(service, RepoType.GITHUB, name="my-auth", token=token, host="https://git.example")
        assert made.create_time == 2
        await link_with_password(service, RepoType.BITBUCKET, name="my-auth", user="octocat", password=token)
        with pytest.raises(UsageError, match="Bitbucket cannot be linked with a token"):
            await link_with_token(service, RepoType.BITBUCKET, token=token)
        with pytest.raises(UsageError, match="GitHub cannot be linked with a password"):
            await link_with_password(service, RepoType.GITHUB, user="octocat", password=token)
        with pytest.raises(UsageError, match="Unknown if_exists"):
            await link_with_token(service, RepoType.GITHUB, token=token, if_exists="perhaps")
    posted = [(request.target, json.loads(request.body)) for request in fake.received if request.method == "POST"]
    assert posted == [
        (f"{AUTHS}/github/personal", {"name": "my-auth", "token": "planted", "host": "https://git.example"}),
        (f"{AUTHS}/bitbucket/password", {"name": "my-auth", "user": "octocat", "password": "planted"}),
    ]


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "is empty"),
        ("planted\n", "ends with U"),
        ("plan\x1bted", "contains U"),
        ('"planted"', "has quotes around it"),
    ],
)
def test_an_impossible_password_is_refused_before_anything_is_sent(password: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"The password {words}") as refused:
        UserPassword("octocat", Secret(password))
    assert "planted" not in refused.value.message + refused.value.hint
