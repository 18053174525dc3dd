"""The story where it ends in an error, told with doors of paper: to the caller and the page alike."""

import asyncio
from dataclasses import replace

import pytest
from paper_doors import NAME, STANDING, PaperDoors, PaperService, consents, does_nothing, failed
from redirect_cases import STATE, redirect

from oauth_helper.errors import (
    AuthorizationDeniedError,
    CodeOrStateInvalidError,
    DeadlineError,
    NameTakenError,
    NoBrowserError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    StoppedError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.events import Deleted, Event, Failed, Linked, Way
from oauth_helper.i18n import _
from oauth_helper.link_steps import link
from oauth_helper.models import Authorization, IfExists, LinkRequest, RepoType
from oauth_helper.receiver import RedirectReceiver


@pytest.mark.parametrize(
    ("existing", "if_exists", "words"),
    [
        (STANDING, IfExists.FAIL, "exists already"),
        (Authorization(NAME, "gitlab", status=0), IfExists.KEEP, "it is of type gitlab"),
        (Authorization(NAME, "", status=0), IfExists.KEEP, "it is of type"),
        (Authorization(NAME, "github", status=1), IfExists.KEEP, "does not work"),
        (Authorization(NAME, "github", status=2), IfExists.KEEP, "does not work"),
    ],
)
async def test_a_name_in_the_way_is_told_before_a_state_is_spent(
    existing: Authorization, if_exists: IfExists, words: str
) -> None:
    service = PaperService([Authorization("other", "github"), existing])
    error, _ = await failed(NameTakenError, service, if_exists=if_exists)
    assert words in error.message
    assert "--if-exists replace" in error.hint
    assert service.calls == ["list"]


@pytest.mark.parametrize("code", ["APIGW.0302", "APIGW.0402"])
async def test_a_gateway_that_refuses_everything_ends_it(code: str) -> None:
    service = PaperService(fails={"list": NotPermittedError(_("no"), code=code)})
    error, _unused = await failed(NotPermittedError, service)
    assert error.exit_status == 3
    assert service.calls == ["list"]


async def test_a_denial_ends_it_with_the_hosts_words() -> None:
    async def denies(receiver: RedirectReceiver) -> None:
        receiver.judge(redirect(error="access_denied", error_description="no thanks", state=STATE), Way.PAGE)

    service = PaperService()
    error, _ = await failed(AuthorizationDeniedError, service, denies)
    assert error.exit_status == 4
    assert "no thanks" in error.message
    assert not [call for call in service.calls if "create" in call]


async def test_the_deadline_ends_the_wait() -> None:
    error, _ = await failed(DeadlineError, PaperService(), does_nothing, timeout=0.05)
    assert error.exit_status == 5


async def test_a_browser_that_was_demanded_and_cannot_be_had_ends_the_wait() -> None:
    async def cannot(receiver: RedirectReceiver) -> None:
        raise NoBrowserError(_("none"))

    error, _unused = await failed(NoBrowserError, PaperService(), cannot)
    assert error.exit_status == 9


async def test_a_fault_while_opening_ends_the_wait_too() -> None:
    async def breaks(receiver: RedirectReceiver) -> None:
        raise ZeroDivisionError

    doors = PaperDoors(breaks)
    with pytest.raises(ZeroDivisionError):
        await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnreachableError(_("connection refused"), sent=False), "could not be asked"),
        (UnusableAnswerError(_("status 502"), sent=True, code="APIGW.0201", request_id="r-1"), "is not known"),
    ],
)
async def test_an_exchange_without_a_plain_answer_is_an_unknown_outcome(error: OAuthHelperError, words: str) -> None:
    service = PaperService([STANDING], fails={"create": error})
    unknown, _unused = await failed(OutcomeUnknownError, service, if_exists=IfExists.REPLACE)
    assert unknown.exit_status == 8
    assert words in unknown.message
    assert "is deleted" in unknown.message
    assert (unknown.code, unknown.request_id) == (error.code, error.request_id)
    assert f"show {NAME}" in unknown.hint


async def test_a_refused_exchange_says_what_is_gone() -> None:
    fails: dict[str, OAuthHelperError] = {"create": CodeOrStateInvalidError(_("used"), code="SVCSTG.REPO.0402")}
    error, _unused = await failed(CodeOrStateInvalidError, PaperService(fails=fails))
    assert "deleted" not in error.message
    service = PaperService([STANDING], fails={"create": CodeOrStateInvalidError(_("used"), code="SVCSTG.REPO.0402")})
    error, _unused = await failed(CodeOrStateInvalidError, service, if_exists=IfExists.REPLACE)
    assert error.exit_status == 6
    assert f"{NAME} is deleted" in error.message


async def test_a_refused_deletion_leaves_the_redirect_unspent() -> None:
    service = PaperService([STANDING], fails={f"delete {NAME}": NotPermittedError(_("no"))})
    error, _unused = await failed(NotPermittedError, service, if_exists=IfExists.REPLACE)
    assert "is deleted" not in error.message
    assert not [call for call in service.calls if "create" in call]


async def test_an_authorization_url_that_cannot_be_used_ends_it_before_a_browser_opens() -> None:
    class OddService(PaperService):
        async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
            return "http://github.com/?state=1"

    error, doors = await failed(UnusableAnswerError, OddService())
    assert error.exit_status == 7
    assert doors.receiver is None


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

    async def opens(receiver: RedirectReceiver) -> None:
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


async def test_a_deletion_without_a_plain_answer_is_no_creation() -> None:
    service = PaperService([STANDING], fails={f"delete {NAME}": UnreachableError(_("reset"), sent=True)})
    error, doors = await failed(OutcomeUnknownError, service, if_exists=IfExists.REPLACE)
    assert "asked to delete the authorization named my-auth, but whether it did is not known, so none" in error.message
    assert str(error) == error.message
    assert not [call for call in service.calls if "create" in call]
    assert not [event for event in doors.told if isinstance(event, Deleted)]


async def test_a_second_denial_takes_nothing_of_the_first_back() -> None:
    async def denies_twice(receiver: RedirectReceiver) -> None:
        for _unused in range(2):
            receiver.judge(redirect(error="access_denied", state=STATE), Way.PAGE)
        assert receiver.was_answered

    _, doors = await failed(AuthorizationDeniedError, PaperService(), denies_twice)
    assert doors.kinds().count(Failed) == 1


async def test_a_listener_that_breaks_while_it_is_told_breaks_nothing_else() -> None:
    doors = PaperDoors(consents)

    def tell(event: Event) -> None:
        if isinstance(event, Linked):
            raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), replace(doors.as_doors(), tell=tell))
    assert doors.outcome
    assert isinstance(await doors.outcome, Linked)
