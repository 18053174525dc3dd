"""Other oauth-helper processes of this user: lock a target, join its link, deliver a redirect.

Each target has one file in the runtime folder. The process that links the target holds the system's lock on the file
and, while it waits for the redirect, keeps the address of its listener in it. The lock ends with the process. So a
process that can lock the file knows that nobody links the target, and that the content is outdated.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import stat
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, Literal, Self

import aiohttp
import msgspec
from msgspec import Meta, Struct
from platformdirs import user_runtime_path
from yarl import URL

from oauth_helper.errors import (
    DeadlineError,
    MachineError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
)
from oauth_helper.events import Event, Failed, Joined, Linked, Outcome, Warned
from oauth_helper.exchange import find_existing
from oauth_helper.i18n import Language, Text, _, catalog_of, translated
from oauth_helper.models import Authorization, LinkRequest, RepoType, Target, as_argument, is_legal_name
from oauth_helper.private_files import private_folder, read_private
from oauth_helper.secret import Secret, safe_text

if sys.platform == "win32":  # pragma: no cover - Windows
    import msvcrt
else:
    import fcntl

_POLL: Final = 0.1
"""Seconds between two attempts to lock a target, and between two requests for an outcome."""
_TELL_AFTER: Final = 1.0
"""Seconds of waiting after which the user is told what this process waits for."""
_OPEN: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Python opens every file so that no child inherits it (PEP 446): our browser may outlive us."""
_LOCKED_BYTE: Final = 1 << 30
"""The byte that Windows locks: a locked byte cannot be read, so it is far behind the content."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{22,}")
"""A KEY of at least 128 bits."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3, sock_read=30)
"""Seconds. A listener holds its answer back for up to 20 seconds."""
_LONGEST_TEXT: Final = 64 * 1024
"""Characters of a delivered text; a listener says of that many that they are too many."""
_LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes. An authorization has about one thousand."""
_LONGEST_MESSAGE: Final = 4000
"""Characters of a text in an outcome; a message may name a path."""
_VARIABLE: Final = "XDG_RUNTIME_DIR"
_HINT: Final = _(
    "Set {variable} to a folder of your own, and run the command as the user who runs `link`.", variable=_VARIABLE
)


class RunGoneError(Exception):
    """The other process has ended without an outcome, or what answers on its port is not oauth-helper."""


class OutcomeDocumentError(ValueError):
    """The answer is not an outcome. Its text is not repeated."""


def runtime_folder() -> Path:
    """Return the folder; create it if it is missing.

    It is ``oauth-helper`` in platformdirs' runtime folder: ``XDG_RUNTIME_DIR`` or ``/run/user/UID``; if neither exists
    (in a container, after ``su``), ``runtime-UID`` in the folder for temporary files.

    Raises:
        MachineError: It cannot be created, or other users could change or replace it.
    """
    if named := os.environ.get(_VARIABLE):
        _refuse_folder_of_another_user(Path(named))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns if it uses the temporary folder
            shared = user_runtime_path(ensure_exists=True)
    except OSError as error:
        raise MachineError(_("No folder for finding other runs: {error}", error=error), hint=_HINT) from error
    try:
        private_folder(shared / "oauth-helper")
    except MachineError as error:
        error.hint = _HINT
        raise
    return shared / "oauth-helper"


def _refuse_folder_of_another_user(folder: Path) -> None:
    """Report it instead of falling back silently to a folder where no other run is. A public folder is fine."""
    if sys.platform == "win32":  # pragma: no cover - Windows has neither the variable nor such an owner
        return
    try:
        found = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        why = error.strerror
        message = _(
            '{variable} cannot be used: "{folder}": {strerror}', variable=_VARIABLE, strerror=why, folder=folder
        )
        raise MachineError(message, hint=_HINT) from error
    if found.st_uid != os.geteuid() and not found.st_mode & stat.S_IWOTH:
        message = _('{variable} is the folder of another user: "{folder}"', variable=_VARIABLE, folder=folder)
        raise MachineError(message, hint=_HINT)


class InstanceInfo(Struct, frozen=True):
    """How to reach a process that waits for its redirect. This is what the locked file contains."""

    format: Literal[2]
    name: str
    """Of the authorization that the process links."""
    repo_type: RepoType
    pid: int
    port: Annotated[int, Meta(ge=1, le=65535)]
    """The listener's, on 127.0.0.1: a redirect is sent nowhere else."""
    key: Secret
    """A KEY of the listener."""
    state: str | None = None
    """What :func:`digest_of_state` returns for the state that the process waits for."""

    def __post_init__(self) -> None:
        if not is_legal_name(self.name) or not _KEY.fullmatch(self.key.reveal()):
            raise ValueError("no name or KEY")

    def address(self, path: str) -> URL:
        """Return the address of a page of the listener, with KEY."""
        return URL(f"http://127.0.0.1:{self.port}{path}?k={self.key.reveal()}", encoded=True)


