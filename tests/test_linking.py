"""The story, told with doors of paper: no socket, no browser, no terminal."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from paper_doors import CREATED, NAME, OURS, STANDING, PaperDoors, PaperService, consents, does_nothing, run
from support.redirect_cases import AUTHORIZATION_URL, ENCODED_STATE, STATE, redirect

from oauth_helper.errors import (
    AuthorizationDeniedError,
    NoBrowserError,
    NoSuchAuthorizationError,
    NotPermittedError,
    RedirectRejectedError,
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
from oauth_helper.i18n import _
from oauth_helper.link_steps import link
from oauth_helper.models import IfExists, LinkRequest, RepoType
from oauth_helper.receiver import RedirectReceiver


async def test_a_link_checks_asks_waits_and_exchanges_in_this_order() -> None:
    service = PaperService()
    linked, doors = await run(service)
    assert linked == Linked(CREATED)
    assert service.calls == ["list", "url github intl", "create github my-auth planted-code True intl"]
    assert doors.kinds() == [Checked, Waiting, Captured, Exchanging, Linked]
    assert doors.outcome
    assert await doors.outcome == linked


async def test_a_connection_is_kept_ready_as_long_as_the_user_is_waited_for() -> None:
    service = PaperService()

    @asynccontextmanager
    async def kept_ready() -> AsyncIterator[None]:
        service.calls.append("ready")
        yield
        service.calls.append("over")

    doors = replace(PaperDoors(consents).as_doors(), kept_ready=kept_ready)
    await link(LinkRequest(RepoType.GITHUB, NAME), service, doors)
    assert [call.partition(" ")[0] for call in service.calls] == ["list", "url", "ready", "over", "create"]


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


async def test_an_account_that_may_not_list_goes_on_with_a_warning() -> None:
    service = PaperService(fails={"list": NotPermittedError(_("no"), code="SVCSTG.00100403")})
    linked, doors = await run(service)
    assert linked == Linked(CREATED)
    assert isinstance(doors.told[0], Warned)


async def test_a_strangers_redirect_never_ends_the_wait_and_is_counted() -> None:
    async def stranger_first(receiver: RedirectReceiver) -> None:
        for offered in (redirect(code="evil", state="other"), redirect(error="access_denied", state="x"), "hello"):
            with pytest.raises(RedirectRejectedError):
                receiver.judge(offered, Way.PAGE)
        with pytest.raises(RedirectRejectedError):
            receiver.judge_query("code=evil&state=other", Way.DIRECT)
        receiver.judge_query(f"code=planted-code&state={ENCODED_STATE}", Way.DIRECT)

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
    async def twice(receiver: RedirectReceiver) -> None:
        receiver.judge(OURS, Way.PAGE)
        receiver.judge(redirect(code="second", state=STATE), Way.DIRECT)
        receiver.judge(redirect(error="access_denied", state=STATE), Way.DIRECT)

    service = PaperService()
    linked, doors = await run(service, twice)
    assert linked == Linked(CREATED)
    assert [call for call in service.calls if "create" in call] == ["create github my-auth planted-code True intl"]
    assert doors.kinds().count(Captured) == 1


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


async def test_no_event_but_waiting_shows_a_secret() -> None:
    _, doors = await run(PaperService())
    shown = "".join(repr(event) for event in doors.told if not isinstance(event, Waiting))
    assert "planted-code" not in shown
    assert ENCODED_STATE not in shown
    assert "KEY" not in shown


async def test_what_stands_is_kept_even_where_no_browser_can_be_opened() -> None:
    doors = PaperDoors(consents, cannot=NoBrowserError(_("none here")))
    request = LinkRequest(RepoType.GITHUB, NAME)
    assert await link(request, PaperService([STANDING]), doors.as_doors()) == Linked(STANDING, kept=True)
    service = PaperService()
    with pytest.raises(NoBrowserError):
        await link(request, service, doors.as_doors())
    assert service.calls == ["list"], "no state is asked for in vain"
    assert isinstance(doors.told[-1], Failed)
    assert not doors.is_open


async def test_a_name_that_is_gone_when_it_is_to_be_replaced_is_free() -> None:
    service = PaperService([STANDING], fails={f"delete {NAME}": NoSuchAuthorizationError(_("gone"))})
    linked, _unused = await run(service, if_exists=IfExists.REPLACE)
    assert linked == Linked(CREATED)


async def test_whoever_brought_the_redirect_sees_the_end_before_the_browser_is_closed() -> None:
    seen: list[Outcome] = []

    async def denies_and_looks(receiver: RedirectReceiver) -> None:
        receiver.judge(redirect(error="access_denied", state=STATE), Way.WINDOW)
        seen.append(await receiver.outcome())

    doors = PaperDoors(denies_and_looks)
    with pytest.raises(AuthorizationDeniedError):
        await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())
    assert seen == [doors.told[-1]]
