"""The eight steps of a link, and finishing what an earlier run left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Protocol

from msgspec import structs

from oauth_helper.credentials import GitCredential, PersonalToken
from oauth_helper.errors import (
    CodeOrStateInvalidError,
    CredentialsError,
    DeadlineError,
    MachineError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    RefusedError,
    StoppedError,
    UnavailableError,
)
from oauth_helper.events import (
    Advised,
    Checked,
    Event,
    Failed,
    Linked,
    Outcome,
    Progress,
    Refused,
    Resumed,
    Waiting,
    Warned,
    Way,
)
from oauth_helper.exchange import (
    TIMING,
    CannotVerifyError,
    Exchange,
    Timing,
    find_existing,
    find_made,
    is_list_alone_refused,
    redirect_creation,
    what_is_gone,
)
from oauth_helper.i18n import Text, _
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, Target
from oauth_helper.receiver import MOMENTS, Ending, RedirectReceiver
from oauth_helper.redirect import AuthorizationRequest, AuthorizationResponse
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient


class Listening(Protocol):
    """The loopback listener; entering its context binds it."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def serve(self, receiver: RedirectReceiver) -> str:
        """Bring every redirect that comes to ``desk``; return the address to open, KEY included."""

    def start_over(self, onward: str | None) -> str:
        """Send whoever waits for the end to ``onward``, or to the page where that is None; return a fresh address."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What the story is handed."""

    listener: Listening
    prepare: Callable[[], Awaitable[None]]
    """Find out how a browser will be opened; an error says that none can be where one must."""
    open_browser: Callable[[str, RedirectReceiver], Awaitable[None]]
    """Bring the listener's address before the user, tell how, and end when no more is to be done. It is stopped when
    the story ends; an error of it ends the wait."""
    prompt: Callable[[Callable[[str], None]], AbstractAsyncContextManager[object]]
    """Offer what is pasted into the terminal, while the context is open."""
    may_start_over: Callable[[OAuthHelperError], Awaitable[bool]]
    """Ask the user, who learns of the error by it, whether to begin again with a fresh state."""
    announced: Callable[[RedirectReceiver], AbstractContextManager[object]]
    """Let other runs find this one, and know the redirect it waits for, while the context is open."""
    journal: Journal | None
    """Where a redirect is written down before it is exchanged; None: nowhere."""
    tell: Callable[[Event], None]
    timing: Timing = TIMING
    kept_ready: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    """Have the exchange need no more than its one round trip when it comes, while the context is open."""
    guidance_after: Sequence[float] = MOMENTS
    """Seconds of waiting, after which it is told what may keep the redirect from coming."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the check found."""

    existing: Authorization | None
    """What bears the name already, and may be kept or is to be replaced."""
    known: Collection[str] | None
    """The names that are taken; None: this account may not list them."""