def digest_of_state(state: str) -> str:
    """Return what identifies a state and is useless for an exchange."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


class TargetLock:
    """The right to link one target, until it is released or the process ends. A context manager.

    The lock belongs to the opened file, not to the process, so it also separates two links of one process. The file is
    never removed: another process may be opening it, and would then lock a file that nobody else finds.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def try_acquire(cls, path: Path) -> Self | None:
        """Lock this file and empty it; None if another process has locked it.

        Raises:
            MachineError: It cannot be locked.
        """
        lock = None
        try:
            descriptor = os.open(path, _OPEN, 0o600)
            lock = cls(descriptor)
            _lock(descriptor)
            if sys.platform != "win32":  # pragma: no branch - a umask may take even our own permissions away
                os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
        except OSError as error:
            if lock:
                lock.release()
            # What the system reports if the file is locked.
            if lock and isinstance(error, PermissionError if sys.platform == "win32" else BlockingIOError):
                return None
            raise MachineError(_("{path} cannot be locked: {strerror}", path=path, strerror=error.strerror)) from error
        return lock

    def write(self, content: bytes) -> None:
        """Replace the content of the file.

        Raises:
            OSError: It cannot be written.
        """
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, content)

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":  # pragma: no cover - Windows has locks of its own
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_path(folder: Path, target: Target) -> Path:
    """Return the file of this target."""
    return folder / f"{target.digest}.lock"


def waiting_instances(folder: Path) -> list[InstanceInfo]:
    """Return all processes that wait for their redirect. Files that are not valid, or not ours alone, are ignored.

    Raises:
        MachineError: A file cannot be locked, so it is not known which processes exist.
    """
    paths = sorted(path for path in folder.glob("*.lock") if re.fullmatch(r"[0-9a-f]{32}", path.stem))
    return [instance for path in paths if (instance := _read_instance(path))]


def _read_instance(path: Path) -> InstanceInfo | None:
    # Lock first: another program may listen on the port of a process that has ended.
    if lock := TargetLock.try_acquire(path):
        lock.release()
        return None
    try:
        return msgspec.json.decode(
            read_private(path) or "", type=InstanceInfo, dec_hook=lambda _type, text: Secret(text)
        )
    except (MachineError, ValueError, TypeError, RecursionError):
        return None


async def _acquire_or_find(path: Path, on_wait: Callable[[], None], *, finds: bool = True) -> TargetLock | InstanceInfo:
    """Lock the file, or return the process that has locked it as soon as it can be reached.

    A process can be reached while it listens, and never if it uses no browser. Until then this waits.
    """
    timer = asyncio.get_running_loop().call_later(_TELL_AFTER, on_wait)
    try:
        while True:
            if lock := TargetLock.try_acquire(path):
                return lock
            if finds and (instance := _read_instance(path)):
                return instance
            await asyncio.sleep(_POLL)
    finally:
        timer.cancel()


