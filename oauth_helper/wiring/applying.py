"""Bringing about what a file declares: directly what needs no browser, then the rest in one window."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from oauth_helper.authorization import Authorization
from oauth_helper.declaration import Entry, Method, Step, Verdict, check_steps, plan_steps
from oauth_helper.errors import AuthorizationDeniedError, NotPermittedError, OAuthHelperError, RefusedError, UsageError
from oauth_helper.events import Event, Failed, Linked, Outcome, Warned, warning_once
from oauth_helper.journal import Journal
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import phrase
from oauth_helper.servicestage import ServiceStageClient
from oauth_helper.settings import DEFAULT_TIMEOUT
from oauth_helper.standing import is_list_alone_refused
from oauth_helper.wiring.direct_links import run_direct_link
from oauth_helper.wiring.links import run_link
from oauth_helper.wiring.plan import How, plan_opening
from oauth_helper.wiring.sitting import Sitting
from oauth_helper.wiring.ways import Ways

_AT_ONCE: Final = 4
"""Requests to ServiceStage: it throttles, and does so for the whole account."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one entry."""

    entry: Entry
    outcome: Outcome
    """:class:`~oauth_helper.events.Linked` or :class:`~oauth_helper.events.Failed`."""


async def apply(
    service: ServiceStageClient,
    entries: Iterable[Entry],
    *,
    environ: Mapping[str, str] = os.environ,
    browser: str = "auto",
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline for each, told with an error of its own
    tell: Callable[[Event], None] = lambda _event: None,
) -> list[Applied]:
    """Bring about all entries that are missing; return what came of each, in the order in which it did.

    An entry that fails raises nothing: see its ``outcome``. After one that would fail the next ones too, these are left
    out of what is returned.

    Args:
        service: An open client.
        entries: What is to stand; :func:`parse_declaration` reads them of a file's text.
        environ: Where the secrets are that the entries name.
        browser: As for :func:`link`.
        timeout: Seconds to wait for the user, for each entry.
        tell: Called with each event of the stories in the browser.

    Raises:
        NameTakenError: Something stands in the way of an entry. Nothing was done.
        CredentialsError: A secret is set nowhere, or those of the client are refused. Nothing was done.
        UsageError: A secret can be no token or password. Nothing was done.
        UnavailableError: What stands could not be listed. Nothing was done.
    """
    listed = await list_if_permitted(service, tell)
    steps = plan_steps(entries, listed or [])
    check_steps(steps, environ)
    results: list[Applied] = []
    ways = Ways(browser=browser, environ=without_secrets(environ, [step.entry for step in steps]))
    journal = Journal.of_the_user()
    applying = Applying(
        *(service, ways, tell, results.append),
        environ=environ,
        journal=journal,
        timeout=timeout,
        may_list=listed is not None,
    )
    await applying.carry_out(steps)
    return results


async def list_if_permitted(service: ServiceStageClient, tell: Callable[[Event], None]) -> list[Authorization] | None:
    """Return what exists; None, after a warning, if this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(Warned(phrase("This account may not list authorizations, so it is not known which of them exist.")))
    return None


def without_secrets(environ: Mapping[str, str], entries: Iterable[Entry]) -> dict[str, str]:
    """Return what a browser is to inherit: not the secrets that entries name."""
    named = {entry.secret for entry in entries}
    return {name: value for name, value in environ.items() if name not in named}


class Applying:
    """Goes through the steps of a plan; what an entry comes to is told at once.

    A refusal, the Git host's, ServiceStage's or our own, ends its entry alone; whatever else fails would fail the next
    ones too, and they are left for the next run.

    Args:
        service: An open client.
        ways: By which ways redirects may come.
        tell: Called with each event of each story.
        done: Called with each result.
        environ: Where the secrets are that the entries name.
        journal: Where redirects are written down; None: nowhere.
        timeout: Seconds to wait for the user, for each entry.
        may_list: Whether this account may list.
    """

    def __init__(
        self,
        service: ServiceStageClient,
        ways: Ways,
        tell: Callable[[Event], None],
        done: Callable[[Applied], None],
        *,
        environ: Mapping[str, str],
        journal: Journal | None,
        timeout: float,
        may_list: bool = True,
    ) -> None:
        self._service = service
        self._ways = ways
        self._tell = warning_once(tell)
        self._done = done
        self._environ = environ
        self._journal = journal
        self._timeout = timeout
        self._may_list = may_list
        self._is_over = False

    async def carry_out(self, steps: Sequence[Step]) -> None:
        """Bring about what is missing."""
        for step in steps:
            if step.verdict is Verdict.KEEP and step.standing:
                self._done(Applied(step.entry, Linked(step.standing, kept=True)))
        missing = [step.entry for step in steps if step.verdict is Verdict.CREATE]
        await self._all_directly([entry for entry in missing if entry.method is not Method.OAUTH])
        in_browser = [entry for entry in missing if entry.method is Method.OAUTH]
        if in_browser and not self._is_over:
            try:
                await self._all_in_browser(in_browser)
            except OAuthHelperError as error:  # no browser where one was demanded, or no port: before the first of them
                self._done(Applied(in_browser[0], Failed(error)))

    async def _all_directly(self, entries: Sequence[Entry]) -> None:
        left = iter(entries)

        async def work() -> None:
            while not self._is_over and (entry := next(left, None)):
                await self._one(entry, self._directly(entry))

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(_AT_ONCE, len(entries))):
                workers.create_task(work())

    async def _directly(self, entry: Entry) -> Linked:
        request = LinkRequest(entry.repo_type, entry.name, timeout=self._timeout)
        proof = entry.proof(self._environ)
        return await run_direct_link(
            *(request, proof, self._service, self._tell_of_trouble), is_checked=True, may_look=self._may_list
        )

    def _tell_of_trouble(self, event: Event) -> None:
        """Tell what the user should know; the steps of many links at once would make no story."""
        if isinstance(event, Warned):
            self._tell(event)

    async def _all_in_browser(self, entries: Sequence[Entry]) -> None:
        async with AsyncExitStack() as stack:
            sitting: Sitting | None = None
            # Only a window of ours can be led on to the next; another browser opens a tab for each.
            if (await plan_opening(self._ways)).how is How.WINDOW:
                sitting_down = Sitting(self._ways, self._tell, stirs=self._service.expect_request)
                sitting = await stack.enter_async_context(sitting_down)
            for number, entry in enumerate(entries, start=1):
                if self._is_over:
                    return
                link = run_link(
                    LinkRequest(entry.repo_type, entry.name, entry.tag, timeout=self._timeout),
                    self._service,
                    self._ways,
                    self._tell,
                    journal=self._journal,
                    sitting=sitting,
                    more_to_come=number < len(entries),
                )
                await self._one(entry, link)

    async def _one(self, entry: Entry, work: Awaitable[Linked]) -> None:
        try:
            outcome: Outcome = await work
        except OAuthHelperError as error:
            outcome = Failed(error)
            self._is_over |= not isinstance(error, RefusedError | AuthorizationDeniedError | UsageError)
        self._done(Applied(entry, outcome))