async def list_if_permitted(
    request: LinkRequest, service: ServiceStageClient, tell: Callable[[Event], None]
) -> list[Authorization] | None:
    """Return what stands; None, after a warning, where this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(
        Warned(
            _(
                "This account may not list authorizations, so it is not known whether {name} is free.",
                name=request.name,
            )
        )
    )
    return None


async def check(request: LinkRequest, service: ServiceStageClient, tell: Callable[[Event], None]) -> Found:
    """Look what bears the name, with one signed call.

    Raises:
        NameTakenError: What bears the name stands in the way.
        CredentialsError, UnavailableError: Nothing can come of a link.
    """
    listed = await list_if_permitted(request, service, tell)
    existing = find_existing(request, listed or [])
    tell(Checked(request.name, request.repo_type))
    return Found(existing, None if listed is None else frozenset(one.name for one in listed))


async def link_in_spite_of_name(taken: NameTakenError, exchange: Exchange, request: LinkRequest) -> Linked:
    """Do about it what the user wants done about a taken name.

    A refused name costs neither code nor state, so they are good for a second exchange, which comes after a deletion.
    They stay in the journal until it is known that there will be none. But what was made in the place of what was
    deleted already is not deleted too, nor what may be the work of an earlier sending.
    """
    try:
        existing = await _existing(taken, exchange, request)
    except OAuthHelperError:
        exchange.forget()
        raise
    if request.if_exists is IfExists.KEEP:
        exchange.forget()
        return Linked(existing, kept=True)
    try:
        return Linked(await exchange.run_again(replacing=existing))
    except NameTakenError:
        exchange.forget()
        raise


async def _existing(taken: NameTakenError, exchange: Exchange, request: LinkRequest) -> Authorization:
    """Return the authorization that has the name, and is to be kept or may be replaced."""
    if request.if_exists is IfExists.FAIL:
        raise taken
    try:
        listed = await exchange.verifier.list_once() or []
    except (CannotVerifyError, CredentialsError):
        raise taken from None
    existing = find_existing(request, listed)
    is_replaced = request.if_exists is IfExists.REPLACE
    if existing is None or (is_replaced and (exchange.may_be_used or exchange.pending.stood_since is not None)):
        raise taken
    return existing


_FAREWELL: Final = 1.0
"""Seconds that whoever opened the browser gets to see the final page."""
_CLOCK_CHECKED_EVERY: Final = 1.0
"""Seconds between two looks at the wall clock, which may jump."""


class Browsing:
    """What brings the listener's address before the user, as long as the story goes on."""

    def __init__(self, receiver: RedirectReceiver, request: LinkRequest, doors: Doors) -> None:
        self._receiver = receiver
        self._request = request
        self._doors = doors
        self._opening: asyncio.Task[None] | None = None
        self.expires_at: datetime = datetime.max.replace(tzinfo=UTC)
        """When the wait ends that was told last."""

    @classmethod
    @asynccontextmanager
    async def begun(
        cls, start: str, receiver: RedirectReceiver, request: LinkRequest, doors: Doors
    ) -> AsyncIterator[Browsing]:
        """Open the browser on ``start``; at the end, give whoever brought the redirect a moment to see its page."""
        browsing = cls(receiver, request, doors)
        browsing._open(start)
        try:
            try:
                yield browsing
            finally:
                if receiver.was_answered and browsing._opening:
                    await asyncio.wait({browsing._opening}, timeout=_FAREWELL)
        finally:
            await browsing._close()

    async def start_over(self) -> None:
        """Lead the tab that brought the redirect to the Git host again; where there is none, open one."""
        way = self._receiver.way
        start = self._doors.listener.start_over(self._receiver.authorization_url if way is Way.WINDOW else None)
        is_open = self._opening is not None and not self._opening.done()
        if way is Way.PAGE or (way is Way.WINDOW and is_open):
            self._tell_of_the_wait(start)
        else:
            await self._close()
            self._open(start)

    def _open(self, start: str) -> None:
        self._tell_of_the_wait(start)
        self._opening = asyncio.create_task(self._bring(start))

    def _tell_of_the_wait(self, start: str) -> None:
        self.expires_at = datetime.now(UTC) + timedelta(seconds=self._request.timeout)
        self._doors.tell(Waiting(start, self._receiver.printed_url, self.expires_at))

    async def _bring(self, start: str) -> None:
        try:
            await self._doors.open_browser(start, self._receiver)
        except Exception as error:  # noqa: BLE001 - whatever it is, the story is to end with it, not to wait on
            self._receiver.give_up(error)

    async def _close(self) -> None:
        if self._opening:  # pragma: no branch - begun() has set it
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)


@asynccontextmanager
async def truth_told(
    receiver: RedirectReceiver, ending: Ending, request: LinkRequest, doors: Doors
) -> AsyncIterator[None]:
    """See to it that the page learns how it ended, whatever the end is."""
    try:
        yield
    except OAuthHelperError as error:
        ending.explain(error)
        receiver.end(Failed(error))
        ending.tell(Failed(error))
        raise
    except asyncio.CancelledError:
        receiver.end(Failed(_stopped(receiver, ending.progress, request, doors)))
        raise
    except BaseException as fault:
        receiver.end(Failed(OAuthHelperError(_("Unexpected {name__}", name__=type(fault).__name__))))
        raise