class SingleRun:
    """The link of one target, among all oauth-helper processes of this user.

    Without a folder in which the processes can find each other, each one continues alone.
    """

    def __init__(
        self,
        folder: Path | None,
        target: Target,
        repo_type: RepoType,
        tell: Callable[[Event], None],
        *,
        language: Language = Language.ENGLISH,
    ) -> None:
        self._path = folder and lock_path(folder, target)
        self._name = target.name
        self._repo_type = repo_type
        self._tell = tell
        self._language = language
        self._lock: TargetLock | None = None

    @classmethod
    def of_the_user(
        cls,
        target: Target,
        repo_type: RepoType,
        tell: Callable[[Event], None],
        *,
        language: Language = Language.ENGLISH,
    ) -> Self:
        """Use the user's runtime folder; report it if that cannot be used. ``language`` is what this user reads."""
        try:
            folder = runtime_folder()
        except MachineError as error:
            tell(_alone(error))
            folder = None
        return cls(folder, target, repo_type, tell, language=language)

    @asynccontextmanager
    async def acquired_or_joined(
        self, request: LinkRequest, paste: Callable[[InstanceInfo], Awaitable[object]] | None = None
    ) -> AsyncIterator[Linked | None]:
        """Hold the lock of the target within the context (None), or return what the process that holds it created.

        Args:
            request: What this process would link.
            paste: Runs while another process holds the lock, and delivers what the user pastes here to it.

        Raises:
            DeadlineError: The other process has not finished in time.
            OAuthHelperError: The other process failed, and trying again at once would fail in the same way.
        """
        linked = None
        try:
            async with asyncio.timeout(request.timeout):
                linked = await self._acquire_or_join(request, paste)
        except TimeoutError:
            error = _still_linked(self._name)
            self._tell(Failed(error))
            raise error from None
        except OAuthHelperError as error:
            self._tell(Failed(error))
            raise
        if linked:
            self._tell(linked)
        with self._lock or nullcontext():
            yield linked

    @asynccontextmanager
    async def acquired(self, timeout: float) -> AsyncIterator[bool]:  # noqa: ASYNC109 - it also reports the wait
        """Hold the lock of the target within the context; False if another process holds it for ``timeout`` seconds."""
        joined = Joined(self._name, can_deliver=False)
        with ExitStack() as stack:
            try:
                if self._path:
                    async with asyncio.timeout(timeout):
                        lock = await _acquire_or_find(self._path, lambda: self._tell(joined), finds=False)
                    stack.enter_context(lock)  # type: ignore[arg-type]  # it finds nothing else
            except TimeoutError:
                yield False
                return
            except MachineError as error:
                self._tell(_alone(error))
            yield True

    @contextmanager
    def announced(self, listener: str, state: Secret) -> Iterator[None]:
        """Let other processes find this one while it waits for ``state``; ``listener`` is an address with a KEY."""
        url = URL(listener)
        key, state_digest = Secret(url.query["k"]), digest_of_state(state.reveal())
        instance = InstanceInfo(2, self._name, self._repo_type, os.getpid(), url.port or 0, key, state_digest)
        try:
            if self._lock:
                self._lock.write(msgspec.json.encode(instance, enc_hook=Secret.reveal))
        except OSError as error:
            message = _("{path} cannot be written: {strerror}", path=self._path, strerror=error.strerror)
            self._tell(_alone(MachineError(message)))
        try:
            yield
        finally:
            if self._lock:
                self._lock.write(b"")

    async def _acquire_or_join(
        self, request: LinkRequest, paste: Callable[[InstanceInfo], Awaitable[object]] | None
    ) -> Linked | None:
        waits, joined = Joined(self._name, can_deliver=False), Joined(self._name)
        told: set[Joined] = set()

        def tell(event: Joined) -> None:
            if not told & {event, joined}:
                told.add(event)
                self._tell(event)

        while self._path:
            try:
                found = await _acquire_or_find(self._path, lambda: tell(waits))
            except MachineError as error:
                self._tell(_alone(error))
                break
            if isinstance(found, TargetLock):
                self._lock = found
                break
            tell(joined)
            match await self._outcome_of(found, paste):
                case Linked(authorization):
                    find_existing(request, [authorization])
                    return Linked(authorization, kept=True)
                case Failed(failure) if not isinstance(failure, StoppedError | OutcomeUnknownError):
                    raise failure
            # The other process was stopped or is gone; when it has ended, this one takes the lock.
            await asyncio.sleep(_POLL)
        return None

    async def _outcome_of(
        self, instance: InstanceInfo, paste: Callable[[InstanceInfo], Awaitable[object]] | None
    ) -> Outcome | None:
        pasting = asyncio.ensure_future(paste(instance)) if paste else None
        try:
            return await outcome_of(instance, language=self._language)
        except RunGoneError:
            return None
        finally:
            if pasting:
                pasting.cancel()
                await asyncio.gather(pasting, return_exceptions=True)


def _alone(error: MachineError) -> Warned:
    text = _("{message}; other runs will not find this one. {hint}", message=error.message, hint=error.hint)
    return Warned(text, once=True)


def _still_linked(name: str) -> DeadlineError:
    return DeadlineError(
        _("Another oauth-helper is still linking {name}", name=name),
        hint=_(
            "This one has stopped waiting; the other goes on. `oauth-helper show {name}` tells how it ended.",
            name=as_argument(name),
        ),
    )


async def deliver(instance: InstanceInfo, text: str, *, language: Language = Language.ENGLISH) -> Outcome:
    """Deliver a text with the redirect to this process; return the outcome of its link, in words of ``language``.

    Raises:
        RedirectRejectedError: It is not the redirect that the process waits for; it continues to wait.
        RunGoneError: The process has gone. It is not known whether it took the text.
    """
    form = {"redirect": text[:_LONGEST_TEXT].encode(errors="replace").decode(), "way": "deliver"}
    async with _session(language) as session:
        answer = session.post(instance.address("/redirect"), data=form, allow_redirects=False)
        return await _answered(answer) or await _poll_outcome(session, instance)


async def outcome_of(instance: InstanceInfo, *, language: Language = Language.ENGLISH) -> Outcome:
    """Wait for the outcome of the link of this process, until its own deadline.

    Raises:
        RunGoneError: The process has gone, or is stopped.
    """
    async with _session(language) as session:
        return await _poll_outcome(session, instance)


