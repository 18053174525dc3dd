"""A link without a browser, where its outcome is not plain or the name is taken meanwhile: what is sent, and said."""

import json
from collections.abc import Callable, Iterable, Sequence

import pytest
from aiohttp import web
from fake_servicestage import AUTHS, KEY, PROJECT, RECORD, FakeServiceStage, Received

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
from oauth_helper.api import run_direct_link
from oauth_helper.credentials import GitCredential, PersonalToken, UserPassword
from oauth_helper.events import Deleted, Deleting, Event, Exchanging, Linked, Looking
from oauth_helper.exchange import Timing
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
        return await run_direct_link(request, TOKEN, service, told.append, timing=TIMING), told


def methods(received: Iterable[Received]) -> str:
    return " ".join(request.method for request in received)


NO_TEXT, OURS, FOREIGN = listing, lambda: listing(MADE), lambda: listing(OTHERS)
TAKEN = lambda: refusing(400, "SVCSTG.REPO.0403")  # noqa: E731 - one of a table
BROKEN = lambda: web.Response(status=502, text="<html>")  # noqa: E731 - as above
BUSY = lambda: refusing(503, "APIGW.0308")  # noqa: E731 - as above
GONE = lambda: web.Response(status=204)  # noqa: E731 - as above


async def test_after_no_usable_answer_it_is_looked_at_before_anything_is_sent_again() -> None:
    async with scripted(get=[NO_TEXT, OURS], post=[BROKEN]) as fake:
        result, told = await linked(fake)
    assert result.authorization.create_time == 2
    assert methods(fake.received) == "GET POST GET"
    assert [type(event) for event in told][1:] == [Exchanging, Looking, Linked]


async def test_what_was_not_carried_out_is_sent_again() -> None:
    async with scripted(get=[NO_TEXT], post=[BUSY, BROKEN, creating]) as fake:
        result, told = await linked(fake)
    assert not result.kept
    assert [event.attempt for event in told if isinstance(event, Exchanging)] == [1, 2, 3]
    assert methods(fake.received).split().count("POST") == 3
    bodies = {request.body for request in fake.received if request.method == "POST"}
    assert [json.loads(body) for body in bodies] == [{"name": "my-auth", "token": "planted-token"}]


@pytest.mark.parametrize(
    ("git_credential", "repo_type", "words"),
    [
        (TOKEN, RepoType.GITHUB, "comes from its official site"),
        (PersonalToken(Secret("planted-token"), "https://git.example"), RepoType.GITHUB, "--host"),
        (UserPassword("octocat", Secret("planted-password")), RepoType.BITBUCKET, "the user name and the password"),
    ],
    ids=["token", "token of a private server", "password"],
)
async def test_what_is_not_accepted_is_to_be_checked(
    git_credential: GitCredential, repo_type: RepoType, words: str
) -> None:
    refused = lambda: refusing(400, "SVCSTG.REPO.0451")  # noqa: E731 - as above
    request = LinkRequest(repo_type, "my-auth")
    async with (
        scripted(get=[NO_TEXT], post=[refused]) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY) as service,
    ):
        with pytest.raises(RefusedError) as raised:
            await run_direct_link(request, git_credential, service, lambda _event: None, timing=TIMING)
    assert words in raised.value.hint
    assert "planted" not in raised.value.message + raised.value.hint
    assert methods(fake.received) == "GET POST"


async def test_what_stays_unknown_says_so_and_promises_no_resume() -> None:
    async with scripted(get=[NO_TEXT, BROKEN], post=[BROKEN]) as fake:
        with pytest.raises(OutcomeUnknownError) as unknown:
            await linked(fake)
    assert unknown.value.exit_status == 8
    assert "whether it did is not known" in unknown.value.message
    assert unknown.value.hint == "`oauth-helper show my-auth` tells whether it exists. If not, run the command again."
    assert methods(fake.received).split().count("POST") == 1


async def test_a_name_refused_after_an_earlier_sending_is_that_ones_work() -> None:
    async with scripted(get=[NO_TEXT, NO_TEXT, OURS], post=[BUSY, TAKEN]) as fake:
        result, _ = await linked(fake)
    assert result.authorization.create_time == 2
    assert not result.kept


@pytest.mark.parametrize(("if_exists", "kept"), [("keep", True), ("fail", None), ("replace", False)])
async def test_a_name_that_is_taken_meanwhile_is_treated_as_one_that_stood(if_exists: str, kept: bool | None) -> None:
    async with scripted(get=[NO_TEXT, FOREIGN], post=[TAKEN, creating], delete=[GONE]) as fake:
        if kept is None:
            with pytest.raises(NameTakenError):
                await linked(fake, if_exists)
            return
        result, told = await linked(fake, if_exists)
    assert result.kept is kept
    assert result.authorization.create_time == (1 if kept else 2)
    assert methods(fake.received) == ("GET POST GET" if kept else "GET POST GET DELETE POST")
    assert isinstance(told[-1], Linked)


async def test_what_is_taken_and_cannot_be_listed_stays_taken() -> None:
    forbidden = lambda: refusing(403, "IAM.0003")  # noqa: E731 - as above
    async with scripted(get=[forbidden], post=[TAKEN]) as fake:
        with pytest.raises(NameTakenError):
            await linked(fake)
    async with scripted(get=[NO_TEXT, NO_TEXT], post=[TAKEN]) as fake:
        with pytest.raises(NameTakenError):
            await linked(fake)
    async with scripted(get=[NO_TEXT, forbidden], post=[TAKEN]) as fake:
        with pytest.raises(NameTakenError):
            await linked(fake)


async def test_what_is_replaced_is_deleted_right_before_and_never_twice() -> None:
    async with scripted(get=[FOREIGN], post=[creating], delete=[GONE]) as fake:
        _, told = await linked(fake, "replace")
    assert methods(fake.received) == "GET DELETE POST"
    assert [type(event) for event in told][1:] == [Deleting, Deleted, Exchanging, Linked]
    async with scripted(get=[FOREIGN], post=[TAKEN], delete=[GONE]) as fake:
        with pytest.raises(NameTakenError, match="is deleted"):
            await linked(fake, "replace")
    assert methods(fake.received) == "GET DELETE POST GET"


@pytest.mark.parametrize("as_secret", [True, False])
async def test_from_python_the_secret_may_be_a_text_or_a_secret(as_secret: bool) -> None:
    token = Secret("planted") if as_secret else "planted"
    async with (
        scripted(get=[NO_TEXT], post=[creating]) as fake,
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
def test_what_can_be_no_password_is_refused_before_anything_is_sent(password: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"The password {words}") as refused:
        UserPassword("octocat", Secret(password))
    assert "planted" not in refused.value.message + refused.value.hint