def _stopped(receiver: RedirectReceiver, progress: Progress, request: LinkRequest, doors: Doors) -> OAuthHelperError:
    if receiver.is_refused:
        return StoppedError(
            _("oauth-helper was stopped after ServiceStage had refused the redirect. Nothing was created")
        )
    if not receiver.has_redirect:
        return StoppedError(_("oauth-helper was stopped before the redirect came. Nothing was created"))
    if doors.journal is None:  # in the sandbox, which ends with this run
        hint = _("Run the command again when you are ready.")
    elif progress.is_kept:
        hint = _("The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming.")
    else:
        hint = _(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=request.name
        )
    return OutcomeUnknownError(
        _("oauth-helper was stopped while ServiceStage was asked to create the authorization"), hint=hint
    )


async def redirect_of(
    receiver: RedirectReceiver, request: LinkRequest, doors: Doors, expires_at: datetime
) -> AuthorizationResponse:
    """Wait for one redirect that is ours, until the deadline: by the loop's clock, or ``expires_at`` by the wall's.

    The loop's clock does not go on while the machine is suspended (on Linux), and the wall clock may be set back.

    Raises:
        DeadlineError: None came in time.
        OAuthHelperError: The user or the Git host said no, or no browser can be opened where one must.
    """

    def offer_pasted(text: str) -> None:
        receiver.judge(text, Way.TERMINAL)

    async with doors.kept_ready():
        try:
            async with (
                asyncio.timeout(request.timeout) as limit,
                _running(_end_at(expires_at, limit)),
                doors.prompt(offer_pasted),
                _running(_advise(receiver, doors)),
            ):
                return await receiver.redirect()
        except TimeoutError:
            raise DeadlineError(_("No redirect came within {seconds:g} s", seconds=request.timeout)) from None


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()  # and not waited for: the redirect that came is to leave at once


async def _end_at(moment: datetime, limit: asyncio.Timeout) -> None:
    while (left := moment.timestamp() - time.time()) > 0:  # noqa: ASYNC110 - a clock, and not an event
        await asyncio.sleep(min(left, _CLOCK_CHECKED_EVERY))
    limit.reschedule(asyncio.get_running_loop().time())


