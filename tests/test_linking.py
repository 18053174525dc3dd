"""The story, told with doors of paper: no socket, no browser, no terminal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from redirect_cases import AUTHORIZATION_URL, ENCODED_STATE, STATE, redirect

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.desk import Desk
from oauth_helper.errors import (
    AuthorizationDeniedError,
    CodeOrStateInvalidError,
    DeadlineError,
    NameTakenError,
    NoBrowserError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.events import (
    Captured,
    Checked,
    Deleted,
    Event,
    Exchanging,
    Failed,
    Ignored,
    Linked,
    Outcome,
    Waiting,
    Warned,
    Way,
)
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking import Doors, link
from oauth_helper.secret import Secret

NAME = "my-auth"
OURS = redirect(code="planted-code", state=STATE)
CREATED = Authorization(NAME, "github", repo_user="octocat", create_time=2, status=0)
STANDING = Authorization(NAME, "github", repo_user="hubot", create_time=1, status=0)

User = Callable[[Desk], Awaitable[None]]


@dataclass
class PaperService:
    """ServiceStage as a list; what the test puts into ``fails`` is raised by the call of that name."""

    standing: list[Authorization] = field(default_factory=list)
    fails: dict[str, OAuthHelperError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    answering: asyncio.Event | None = None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    async def list_authorizations(self) -> list[Authorization]:
        self._called("list")
        return self.standing

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        self._called(f"url {repo_type} {tag}")
        return AUTHORIZATION_URL

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        self.calls.append(f"create {repo_type} {name} {code.reveal()} {state.reveal() == STATE} {tag}")
        if self.answering:
            self.answering.set()
            await asyncio.Event().wait()
        if "create" in self.fails:
            raise self.fails["create"]
        return CREATED

    async def delete_authorization(self, name: str) -> None:
        self._called(f"delete {name}")


@dataclass
class PaperDoors:
    """A listener that hands its desk to ``user``, who plays the browser."""

    user: User
    desk: Desk | None = None
    told: list[Event] = field(default_factory=list)
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]] = lambda _offer: nullcontext()
    outcome: asyncio.Task[Outcome] | None = None

    async def serve(self, desk: Desk) -> str:
        self.desk = desk
        self.outcome = asyncio.create_task(desk.outcome())
        return "http://127.0.0.1:1/start?k=KEY"

    async def open_browser(self, address: str, desk: Desk) -> None:
        assert desk is self.desk
        assert address.endswith("k=KEY")
        await self.user(desk)

    def as_doors(self) -> Doors:
        return Doors(self, self.open_browser, self.prompt, self.told.append)

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.told]


async def consents(desk: Desk) -> None:
    desk.judge(OURS, Way.PAGE)


async def does_nothing(desk: Desk) -> None:
    return


async def run(
    service: PaperService, user: User = consents, *, timeout: float = 5, if_exists: IfExists = IfExists.KEEP
) -> tuple[Linked, PaperDoors]:
    doors = PaperDoors(user)
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    return await link(request, service, doors.as_doors()), doors


async def failed(
    error: type[OAuthHelperError],
    service: PaperService,
    user: User = consents,
    *,
    timeout: float = 5,
    if_exists: IfExists = IfExists.KEEP,
) -> tuple[OAuthHelperError, PaperDoors]:
    doors = PaperDoors(user)
    request = LinkRequest(RepoType.GITHUB, NAME, "intl", if_exists, timeout)
    with pytest.raises(error) as raised:
        await link(request, service, doors.as_doors())
    assert doors.told[-1] == Failed(raised.value)
    if doors.outcome:
        assert await doors.outcome == Failed(raised.value), "the page tells what the caller is told"
    return raised.value, doors


async def test_a_link_checks_asks_waits_and_exchanges_in_this_order() -> None:
    service = PaperService()
    linked, doors = await run(service)
    assert linked == Linked(CREATED)
    assert service.calls == ["list", "url github intl", "create github my-auth planted-code True intl"]
    assert doors.kinds() == [Checked, Waiting, Captured, Exchanging, Linked]
    assert doors.outcome
    assert await doors.outcome == linked


async def test_the_waiting_event_has_the_addresses_and_the_deadline() -> None:
    _, doors = await run(PaperService(), timeout=60)
    waiting = next(event for event in doors.told if isinstance(event, Waiting))
    assert waiting.listener == "http://127.0.0.1:1/start?k=KEY"
    assert waiting.authorization_url == AUTHORIZATION_URL
    assert timedelta(seconds=55) < waiting.expires_at - datetime.now(UTC) <= timedelta(seconds=60)


async def test_a_standing_authorization_is_kept_and_no_state_is_spent() -> None:
    service = PaperService([STANDING])
    linked, doors = await run(service)
    assert linked == Linked(STANDING, kept=True)
    assert service.calls == ["list"]
    assert doors.kinds() == [Checked, Linked]


async def test_replace_deletes_right_before_the_exchange() -> None:
    service = PaperService([STANDING])
    linked, doors = await run(service, if_exists=IfExists.REPLACE)
    assert linked == Linked(CREATED)
    assert [call.split()[0] for call in service.calls] == ["list", "url", "delete", "create"]
    assert Deleted(NAME) in doors.told


@pytest.mark.parametrize(
    ("standing", "if_exists", "words"),
    [
        (STANDING, IfExists.FAIL, "exists already"),
        (Authorization(NAME, "gitlab", status=0), IfExists.KEEP, "it is of type gitlab"),
        (Authorization(NAME, "", status=0), IfExists.KEEP, "it is of type"),
        (Authorization(NAME, "github", status=1), IfExists.KEEP, "does not work"),
        (Authorization(NAME, "github", status=2), IfExists.KEEP, "does not work"),
    ],
)
async def test_a_name_in_the_way_is_told_before_a_state_is_spent(
    standing: Authorization, if_exists: IfExists, words: str
) -> None:
    service = PaperService([Authorization("other", "github"), standing])
    error, _ = await failed(NameTakenError, service, if_exists=if_exists)
    assert words in error.message
    assert "--if-exists replace" in error.hint
    assert service.calls == ["list"]


async def test_an_account_that_may_not_list_goes_on_with_a_warning() -> None:
    service = PaperService(fails={"list": NotPermittedError("no", code="SVCSTG.00100403")})
    linked, doors = await run(service)
    assert linked == Linked(CREATED)
    assert isinstance(doors.told[0], Warned)


@pytest.mark.parametrize("code", ["APIGW.0302", "APIGW.0402"])
async def test_a_gateway_that_refuses_everything_ends_it(code: str) -> None:
    service = PaperService(fails={"list": NotPermittedError("no", code=code)})
    error, _ = await failed(NotPermittedError, service)
    assert error.exit_status == 3
    assert service.calls == ["list"]


async def test_a_strangers_redirect_never_ends_the_wait_and_is_counted() -> None:
    async def stranger_first(desk: Desk) -> None:
        for offered in (redirect(code="evil", state="other"), redirect(error="access_denied", state="x"), "hello"):
            with pytest.raises(RedirectRejectedError):
                desk.judge(offered, Way.PAGE)
        with pytest.raises(RedirectRejectedError):
            desk.judge_query("code=evil&state=other", Way.DIRECT)
        desk.judge_query(f"code=planted-code&state={ENCODED_STATE}", Way.DIRECT)

    linked, doors = await run(PaperService(), stranger_first)
    assert linked == Linked(CREATED)
    ignored = [event for event in doors.told if isinstance(event, Ignored)]
    assert ignored == [
        Ignored("foreign-state", 1),
        Ignored("foreign-state", 2),
        Ignored("no-redirect", 1),
        Ignored("foreign-state", 3),
    ]
    assert Captured(Way.DIRECT) in doors.told


async def test_the_first_of_several_redirects_wins_and_there_is_one_exchange() -> None:
    async def twice(desk: Desk) -> None:
        desk.judge(OURS, Way.PAGE)
        desk.judge(redirect(code="second", state=STATE), Way.DIRECT)
        desk.judge(redirect(error="access_denied", state=STATE), Way.DIRECT)

    service = PaperService()
    linked, doors = await run(service, twice)
    assert linked == Linked(CREATED)
    assert [call for call in service.calls if "create" in call] == ["create github my-auth planted-code True intl"]
    assert doors.kinds().count(Captured) == 1


async def test_a_denial_ends_it_with_the_hosts_words() -> None:
    async def denies(desk: Desk) -> None:
        desk.judge(redirect(error="access_denied", error_description="no thanks", state=STATE), Way.PAGE)

    service = PaperService()
    error, _ = await failed(AuthorizationDeniedError, service, denies)
    assert error.exit_status == 4
    assert "no thanks" in error.message
    assert not [call for call in service.calls if "create" in call]


async def test_the_deadline_ends_the_wait() -> None:
    error, _ = await failed(DeadlineError, PaperService(), does_nothing, timeout=0.05)
    assert error.exit_status == 5


async def test_a_browser_that_was_demanded_and_cannot_be_had_ends_the_wait() -> None:
    async def cannot(desk: Desk) -> None:
        raise NoBrowserError("none")

    error, _ = await failed(NoBrowserError, PaperService(), cannot)
    assert error.exit_status == 9


async def test_a_fault_while_opening_ends_the_wait_too() -> None:
    async def breaks(desk: Desk) -> None:
        raise ZeroDivisionError

    doors = PaperDoors(breaks)
    with pytest.raises(ZeroDivisionError):
        await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())


async def test_what_is_pasted_into_the_terminal_is_judged_and_the_prompt_closed_before_the_exchange() -> None:
    closed: list[list[type[Event]]] = []
    doors = PaperDoors(does_nothing)

    @asynccontextmanager
    async def prompt(offer: Callable[[str], None]) -> AsyncIterator[None]:
        with pytest.raises(RedirectRejectedError):
            offer("nonsense")
        offer(OURS)
        yield
        closed.append(doors.kinds())

    doors.prompt = prompt
    linked = await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())
    assert linked == Linked(CREATED)
    assert Captured(Way.TERMINAL) in doors.told
    assert Exchanging not in closed[0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnreachableError("connection refused", sent=False), "could not be asked"),
        (UnusableAnswerError("status 502", sent=True, code="APIGW.0201", request_id="r-1"), "no usable answer"),
    ],
)
async def test_an_exchange_without_a_plain_answer_is_an_unknown_outcome(error: OAuthHelperError, words: str) -> None:
    service = PaperService([STANDING], fails={"create": error})
    unknown, _ = await failed(OutcomeUnknownError, service, if_exists=IfExists.REPLACE)
    assert unknown.exit_status == 8
    assert words in unknown.message
    assert "is deleted" in unknown.message
    assert (unknown.code, unknown.request_id) == (error.code, error.request_id)
    assert f"show {NAME}" in unknown.hint


async def test_a_refused_exchange_says_what_is_gone() -> None:
    fails: dict[str, OAuthHelperError] = {"create": CodeOrStateInvalidError("used", code="SVCSTG.REPO.0402")}
    error, _ = await failed(CodeOrStateInvalidError, PaperService(fails=fails))
    assert "deleted" not in error.message
    service = PaperService([STANDING], fails={"create": CodeOrStateInvalidError("used", code="SVCSTG.REPO.0402")})
    error, _ = await failed(CodeOrStateInvalidError, service, if_exists=IfExists.REPLACE)
    assert error.exit_status == 6
    assert f"{NAME} is deleted" in error.message


async def test_a_refused_deletion_leaves_the_redirect_unspent() -> None:
    service = PaperService([STANDING], fails={f"delete {NAME}": NotPermittedError("no")})
    error, _ = await failed(NotPermittedError, service, if_exists=IfExists.REPLACE)
    assert "is deleted" not in error.message
    assert not [call for call in service.calls if "create" in call]


async def test_an_authorization_url_that_cannot_be_used_ends_it_before_a_browser_opens() -> None:
    class OddService(PaperService):
        async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
            return "http://github.com/?state=1"

    error, doors = await failed(UnusableAnswerError, OddService())
    assert error.exit_status == 7
    assert doors.desk is None


async def _stopped(service: PaperService, doors: PaperDoors, when: asyncio.Event) -> OAuthHelperError:
    task = asyncio.create_task(link(LinkRequest(RepoType.GITHUB, NAME), service, doors.as_doors()))
    await when.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert doors.outcome
    outcome = await doors.outcome
    assert isinstance(outcome, Failed)
    return outcome.error


async def test_a_stop_while_waiting_tells_the_page_that_nothing_was_created() -> None:
    opened = asyncio.Event()

    async def opens(desk: Desk) -> None:
        opened.set()
        await asyncio.Event().wait()

    error = await _stopped(PaperService(), PaperDoors(opens), opened)
    assert isinstance(error, StoppedError)
    assert "Nothing was created" in error.message


async def test_a_stop_while_exchanging_tells_the_page_that_the_outcome_is_unknown() -> None:
    asked = asyncio.Event()
    error = await _stopped(PaperService(answering=asked), PaperDoors(consents), asked)
    assert isinstance(error, OutcomeUnknownError)


async def test_a_fault_of_ours_does_not_leave_the_page_waiting() -> None:
    class Faulty(PaperService):
        async def create_oauth(self, *args: object, **kwargs: object) -> Authorization:
            raise ZeroDivisionError

    doors = PaperDoors(consents)
    with pytest.raises(ZeroDivisionError):
        await link(LinkRequest(RepoType.GITHUB, NAME), Faulty(), doors.as_doors())
    assert doors.outcome
    outcome = await doors.outcome
    assert isinstance(outcome, Failed)
    assert outcome.error.exit_status == 1


async def test_no_event_but_waiting_shows_a_secret() -> None:
    _, doors = await run(PaperService())
    shown = "".join(repr(event) for event in doors.told if not isinstance(event, Waiting))
    assert "planted-code" not in shown
    assert ENCODED_STATE not in shown
    assert "KEY" not in shown
