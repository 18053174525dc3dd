"""The steps of a link, with a ServiceStage in memory and a user in place of the browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from link.fake_link import (
    OURS,
    FakeService,
    FakeSession,
    User,
    consents,
    does_nothing,
    fail_with,
    journal_with,
    link_with,
)
from link.scripted_service import CREATED, EXISTING, HURRIED, NAME
from msgspec.structs import replace
from support.redirect_cases import AUTHORIZATION_URL, ENCODED_STATE, STATE, redirect
from yarl import URL

from oauth_helper.credentials import GitCredential, PersonalToken, UserPassword
from oauth_helper.errors import (
    AuthorizationDeniedError,
    CodeOrStateInvalidError,
    DeadlineError,
    NameTakenError,
    NoBrowserError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    RefusedError,
    StoppedError,
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
    Waiting,
    Warned,
    Way,
)
from oauth_helper.i18n import _
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_directly
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.receiver import RedirectReceiver
from oauth_helper.secret import Secret

DENIED = redirect(error="access_denied", error_description="no thanks", state=STATE)


async def test_the_steps_happen_in_order() -> None:
    service, session = FakeService(), FakeSession()
    linked = await link_with(session, service)
    assert linked == Linked(CREATED)
    calls = ["list", "url github intl", "ready", "over", "create github my-auth planted-code True intl"]
    assert service.calls == calls, "a connection is kept ready while the user is in the browser"
    assert session.kinds() == [Checked, Waiting, Captured, Exchanging, Linked]
    assert session.outcome
    assert await session.outcome == linked


async def test_the_waiting_event_has_the_addresses_and_the_deadline_and_no_other_event_has_a_secret() -> None:
    session = FakeSession()
    await link_with(session, FakeService(), timeout=60)
    waiting = next(event for event in session.told if isinstance(event, Waiting))
    assert [waiting.listener] == session.opened
    assert waiting.authorization_url == AUTHORIZATION_URL
    assert timedelta(seconds=55) < waiting.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    shown = "".join(repr(event) for event in session.told if event is not waiting)
    for secret in ("planted-code", ENCODED_STATE, URL(waiting.listener).query["k"]):
        assert secret not in shown


async def test_an_existing_authorization_is_kept_even_if_no_browser_can_be_opened() -> None:
    service, session = FakeService([EXISTING]), FakeSession(browser="/no/such/browser")
    assert await link_with(session, service) == Linked(EXISTING, kept=True)
    assert service.calls == ["list"]
    assert session.kinds() == [Checked, Linked]


async def test_a_browser_that_is_not_available_fails_the_link_before_the_user_is_asked() -> None:
    session = FakeSession(browser="/no/such/browser")
    with pytest.raises(NoBrowserError) as raised:
        await link_with(session, FakeService())
    assert session.told[-1] == Failed(raised.value)
    assert not session.opened


async def test_replace_deletes_right_before_the_exchange() -> None:
    service, session = FakeService([EXISTING]), FakeSession()
    assert await link_with(session, service, if_exists=IfExists.REPLACE) == Linked(CREATED)
    assert [call.split()[0] for call in service.requests] == ["list", "url", "delete", "create"]
    assert Deleted(NAME) in session.told
    gone = FakeService([EXISTING], fails={"delete": NoSuchAuthorizationError(_("gone"))})
    assert await link_with(FakeSession(), gone, if_exists=IfExists.REPLACE) == Linked(CREATED)


async def test_an_account_that_may_not_list_continues_with_a_warning() -> None:
    service = FakeService(fails={"list": NotPermittedError(_("no"), code="SVCSTG.00100403")})
    session = FakeSession()
    assert await link_with(session, service) == Linked(CREATED)
    assert isinstance(session.told[0], Warned)


async def test_a_foreign_redirect_never_ends_the_wait_and_is_counted() -> None:
    async def foreign_first(receiver: RedirectReceiver) -> None:
        for offered in (redirect(code="evil", state="other"), redirect(error="access_denied", state="x"), "hello"):
            with pytest.raises(RedirectRejectedError):
                receiver.judge(offered, Way.PAGE)
        with pytest.raises(RedirectRejectedError):
            receiver.judge_query("code=evil&state=other", Way.DIRECT)
        receiver.judge_query(f"code=planted-code&state={ENCODED_STATE}", Way.DIRECT)

    session = FakeSession(foreign_first)
    assert await link_with(session, FakeService()) == Linked(CREATED)
    ignored = [(event.reason, event.count) for event in session.told if isinstance(event, Ignored)]
    assert ignored == [("foreign-state", 1), ("foreign-state", 2), ("no-redirect", 1), ("foreign-state", 3)]
    assert Captured(Way.DIRECT) in session.told


async def test_the_first_of_several_redirects_wins_and_there_is_one_exchange() -> None:
    async def several(receiver: RedirectReceiver) -> None:
        for offered in (OURS, redirect(code="second", state=STATE), redirect(error="access_denied", state=STATE)):
            receiver.judge(offered, Way.PAGE)

    service, session = FakeService(), FakeSession(several)
    assert await link_with(session, service) == Linked(CREATED)
    assert [call for call in service.calls if "create" in call] == ["create github my-auth planted-code True intl"]
    assert session.kinds().count(Captured) == 1


async def test_what_is_pasted_is_judged_and_the_prompt_closes_before_the_exchange() -> None:
    told_when_closed: list[type[Event]] = []

    @asynccontextmanager
    async def prompt(offer: Callable[[str], None]) -> AsyncIterator[None]:
        with pytest.raises(RedirectRejectedError):
            offer("nonsense")
        offer(OURS)
        yield
        told_when_closed.extend(session.kinds())

    session = FakeSession(does_nothing, prompt=prompt)
    assert await link_with(session, FakeService()) == Linked(CREATED)
    assert Captured(Way.TERMINAL) in session.told
    assert Exchanging not in told_when_closed


@pytest.mark.parametrize(
    ("existing", "if_exists", "words"),
    [
        (EXISTING, IfExists.FAIL, "already exists"),
        (Authorization(NAME, "gitlab", status=0), IfExists.KEEP, "already exists, of type gitlab"),
        (Authorization(NAME, "", status=0), IfExists.KEEP, "already exists, of type"),
        (Authorization(NAME, "github", status=1), IfExists.KEEP, "does not work"),
        (Authorization(NAME, "github", status=2), IfExists.KEEP, "does not work"),
    ],
)
async def test_a_taken_name_fails_the_link_before_a_state_is_used(
    existing: Authorization, if_exists: IfExists, words: str
) -> None:
    service = FakeService([Authorization("other", "github"), existing])
    error, _session = await fail_with(NameTakenError, service, if_exists=if_exists)
    assert words in error.message
    assert "--if-exists replace" in error.hint
    assert service.calls == ["list"]


@pytest.mark.parametrize("code", ["APIGW.0302", "APIGW.0402"])
async def test_a_gateway_that_refuses_every_call_fails_the_link(code: str) -> None:
    service = FakeService(fails={"list": NotPermittedError(_("no"), code=code)})
    error, _session = await fail_with(NotPermittedError, service)
    assert error.exit_status == 3
    assert service.calls == ["list"]


async def denies_twice(receiver: RedirectReceiver) -> None:
    for _number in range(2):
        receiver.judge(DENIED, Way.PAGE)
    assert receiver.was_answered


async def has_no_browser(receiver: RedirectReceiver) -> None:
    raise NoBrowserError(_("none"))


@pytest.mark.parametrize(
    ("user", "kind", "status", "words"),
    [
        (denies_twice, AuthorizationDeniedError, 4, "You denied access"),
        (has_no_browser, NoBrowserError, 9, "none"),
        (does_nothing, DeadlineError, 5, "Timed out waiting for you to authorize (0.2 s)"),
    ],
)
async def test_the_wait_ends_with_a_denial_without_a_browser_and_at_the_deadline(
    user: User, kind: type[OAuthHelperError], status: int, words: str
) -> None:
    service = FakeService()
    error, session = await fail_with(kind, service, user, timeout=0.2)
    assert error.exit_status == status
    assert words in error.message
    assert not [call for call in service.calls if "create" in call]
    assert session.kinds().count(Failed) == 1


async def test_an_unusable_authorization_url_fails_the_link_before_a_browser_opens() -> None:
    error, session = await fail_with(UnusableAnswerError, FakeService(url="http://github.com/?state=1"))
    assert error.exit_status == 7
    assert session.receiver is None


async def stopped(service: FakeService, session: FakeSession, when: asyncio.Event) -> OAuthHelperError:
    task = asyncio.create_task(link_with(session, service))
    await when.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return await error_on_page(session)


async def error_on_page(session: FakeSession) -> OAuthHelperError:
    assert session.outcome
    outcome = await session.outcome
    assert isinstance(outcome, Failed)
    return outcome.error


async def test_a_stop_while_waiting_tells_the_page_that_nothing_was_created() -> None:
    opened = asyncio.Event()

    async def opens(receiver: RedirectReceiver) -> None:
        opened.set()
        await asyncio.Event().wait()

    error = await stopped(FakeService(), FakeSession(opens), opened)
    assert isinstance(error, StoppedError)
    assert "Nothing was created" in error.message


@pytest.mark.parametrize(("journal", "words"), [(None, "Run the command again"), (journal_with(), "resume")])
async def test_a_stop_while_exchanging_tells_the_page_that_the_outcome_is_unknown(
    journal: Journal | None, words: str
) -> None:
    asked = asyncio.Event()
    error = await stopped(FakeService(is_creating=asked), FakeSession(journal=journal), asked)
    assert isinstance(error, OutcomeUnknownError)
    assert words in error.hint


async def breaks(receiver: RedirectReceiver) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("service", "user"), [(FakeService(), breaks), (FakeService(fails={"create": ZeroDivisionError()}), consents)]
)
async def test_a_fault_of_ours_is_reported_to_the_page_too(service: FakeService, user: User) -> None:
    session = FakeSession(user)
    with pytest.raises(ZeroDivisionError):
        await link_with(session, service)
    assert (await error_on_page(session)).exit_status == 1


async def test_an_exception_of_the_callers_tell_changes_no_outcome() -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Linked):
            raise KeyError("the caller's own")

    session = FakeSession(tell=tell)
    with pytest.raises(KeyError, match="the caller's own"):
        await link_with(session, FakeService())
    assert session.outcome
    assert isinstance(await session.outcome, Linked)


@dataclass
class ScriptedService(FakeService):
    """Another user takes the name after the check, or ServiceStage refuses, as the test says."""

    taken_by: Authorization = EXISTING
    creates: tuple[OAuthHelperError | None, ...] = ()
    """The errors of the first calls."""

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        done = sum(call.startswith("create") for call in self.calls)
        if done < len(self.creates) and (error := self.creates[done]):
            self.calls.append("create")
            if isinstance(error, NameTakenError):
                self.existing = [self.taken_by]
            raise error
        return await super().create_oauth(repo_type, name=name, code=code, state=state, tag=tag)

    async def delete_authorization(self, name: str) -> None:
        await super().delete_authorization(name)
        self.existing = []


TAKEN = NameTakenError(_("taken"))
BUSY = UnusableAnswerError(_("busy"), sent=True, status=503)
USED = CodeOrStateInvalidError(_("used"))


async def test_an_authorization_that_was_created_meanwhile_is_kept_or_replaced() -> None:
    kept = await link_with(FakeSession(), ScriptedService(creates=(TAKEN,)))
    assert kept == Linked(EXISTING, kept=True)
    service = ScriptedService(creates=(TAKEN,))
    assert await link_with(FakeSession(), service, if_exists=IfExists.REPLACE) == Linked(CREATED)
    after_the_refusal = service.calls[service.calls.index("create") + 1 :]
    assert [call.split()[0] for call in after_the_refusal] == ["list", "delete", "create"], "without a wait"


@pytest.mark.parametrize(
    ("service", "if_exists", "calls"),
    [
        (ScriptedService(creates=(TAKEN,)), IfExists.FAIL, "list url create"),
        (
            ScriptedService(creates=(TAKEN,), taken_by=replace(EXISTING, repo_type="gitlab")),
            IfExists.KEEP,
            "list url create list",
        ),
        (
            ScriptedService([EXISTING], creates=(TAKEN, TAKEN), taken_by=replace(EXISTING, create_time=5)),
            IfExists.REPLACE,
            "list url delete create list",
        ),
        (
            ScriptedService(creates=(BUSY, TAKEN), taken_by=replace(EXISTING, repo_type="gitlab")),
            IfExists.REPLACE,
            "list url create list create list list",
        ),
    ],
    ids=["fail", "another type", "taken again after the deletion", "the code may be used"],
)
async def test_an_authorization_that_was_created_meanwhile_and_may_not_be_touched_fails_the_link(
    service: ScriptedService, if_exists: IfExists, calls: str
) -> None:
    with pytest.raises(NameTakenError):
        await link_with(FakeSession(), service, if_exists=if_exists)
    assert " ".join(call.split()[0] for call in service.requests) == calls


async def test_a_user_who_may_not_list_and_runs_the_command_again_is_not_blocked_by_an_unknown_outcome() -> None:
    service = FakeService(fails={"list": NotPermittedError(_("may not list"))})
    now = datetime.now(UTC)
    target = Target(service.endpoint, service.project_id, NAME)
    sent = Pending(target, RepoType.GITHUB, now, Secret("earlier-code"), Secret("earlier-state"), sent_at=now)
    session = FakeSession(journal=journal_with(sent))
    assert await link_with(session, service) == Linked(CREATED)
    warnings = [event.message for event in session.told if isinstance(event, Warned)]
    assert any("tell whether" in words and "Linking it again" in words for words in warnings)


async def brings(receiver: RedirectReceiver, way: Way = Way.TERMINAL) -> None:
    receiver.judge(redirect(code="c", state=URL(receiver.request.url.reveal()).query["state"]), way)


async def test_a_user_who_starts_over_gets_a_fresh_state() -> None:
    service, session = ScriptedService(creates=(USED,)), FakeSession(brings, starts_over=1)
    assert await link_with(session, service) == Linked(CREATED)
    assert service.calls.count("url github intl") == 2
    assert session.kinds().count(Waiting) == 2


async def test_a_user_who_does_not_start_over_gets_the_refusal() -> None:
    session = FakeSession(brings)
    with pytest.raises(CodeOrStateInvalidError):
        await link_with(session, ScriptedService(creates=(USED,)))
    assert session.refusals == ["used"]


@pytest.mark.parametrize(
    ("way", "opened"), [(Way.PAGE, 1), (Way.TERMINAL, 2), (Way.DIRECT, 2), (Way.DELIVER, 2)], ids=str
)
async def test_starting_over_opens_a_browser_only_if_no_tab_waits(way: Way, opened: int) -> None:
    async def user(receiver: RedirectReceiver) -> None:
        await brings(receiver, way)

    async def waiting_tab() -> None:
        await session.waits_again.wait()
        if session.receiver and len(session.opened) == 1:
            await brings(session.receiver, way)

    session = FakeSession(user, starts_over=1)
    tab = asyncio.create_task(waiting_tab())
    await link_with(session, ScriptedService(creates=(USED,)))
    await tab
    assert len(session.opened) == opened


# Links with a token or password.

TOKEN = PersonalToken(Secret("planted-token"))


async def linked_directly(
    service: FakeService, if_exists: IfExists = IfExists.KEEP, credential: GitCredential = TOKEN
) -> tuple[Linked, list[Event]]:
    told: list[Event] = []
    repo_type = RepoType.GITHUB if isinstance(credential, PersonalToken) else RepoType.BITBUCKET
    request = LinkRequest(repo_type, NAME, if_exists=if_exists)
    return await link_directly(request, credential, service, told.append, timing=HURRIED), told


@pytest.mark.parametrize(
    ("existing", "if_exists", "requests"),
    [
        ([], IfExists.KEEP, "list create"),
        ([EXISTING], IfExists.KEEP, "list"),
        ([EXISTING], IfExists.REPLACE, "list delete create"),
    ],
)
async def test_a_direct_link_checks_the_name_and_opens_no_browser(
    existing: list[Authorization], if_exists: IfExists, requests: str
) -> None:
    service = FakeService(existing)
    linked, told = await linked_directly(service, if_exists)
    assert linked == told[-1] == (Linked(CREATED) if "create" in requests else Linked(EXISTING, kept=True))
    assert " ".join(call.split()[0] for call in service.calls) == requests


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (TOKEN, "repo and admin:repo_hook"),
        (PersonalToken(Secret("planted-token"), "https://git.example"), "--host"),
        (UserPassword("octocat", Secret("planted-password")), "API token only"),
    ],
    ids=["token", "token of a private server", "password"],
)
async def test_the_hint_says_what_to_check_if_the_credential_is_refused(credential: GitCredential, words: str) -> None:
    service = FakeService(fails={"create": RefusedError(_("no"), code="SVCSTG.REPO.0451")})
    with pytest.raises(RefusedError) as raised:
        await linked_directly(service, credential=credential)
    assert words in raised.value.hint
    assert "planted" not in raised.value.message + raised.value.hint