async def _advise(receiver: RedirectReceiver, doors: Doors) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    for moment in doors.guidance_after:
        await asyncio.sleep(began + moment - clock())
        if guidance := receiver.guidance(is_last=moment == doors.guidance_after[-1]):
            doors.tell(Advised(guidance))


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one pending exchange."""

    pending: Pending
    outcome: Outcome


async def finish_earlier(request: LinkRequest, service: ServiceStageClient, doors: Doors) -> Linked | None:
    """Finish the exchange that an earlier link of that name could not; None where there is none that can be.

    Raises:
        CredentialsError: The credentials are refused. The redirect is kept.
        OutcomeUnknownError: It is still not known whether it came about. The redirect is kept.
    """
    journal, name = doors.journal, request.name
    if journal is None:
        return None
    try:
        pending = journal.find(Target(service.endpoint, service.project_id, name), request.repo_type)
    except MachineError as error:
        doors.tell(Warned(_("What an earlier run left cannot be read: {message}.", message=error.message)))
        return None
    if pending is None or not _is_wanted(pending, request):
        return None
    if not pending.is_fresh(datetime.now(UTC)):
        happened = _("An earlier redirect for {name} expired before it was known to be exchanged", name=name)
        doors.tell(Warned(happened + what_is_gone(pending) + _(".")))
        _remove(pending, journal, doors.tell)
        return None
    doors.tell(Resumed(name, pending.captured_at))
    exchange = Exchange(
        pending,
        service,
        redirect_creation(pending, service),
        doors.tell,
        journal=journal,
        timing=doors.timing,
        is_resumed=True,
    )
    try:
        return Linked(await exchange.run())
    except OutcomeUnknownError as error:
        if exchange.verifier.may_list:
            raise
        # It cannot be known, however often it is asked; who runs the command again has been told so.
        doors.tell(Refused(may_be_created=True))
        doors.tell(Warned(_("{message}. Linking it again.", message=error.message)))
        return None
    except RefusedError as error:
        exchange.forget()
        doors.tell(Refused())
        doors.tell(Warned(_("The earlier redirect for {name} came to nothing: {why}.", name=name, why=error.message)))
        return None


def _is_wanted(pending: Pending, request: LinkRequest) -> bool:
    """Whether to finish it is what this run is for: it must not delete what this run is told to keep."""
    would_delete = pending.stood_since is not None and not pending.is_deleted
    return request.if_exists is IfExists.REPLACE or not would_delete


async def resume(
    pending: Pending,
    journal: Journal,
    connected: Callable[[Target], AbstractAsyncContextManager[ServiceStageClient]],
    tell: Callable[[Event], None],
    timing: Timing = TIMING,
) -> Settled:
    """Finish one pending exchange of an earlier run, told like a link that begins with step 7; never raises."""
    tell(Resumed(pending.target.name, pending.captured_at))
    outcome: Outcome
    try:
        async with connected(pending.target) as service:
            outcome = await _finished(pending, service, journal, tell, timing)
    except (UnavailableError, RefusedError) as error:  # IAM, or the list that is all there is to ask for
        outcome = Failed(_not_asked(pending, error))
    except OAuthHelperError as error:
        outcome = Failed(error)
    tell(outcome)
    return Settled(pending, outcome)


async def _finished(
    pending: Pending, service: ServiceStageClient, journal: Journal, tell: Callable[[Event], None], timing: Timing
) -> Outcome:
    if pending.is_fresh(datetime.now(UTC)):
        create = redirect_creation(pending, service)
        exchange = Exchange(
            pending,
            service,
            create,
            tell,
            journal=journal,
            timing=timing,
            is_resumed=True,
        )
        try:
            return Linked(await exchange.run())
        except RefusedError as error:
            exchange.forget()
            return Failed(error)
    made = trouble = None
    try:
        made = find_made(pending, await service.list_authorizations())
    except NotPermittedError as error:
        trouble = error
    # It was said now what can be said; nothing is left to be done about it.
    _remove(pending, journal, tell)
    return Linked(made) if made else Failed(_expired(pending, trouble))


def _expired(pending: Pending, trouble: NotPermittedError | None) -> OAuthHelperError:
    name = pending.target.name
    again = _("Run `oauth-helper link {repo_type} --name {name}` again.", repo_type=pending.repo_type.value, name=name)
    if trouble:
        return OutcomeUnknownError(
            _(
                "The redirect for {name} has expired, and whether it was created cannot be known: {why}",
                name=name,
                why=trouble.message,
            ),
            hint=again,
        )
    return CodeOrStateInvalidError(
        _("The redirect for {name} has expired, and no authorization was created from it", name=name)
        + what_is_gone(pending),
        hint=again,
    )


def _not_asked(pending: Pending, error: UnavailableError | RefusedError) -> OutcomeUnknownError:
    is_fresh = pending.is_fresh(datetime.now(UTC))
    again = _("Run `oauth-helper resume` again in a moment.")
    return OutcomeUnknownError(
        _("ServiceStage could not be asked about {name}: {message}", name=pending.target.name, message=error.message),
        hint=_("The redirect is kept. {again}", again=again) if is_fresh else again,
        code=error.code,
        request_id=error.request_id,
    )


def _remove(pending: Pending, journal: Journal, tell: Callable[[Event], None]) -> None:
    try:
        journal.remove(pending)
    except MachineError as error:
        tell(Warned(error.message))


async def link(request: LinkRequest, service: ServiceStageClient, doors: Doors) -> Linked:
    """Link a Git account.

    What an earlier run has left unfinished under the same name is finished first. Else:

    1. *Check before the browser opens*: the name is free (a request's name is legal), credentials and endpoint good.
    2. *Ask* for the authorization URL, and read it.
    3. *Listen* on 127.0.0.1, and find out how a browser will be opened, while that is under way.
    4. *Open* the browser, and say what is happening.
    5. *Wait* for one redirect that is ours, until the deadline. A stranger's request never ends the wait.
    6. *Write it down*, so that nothing is lost if we are stopped.
    7. *Exchange* at once: one POST. What stood under the name is deleted right before it, if it is to be replaced.
       Where the outcome is not plain, look before anything is sent again (:mod:`oauth_helper.exchange`).
    8. *Tell the truth*: the page and the caller learn the outcome after ServiceStage gave it.

    Raises:
        OAuthHelperError: What went wrong; every class in :mod:`oauth_helper.errors` but RedirectRejectedError.
    """
    ending = Ending(doors.tell)
    doors = replace(doors, tell=ending.watch)
    try:
        if finished := await finish_earlier(request, service, doors):
            ending.tell(finished)
            return finished
        found = await check(request, service, doors.tell)  # 1
        if found.existing and request.if_exists is IfExists.KEEP:
            kept = Linked(found.existing, kept=True)
            ending.tell(kept)
            return kept
        async with _asked(request, service) as asking, doors.listener:  # 2, 3
            await doors.prepare()
            return await _link_afresh(request, found, service, doors, asking, ending)
    except OAuthHelperError as error:
        ending.tell(Failed(error))
        raise


@asynccontextmanager
async def _asked(
    request: LinkRequest, service: ServiceStageClient
) -> AsyncIterator[asyncio.Task[AuthorizationRequest]]:
    asking = asyncio.create_task(_ask(request, service))
    try:
        yield asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _link_afresh(
    request: LinkRequest,
    found: Found,
    service: ServiceStageClient,
    doors: Doors,
    asking: asyncio.Task[AuthorizationRequest],
    ending: Ending,
) -> Linked:
    receiver = RedirectReceiver(await asking, doors.tell)
    start = await doors.listener.serve(receiver)
    with ExitStack() as announced:
        announced.enter_context(doors.announced(receiver))
        async with Browsing.begun(start, receiver, request, doors) as browsing:  # 4
            async with truth_told(receiver, ending, request, doors):  # 8
                linked = await _until_exchanged(request, found, service, doors, receiver, browsing, announced)
                receiver.end(linked)
            ending.tell(linked)
    return linked


async def _ask(request: LinkRequest, service: ServiceStageClient) -> AuthorizationRequest:
    url = await service.authorization_url(request.repo_type, tag=request.tag)
    return AuthorizationRequest.parse(url, request.repo_type)


async def _until_exchanged(
    request: LinkRequest,
    found: Found,
    service: ServiceStageClient,
    doors: Doors,
    receiver: RedirectReceiver,
    browsing: Browsing,
    announced: ExitStack,
) -> Linked:
    known, may_list = found.known, found.known is not None
    earlier: Pending | None = None
    while True:
        redirect = await redirect_of(receiver, request, doors, browsing.expires_at)  # 5
        pending = _captured(redirect, request, found.existing, service)
        if earlier:
            pending = structs.replace(pending, stood_since=earlier.stood_since, is_deleted=earlier.is_deleted)
        exchange = Exchange(
            pending,
            service,
            redirect_creation(pending, service),
            doors.tell,
            journal=doors.journal,
            timing=doors.timing,
            names_before=known,
            may_list=may_list,
        )
        try:
            return await _exchanged(exchange, request)  # 6, 7
        except CodeOrStateInvalidError as refused:
            receiver.refuse()
            if not await doors.may_start_over(refused):
                raise
        earlier, known, may_list = exchange.pending, exchange.names_before, exchange.verifier.may_list
        receiver.start_over(await _ask(request, service))
        announced.close()
        announced.enter_context(doors.announced(receiver))
        await browsing.start_over()


async def _exchanged(exchange: Exchange, request: LinkRequest) -> Linked:
    try:
        return Linked(await exchange.run())
    except NameTakenError as taken:
        return await link_in_spite_of_name(taken, exchange, request)


def _captured(
    redirect: AuthorizationResponse, request: LinkRequest, existing: Authorization | None, service: ServiceStageClient
) -> Pending:
    return Pending(
        target=Target(service.endpoint, service.project_id, request.name),
        repo_type=request.repo_type,
        captured_at=datetime.now(UTC),
        code=redirect.code,
        state=redirect.state,
        tag=request.tag,
        stood_since=existing.create_time if existing else None,
    )


_NOT_ACCEPTED: Final = frozenset({"SVCSTG.REPO.0400", "SVCSTG.REPO.0402", "SVCSTG.REPO.0450", "SVCSTG.REPO.0451"})
"""With which ServiceStage may refuse a token or a password; no page says which it is."""
_NOTHING: Final = Secret("")


async def link_directly(
    request: LinkRequest,
    git_credential: GitCredential,
    service: ServiceStageClient,
    tell: Callable[[Event], None],
    *,
    timing: Timing = TIMING,
    is_checked: bool = False,
    may_list: bool = True,
) -> Linked:
    """Link a Git account by a token, or by user and password.

    1. *Check*: the name is free, credentials and endpoint good.
    2. *Create*: one POST. What stood under the name is deleted right before it, if it is to be replaced. Where the
       outcome is not plain, look before anything is sent again, as with a redirect (:mod:`oauth_helper.exchange`).
       Nothing is written down: who has the token can run it again.

    With ``is_checked`` the caller has just seen that the name is free, or, without ``may_look``, that this account may
    not list. Step 1 is left out then.

    Raises:
        OAuthHelperError: What went wrong.
    """
    ending = Ending(tell)
    tell = ending.watch
    try:
        found = Found(None, () if may_list else None) if is_checked else await check(request, service, tell)
        if found.existing and request.if_exists is IfExists.KEEP:
            linked = Linked(found.existing, kept=True)
        else:
            creation = _Creation(request, git_credential, service, tell, timing)
            linked = await creation.carry_out(found.existing, may_list=found.known is not None)
    except OAuthHelperError as error:
        if isinstance(error, RefusedError) and error.code in _NOT_ACCEPTED:
            error.hint = _what_to_check(request, git_credential)
        ending.tell(Failed(error))
        raise
    ending.tell(linked)
    return linked


@dataclass(frozen=True, slots=True)
class _Creation:
    """One authorization that is to come about."""

    request: LinkRequest
    git_credential: GitCredential
    service: ServiceStageClient
    tell: Callable[[Event], None]
    timing: Timing

    async def carry_out(self, existing: Authorization | None, *, may_list: bool) -> Linked:
        """Bring it about, in the place of ``standing`` if there is one."""
        pending = self._pending(existing)
        exchange = Exchange(pending, self.service, self._create, self.tell, timing=self.timing, may_list=may_list)
        try:
            return Linked(await exchange.run())
        except NameTakenError as taken:
            return await link_in_spite_of_name(taken, exchange, self.request)

    async def _create(self) -> Authorization:
        repo_type, name, git_credential = self.request.repo_type, self.request.name, self.git_credential
        if isinstance(git_credential, PersonalToken):
            return await self.service.create_personal(
                repo_type, name=name, token=git_credential.token, host=git_credential.host
            )
        return await self.service.create_password(
            repo_type, name=name, user=git_credential.user, password=git_credential.password
        )

    def _pending(self, existing: Authorization | None) -> Pending:
        return Pending(
            target=Target(self.service.endpoint, self.service.project_id, self.request.name),
            repo_type=self.request.repo_type,
            captured_at=datetime.now(UTC),
            code=_NOTHING,
            state=_NOTHING,
            stood_since=existing.create_time if existing else None,
        )


def _what_to_check(request: LinkRequest, git_credential: GitCredential) -> Text:
    host = request.repo_type.display_name
    if isinstance(git_credential, PersonalToken):
        if git_credential.host:
            return _(
                "Check the token: that {host} lists it, with the rights to read and write repositories and hooks; and "
                "--host, that ServiceStage can reach it.",
                host=host,
            )
        return _(
            "Check the token: that {host} lists it, with the rights to read and write repositories and hooks, and that "
            "it comes from its official site.",
            host=host,
        )
    return _(
        "Check the user name and the password: that you can sign in to {host} with them over Git's HTTPS.", host=host
    )
