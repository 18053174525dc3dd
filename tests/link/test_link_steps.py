"""The steps of a link, with a scripted ServiceStage and a user in place of the browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from link.scripted_link import (
    CREATED,
    EXISTING,
    HURRIED,
    NAME,
    NO_LIST,
    NO_SERVICE,
    OURS,
    REFUSED,
    TAKEN,
    USED,
    Lost,
    MemoryJournal,
    Script,
    User,
    UserSession,
    does_nothing,
    fail_with,
    link_with,
)
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
    script, session = Script(), UserSession()
    linked = await link_with(session, script)
    assert linked == Linked(CREATED)
    assert script.order == "list url create"
    assert script.sent == [{"name": NAME, "code": "planted-code", "state": STATE}]
    assert session.kinds() == [Checked, Waiting, Captured, Exchanging, Linked]
    assert session.outcome
    assert await session.outcome == linked


async def test_the_waiting_event_has_the_addresses_and_the_deadline_and_no_other_event_has_a_secret() -> None:
    session = UserSession()
    await link_with(session, Script(), timeout=60)
    waiting = next(event for event in session.told if isinstance(event, Waiting))
    assert [waiting.listener] == session.opened
    assert waiting.authorization_url == AUTHORIZATION_URL
    assert timedelta(seconds=55) < waiting.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    shown = "".join(repr(event) for event in session.told if event is not waiting)
    for secret in ("planted-code", ENCODED_STATE, URL(waiting.listener).query["k"]):
        assert secret not in shown


async def test_an_existing_authorization_is_kept_even_if_no_browser_can_be_opened() -> None:
    script, session = Script(lists=[[EXISTING]]), UserSession(browser="/no/such/browser")
    assert await link_with(session, script) == Linked(EXISTING, kept=True)
    assert script.order == "list"
    assert session.kinds() == [Checked, Linked]


async def test_a_browser_that_is_not_available_fails_the_link_before_the_user_is_asked() -> None:
    session = UserSession(browser="/no/such/browser")
    with pytest.raises(NoBrowserError) as raised:
        await link_with(session, Script())
    assert session.told[-1] == Failed(raised.value)
    assert not session.opened


@pytest.mark.parametrize("deleted", [204, "SVCSTG.REPO.0450"], ids=["deleted", "deleted by another"])
async def test_replace_deletes_right_before_the_exchange(deleted: int | str) -> None:
    script, session = Script(lists=[[EXISTING]], deletes=[deleted]), UserSession()
    assert await link_with(session, script, if_exists=IfExists.REPLACE) == Linked(CREATED)
    assert script.order == "list url delete create"
    assert Deleted(NAME) in session.told


async def test_an_account_that_may_not_list_continues_with_a_warning() -> None:
    session = UserSession()
    assert await link_with(session, Script(lists=[NO_LIST])) == Linked(CREATED)
    assert isinstance(session.told[0], Warned)


async def test_a_foreign_redirect_never_ends_the_wait_and_is_counted() -> None:
    async def foreign_first(receiver: RedirectReceiver) -> None:
        for offered in (redirect(code="evil", state="other"), redirect(error="access_denied", state="x"), "hello"):
            with pytest.raises(RedirectRejectedError):
                receiver.judge(offered, Way.PAGE)
        with pytest.raises(RedirectRejectedError):
            receiver.judge_query("code=evil&state=other", Way.DIRECT)
        receiver.judge_query(f"code=planted-code&state={ENCODED_STATE}", Way.DIRECT)

    session = UserSession(foreign_first)
    assert await link_with(session, Script()) == Linked(CREATED)
    ignored = [(event.reason, event.count) for event in session.told if isinstance(event, Ignored)]
    assert ignored == [("foreign-state", 1), ("foreign-state", 2), ("no-redirect", 1), ("foreign-state", 3)]
    assert Captured(Way.DIRECT) in session.told


async def test_the_first_of_several_redirects_wins_and_there_is_one_exchange() -> None:
    async def several(receiver: RedirectReceiver) -> None:
        for offered in (OURS, redirect(code="second", state=STATE), redirect(error="access_denied", state=STATE)):
            receiver.judge(offered, Way.PAGE)

    script, session = Script(), UserSession(several)
    assert await link_with(session, script) == Linked(CREATED)
    assert [body["code"] for body in script.sent] == ["planted-code"]
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

    session = UserSession(does_nothing, prompt=prompt)
    assert await link_with(session, Script()) == Linked(CREATED)
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
    script = Script(lists=[[Authorization("other", "github"), existing]])
    error, _session = await fail_with(NameTakenError, script, if_exists=if_exists)
    assert words in error.message
    assert "--if-exists replace" in error.hint
    assert script.order == "list"


async def test_a_gateway_that_refuses_every_call_fails_the_link() -> None:
    script = Script(lists=[NO_SERVICE])
    error, _session = await fail_with(NotPermittedError, script)
    assert error.exit_status == 3
    assert script.order == "list"


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
    script = Script()
    error, session = await fail_with(kind, script, user, timeout=0.2)
    assert error.exit_status == status
    assert words in error.message
    assert script.sent == []
    assert session.kinds().count(Failed) == 1


async def test_an_unusable_authorization_url_fails_the_link_before_a_browser_opens() -> None:
    error, session = await fail_with(UnusableAnswerError, Script(url="http://github.com/?state=1"))
    assert error.exit_status == 7
    assert session.receiver is None


async def stopped(script: Script, session: UserSession, when: asyncio.Event) -> OAuthHelperError:
    task = asyncio.create_task(link_with(session, script))
    await when.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return await error_on_page(session)


async def error_on_page(session: UserSession) -> OAuthHelperError:
    assert session.outcome
    outcome = await session.outcome
    assert isinstance(outcome, Failed)
    return outcome.error


async def test_a_stop_while_waiting_tells_the_page_that_nothing_was_created() -> None:
    opened = asyncio.Event()

    async def opens(receiver: RedirectReceiver) -> None:
        opened.set()
        await asyncio.Event().wait()

    error = await stopped(Script(), UserSession(opens), opened)
    assert isinstance(error, StoppedError)
    assert "Nothing was created" in error.message


@pytest.mark.parametrize(("journal", "words"), [(None, "Run the command again"), (MemoryJournal(), "resume")])
async def test_a_stop_while_exchanging_tells_the_page_that_the_outcome_is_unknown(
    journal: Journal | None, words: str
) -> None:
    script = Script([Lost.HANGS])
    error = await stopped(script, UserSession(journal=journal), script.is_asked)
    assert isinstance(error, OutcomeUnknownError)
    assert words in error.hint


async def breaks(receiver: RedirectReceiver) -> None:
    raise ZeroDivisionError


async def test_a_fault_of_ours_is_reported_to_the_page_too() -> None:
    session = UserSession(breaks)
    with pytest.raises(ZeroDivisionError):
        await link_with(session, Script())
    assert (await error_on_page(session)).exit_status == 1


async def test_an_exception_of_the_callers_tell_changes_no_outcome() -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Linked):
            raise KeyError("the caller's own")

    session = UserSession(tell=tell)
    with pytest.raises(KeyError, match="the caller's own"):
        await link_with(session, Script())
    assert session.outcome
    assert isinstance(await session.outcome, Linked)


async def test_an_authorization_that_was_created_meanwhile_is_kept_or_replaced() -> None:
    kept = await link_with(UserSession(), Script([TAKEN], lists=[[], [EXISTING]]))
    assert kept == Linked(EXISTING, kept=True)
    script = Script([TAKEN, CREATED], lists=[[], [EXISTING]])
    assert await link_with(UserSession(), script, if_exists=IfExists.REPLACE) == Linked(CREATED)
    assert script.order == "list url create list delete create", "without a wait"


OTHER_TYPE = replace(EXISTING, repo_type="gitlab")


@pytest.mark.parametrize(
    ("script", "if_exists", "order"),
    [
        (Script([TAKEN]), IfExists.FAIL, "list url create"),
        (Script([TAKEN], lists=[[], [OTHER_TYPE]]), IfExists.KEEP, "list url create list"),
        (
            Script([TAKEN], lists=[[EXISTING], [replace(EXISTING, create_time=5)]]),
            IfExists.REPLACE,
            "list url delete create list",
        ),
        (Script([TAKEN], lists=[[], [EXISTING]]), IfExists.REPLACE, "list url create list delete create"),
        (
            Script([503, TAKEN], lists=[[], [], [OTHER_TYPE]]),
            IfExists.REPLACE,
            "list url create list create list list",
        ),
    ],
    ids=["fail", "another type", "taken again after the deletion", "taken twice", "the code may be used"],
)
async def test_an_authorization_that_was_created_meanwhile_and_may_not_be_touched_fails_the_link(
    script: Script, if_exists: IfExists, order: str
) -> None:
    with pytest.raises(NameTakenError):
        await link_with(UserSession(), script, if_exists=if_exists)
    assert script.order == order


async def test_a_user_who_may_not_list_and_runs_the_command_again_is_not_blocked_by_an_unknown_outcome() -> None:
    now = datetime.now(UTC)
    target = Target("https://servicestage.example", "project", NAME)
    sent = Pending(target, RepoType.GITHUB, now, Secret("earlier-code"), Secret("earlier-state"), sent_at=now)
    session = UserSession(journal=MemoryJournal(sent))
    assert await link_with(session, Script(lists=[NO_LIST])) == Linked(CREATED)
    warnings = [event.message for event in session.told if isinstance(event, Warned)]
    assert any("tell whether" in words and "Linking it again" in words for words in warnings)


async def brings(receiver: RedirectReceiver, way: Way = Way.TERMINAL) -> None:
    receiver.judge(redirect(code="another-code", state=URL(receiver.request.url.reveal()).query["state"]), way)


async def test_a_user_who_does_not_start_over_gets_the_refusal() -> None:
    session = UserSession(brings)
    with pytest.raises(CodeOrStateInvalidError):
        await link_with(session, Script([USED]))
    assert len(session.refusals) == 1


@pytest.mark.parametrize(("way", "opened"), [(Way.PAGE, 1), (Way.TERMINAL, 2)], ids=str)
async def test_starting_over_opens_a_browser_only_if_no_tab_waits(way: Way, opened: int) -> None:
    async def user(receiver: RedirectReceiver) -> None:
        await brings(receiver, way)

    async def waiting_tab() -> None:
        await session.waits_again.wait()
        if session.receiver and len(session.opened) == 1:
            await brings(session.receiver, way)

    session = UserSession(user, starts_over=1)
    tab = asyncio.create_task(waiting_tab())
    script = Script([USED, CREATED])
    await link_with(session, script)
    await tab
    assert len(session.opened) == opened
    assert script.order.count("url") == session.kinds().count(Waiting) == 2


# Links with a token or password.

TOKEN = PersonalToken(Secret("planted-token"))


async def linked_directly(
    script: Script, if_exists: IfExists = IfExists.KEEP, credential: GitCredential = TOKEN
) -> tuple[Linked, list[Event]]:
    told: list[Event] = []
    repo_type = RepoType.GITHUB if isinstance(credential, PersonalToken) else RepoType.BITBUCKET
    request = LinkRequest(repo_type, NAME, if_exists=if_exists)
    async with script.serving() as service:
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
    script = Script(lists=[existing])
    linked, told = await linked_directly(script, if_exists)
    assert linked == told[-1] == (Linked(CREATED) if "create" in requests else Linked(EXISTING, kept=True))
    assert script.order == requests


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
    with pytest.raises(RefusedError) as raised:
        await linked_directly(Script([REFUSED]), credential=credential)
    assert words in raised.value.hint
    assert "planted" not in raised.value.message + raised.value.hint