async def _poll_outcome(session: aiohttp.ClientSession, instance: InstanceInfo) -> Outcome:
    while True:
        if outcome := await _answered(session.get(instance.address("/outcome"), allow_redirects=False)):
            return outcome
        await asyncio.sleep(_POLL)  # for a listener that does not hold its answers back


def _session(language: Language) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Language": language.value},
        skip_auto_headers=("User-Agent",),
        timeout=_TIMEOUT,
        trust_env=False,  # no proxy is between two processes of one machine
    )


async def _answered(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Outcome | None:
    try:
        body = bytearray()
        async with request as answer:
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _LARGEST_ANSWER:
                    raise OutcomeDocumentError("too large")  # noqa: TRY301 - the same error as below
        return read_outcome(bytes(body))
    except (aiohttp.ClientError, OSError, OutcomeDocumentError) as error:  # TimeoutError is an OSError
        # Some of aiohttp's errors show the address, and in it KEY.
        message = _("the run that was asked does not answer ({name__})", name__=type(error).__name__)
        raise RunGoneError(message) from None


class _Document(Struct, frozen=True):
    """An outcome, or the rejection of a delivered text, as one process tells it to another."""

    outcome: Literal["waiting", "linked", "failed", "rejected"]
    kept: bool = False
    authorization: dict[str, object] = {}
    error: dict[str, Any] = {}
    reason: str = ""
    message: str = ""
    hint: str = ""


def write_outcome(outcome: Outcome | None, language: Language = Language.ENGLISH) -> str:
    """Return the document for an outcome in this language; None: the process still waits for the redirect."""
    if outcome is None:
        return json.dumps({"outcome": "waiting"})
    if isinstance(outcome, Linked):
        record = outcome.authorization.to_json()
        return json.dumps({"outcome": "linked", "kept": outcome.kept, "authorization": record})
    error = outcome.error
    facts = {"kind": error.kind, "exit_status": error.exit_status} | _facts(vars(error))
    return json.dumps({"outcome": "failed", "error": facts | _words(error, language)})


def write_rejection(rejection: RedirectRejectedError, language: Language = Language.ENGLISH) -> str:
    """Return the document for a delivered text that is not the redirect that the process waits for."""
    return json.dumps({"outcome": "rejected", "reason": rejection.reason} | _words(rejection, language))


def _words(error: OAuthHelperError, language: Language) -> dict[str, str]:
    catalog = catalog_of(language)
    return {name: f"{translated(text, catalog)}" for name, text in (("message", error.message), ("hint", error.hint))}


def _facts(attributes: dict[str, object]) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if not name.startswith("_") and (value is None or isinstance(value, str | int | float))
    }


def read_outcome(document: str | bytes) -> Outcome | None:
    """Read what :func:`write_outcome` or :func:`write_rejection` returned; None: the process still waits.

    An error gets its own class back, so that its exit status and ``except`` clauses are right; a kind that this version
    does not know becomes an :class:`OAuthHelperError` with its exit status.

    Raises:
        RedirectRejectedError: The document says so.
        OutcomeDocumentError: It is not such a document.
    """
    try:
        # Not by msgspec.json: provider text may contain surrogates, which json escapes and msgspec refuses.
        read = msgspec.convert(json.loads(document), _Document)
        if read.outcome == "waiting":
            return None
        if read.outcome == "linked":
            return Linked(Authorization.from_json(read.authorization), read.kept)
        if read.outcome == "failed":
            return Failed(_error(read.error))
    except (ValueError, KeyError, RecursionError):
        raise OutcomeDocumentError("not an outcome") from None
    reason, message, hint = (safe_text(text, limit=_LONGEST_MESSAGE) for text in (read.reason, read.message, read.hint))
    raise RedirectRejectedError(reason, Text(message), hint=Text(hint))


def _error(written: dict[str, Any]) -> OAuthHelperError:
    classes = (each for each in _error_classes(OAuthHelperError) if vars(each).get("kind") == written.get("kind"))
    error_class = next(classes, OAuthHelperError)
    facts: dict[str, Any] = {"code": None, "request_id": None, "status": None, "answered_by": None}
    facts["nothing_created"] = False
    for name, value in _facts(written).items():
        facts[name] = Text(safe_text(value, limit=_LONGEST_MESSAGE)) if isinstance(value, str) else value
    if not isinstance(facts["message"], Text) or not isinstance(facts["hint"], Text):
        raise KeyError("message or hint")
    # Not by its own __init__, which may compose the message: that is done.
    error = error_class.__new__(error_class, facts["message"])
    vars(error).update({name: value for name, value in facts.items() if not hasattr(error_class, name)})
    status = written.get("exit_status")
    if type(status) is int and 0 < status < 256 and status != error_class.exit_status:
        error.exit_status = status
    return error


def _error_classes(root: type[OAuthHelperError]) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        yield from _error_classes(child)
