"""Where runs that would link the same name meet: the first one links, and the others end as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

from oauth_helper.authorization import RepoType, as_argument
from oauth_helper.errors import (
    DeadlineError,
    MachineError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
)
from oauth_helper.events import Event, Failed, Joined, Linked, Outcome, Warned
from oauth_helper.link_request import LinkRequest
from oauth_helper.other_runs import (
    PAUSE,
    Claim,
    Notice,
    RunGoneError,
    claim_or_find,
    deliver,
    noticed,
    outcome,
    runtime_folder,
)
from oauth_helper.pending import Target
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret
from oauth_helper.standing import check_standing
from oauth_helper.wiring.ways import Ways


class MeetingPlace:
    """Where the runs for one target meet. Without a folder for it, each goes on alone."""

    def __init__(self, folder: Path | None, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> None:
        self._folder = folder
        self._target = target
        self._repo_type = repo_type
        self._tell = tell

    @classmethod
    def of_the_user(cls, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> MeetingPlace:
        """Return the one in the user's runtime folder; where that cannot be used, say so."""
        try:
            folder = runtime_folder()
        except MachineError as error:
            tell(of_being_alone(error))
            return cls(None, target, repo_type, tell)
        return cls(folder, target, repo_type, tell)

    @asynccontextmanager
    async def claimed_or_joined(self, request: LinkRequest, ways: Ways) -> AsyncIterator[Linked | None]:
        """Hold the right to link the target within the context; or give what another run that had it has made.

        Raises:
            DeadlineError: That run has not ended in time.
            OAuthHelperError: It ended with that, and to try again at once would end no other way.
        """
        if self._folder is None:
            yield None
            return
        try:
            async with asyncio.timeout(request.timeout):
                claim_or_linked = await self._claim_or_join(self._folder, request, ways)
        except TimeoutError:
            raise self._failed(_still_linked(request.name)) from None
        except OAuthHelperError as error:
            raise self._failed(error) from error.__cause__
        if isinstance(claim_or_linked, Linked):
            self._tell(claim_or_linked)
            yield claim_or_linked
        else:
            with claim_or_linked or nullcontext():
                yield None

    @contextmanager
    def announced(self, listener: str, state: Secret) -> Iterator[None]:
        """Let other runs find this one at the address of its listener, while it waits for ``state``."""
        with ExitStack() as stack:
            try:
                if self._folder:
                    place = noticed(
                        self._folder, self._target, address=listener, repo_type=self._repo_type, state=state
                    )
                    stack.enter_context(place)
            except MachineError as error:
                self._warn_of_being_alone(error)
            yield

    async def _claim_or_join(self, folder: Path, request: LinkRequest, ways: Ways) -> Claim | Linked | None:
        """Return the right to link the target, or what another run made; None where nothing can be claimed here."""
        told = Joined(request.name, can_deliver=False), Joined(request.name)
        untold = [*told]

        def tell(joined: Joined) -> None:
            if joined in untold:  # once, and nothing less after more
                del untold[: untold.index(joined) + 1]
                self._tell(joined)

        while True:
            try:
                claim_or_notice = await claim_or_find(folder, self._target, lambda: tell(told[0]))
            except MachineError as trouble:
                self._warn_of_being_alone(trouble)
                return None
            if isinstance(claim_or_notice, Claim):
                return claim_or_notice
            tell(told[1])
            match await _end_of(claim_or_notice, ways):
                case Linked(authorization):
                    check_standing(request, authorization)
                    return Linked(authorization, kept=True)
                case Failed(error) if not isinstance(error, StoppedError | OutcomeUnknownError):
                    raise error
            # It was stopped, or is gone: as soon as it has closed, it is our turn.
            await asyncio.sleep(PAUSE)

    def _warn_of_being_alone(self, error: MachineError) -> None:
        self._tell(of_being_alone(error))

    def _failed(self, error: OAuthHelperError) -> OAuthHelperError:
        self._tell(Failed(error))
        return error


def of_being_alone(error: MachineError) -> Warned:
    """Return the warning that other runs cannot find this one."""
    return Warned(
        phrase("{message}; other runs will not find this one. {hint}", message=error.message, hint=error.hint),
        once=True,
    )


def _still_linked(name: str) -> DeadlineError:
    return DeadlineError(
        phrase("Another oauth-helper is still linking {name}", name=name),
        hint=phrase(
            "This one has stopped waiting; the other goes on. `oauth-helper show {name}` tells how it ended.",
            name=as_argument(name),
        ),
    )


async def _end_of(notice: Notice, ways: Ways) -> Outcome | None:
    """Wait for the end of that run, and deliver to it what is pasted here; None where it has gone without telling."""
    tasks = [asyncio.create_task(outcome(notice))]
    if ways.say and ways.has_prompt:
        tasks.append(asyncio.create_task(_deliver_pasted(notice, ways.say)))
    try:
        return await tasks[0]
    except RunGoneError:
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver_pasted(notice: Notice, say: Callable[[Phrase], None]) -> Outcome:
    from oauth_helper.terminal.prompt import TerminalPrompt  # noqa: PLC0415 - who is alone needs none

    rejection: tuple[Phrase, ...] = ()
    while True:
        pasted: asyncio.Queue[str] = asyncio.Queue()
        async with TerminalPrompt(offer=pasted.put_nowait, say=say):
            for line in rejection:  # said only now, as who reads it may paste at once, and nothing is to show that
                say(line)
            text = await pasted.get()
        try:
            return await deliver(notice, text)
        except RedirectRejectedError as rejected:
            rejection = (rejected.message, rejected.hint)
