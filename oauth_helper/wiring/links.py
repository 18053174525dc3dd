"""The public ``link()``: open the doors, introduce them to the story, close them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Final

from oauth_helper import linking
from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import Event, Linked, Visited
from oauth_helper.exchange import PACE, Pace
from oauth_helper.journal import Journal
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking import Doors
from oauth_helper.listener import Listener
from oauth_helper.pending import Target
from oauth_helper.servicestage import ServiceStageClient
from oauth_helper.settings import DEFAULT_TIMEOUT
from oauth_helper.wiring.meeting import MeetingPlace
from oauth_helper.wiring.naming import name_for, unknown_choice
from oauth_helper.wiring.opening import Opening
from oauth_helper.wiring.sitting import ListenerForOne, Sitting
from oauth_helper.wiring.ways import Ways

_OWN_BROWSER_KEY: Final = "b"


async def link(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    tag: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    browser: str = "auto",
    port: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline, told with an error of its own
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a Git account to ServiceStage; return the authorization that stands afterwards.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        tag: Site tag, ``intl`` for the international site.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        browser: ``auto``, ``default``, ``chromium``, ``firefox``, a browser's path, or ``none``; with ``none`` the
            addresses are in the event ``Waiting``.
        port: The listener's port on 127.0.0.1; any free one by default.
        timeout: Seconds to wait for the user.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    try:
        request = LinkRequest(RepoType(repo_type), name or name_for(repo_type), tag, IfExists(if_exists), timeout)
    except ValueError:
        raise unknown_choice(repo_type, if_exists) from None
    ways = Ways(browser=browser, port=port)
    linked = await run_link(request, service, ways, tell, journal=Journal.of_the_user())
    return linked.authorization


async def run_link(
    request: LinkRequest,
    service: ServiceStageClient,
    ways: Ways,
    tell: Callable[[Event], None],
    *,
    journal: Journal | None,
    pace: Pace = PACE,
    sitting: Sitting | None = None,
    more_to_come: bool = False,
) -> Linked:
    """Link, and tell whether the authorization stood already; where another run links the same name, end as it does.

    With ``sitting`` its listener and window are used, and left to the next link if there is ``more_to_come``.

    Raises:
        OAuthHelperError: As :func:`link`.
    """
    target = Target(service.endpoint, service.project_id, request.name)
    place = MeetingPlace.of_the_user(target, request.repo_type, tell)
    async with place.claimed_or_joined(request, ways) as joined:
        if joined:
            return joined
        async with _seated(sitting, ways, tell, service) as (listener, opening):
            doors = Doors(
                listener=ListenerForOne(listener, more_to_come=more_to_come) if sitting else listener,
                prepare=opening.prepare,
                open_browser=opening.open,
                prompt=_prompt(ways, opening),
                may_start_over=partial(_may_start_over, ways),
                announced=lambda desk: place.announced(listener.start(good_once=False).address, desk.state),
                journal=journal,
                tell=_with_an_eye_on_visits(tell, service),
                pace=pace,
                kept_ready=service.kept_ready,
            )
            return await linking.link(request, service, doors)


async def _may_start_over(ways: Ways, error: OAuthHelperError) -> bool:
    from oauth_helper.wiring.starting_over import ask_to_start_over  # noqa: PLC0415 - most runs never ask

    return await ask_to_start_over(error, ways)


@asynccontextmanager
async def _seated(
    sitting: Sitting | None, ways: Ways, tell: Callable[[Event], None], service: ServiceStageClient
) -> AsyncIterator[tuple[Listener, Opening]]:
    if sitting:
        yield sitting.listener, sitting.opening
        return
    listener = Listener(ways.port, preference=ways.preference)
    async with Opening(ways, listener, tell, stirs=service.expect_request) as opening:
        yield listener, opening


def _with_an_eye_on_visits(tell: Callable[[Event], None], service: ServiceStageClient) -> Callable[[Event], None]:
    def tell_and_expect(event: Event) -> None:
        if isinstance(event, Visited):
            service.expect_request()
        tell(event)

    return tell_and_expect


def _prompt(ways: Ways, opening: Opening) -> Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]:
    say = ways.say
    if say is None or not ways.has_prompt:
        return lambda _offer: nullcontext()

    from oauth_helper.terminal.prompt import TerminalPrompt  # noqa: PLC0415 - the URL is asked for meanwhile

    def prompt(offer: Callable[[str], None]) -> TerminalPrompt:
        # A Git host or a single sign-on may refuse a window that is driven.
        more = {_OWN_BROWSER_KEY: opening.go_on_in_the_default_browser} if opening.has_window else {}
        return TerminalPrompt(offer=offer, say=say, keys={**ways.keys, **more})

    return prompt
