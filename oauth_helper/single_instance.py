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
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Annotated, Final, Literal, Self

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
from oauth_helper.events import AnyOutcome, Captured, Failed, Joined, Linked, Warned, Way
from oauth_helper.exchange import Tell, find_existing
from oauth_helper.i18n import Language, Text, _, catalog_of, translated
from oauth_helper.models import Authorization, LinkRequest, RepoType, Target, as_argument
from oauth_helper.private_files import private_folder, read_private
from oauth_helper.secret import Secret, decode_secret, safe_text

if sys.platform == "win32":  # pragma: no cover - Windows
    import msvcrt
else:
    import fcntl

_POLL: Final = 0.1  # seconds between two attempts to lock a target, and between two requests for an outcome
_TELL_AFTER: Final = 1.0  # seconds of waiting after which the user is told what this process waits for
_LOCKED_BYTE: Final = 1 << 30  # Windows: a locked byte cannot be read, so it is far behind the content
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3, sock_read=30)  # an answer may take 20 seconds
_LONGEST_TEXT: Final = 64 * 1024  # characters of a delivered text; a listener says of that many that they are too many
_LARGEST_ANSWER: Final = 1024 * 1024  # bytes; an authorization has about one thousand
_LONGEST_MESSAGE: Final = 4000  # characters of a text in an outcome; a message may name a path
_HINT: Final = _("Set XDG_RUNTIME_DIR to a folder of your own, and run the command as the user who runs `link`.")

Paste = Callable[["InstanceInfo"], Awaitable[object]]
"""Delivers what the user pastes here to another process."""


class RunGoneError(Exception):
    """The other process has ended without an outcome, or what answers on its port is not oauth-helper."""


def runtime_folder() -> Path:
    """Return the folder; create it if it is missing.

    It is ``oauth-helper`` in platformdirs' runtime folder: ``XDG_RUNTIME_DIR`` or ``/run/user/UID``; if neither exists
    (in a container, after ``su``), ``runtime-UID`` in the folder for temporary files.
    """
    try:
        if sys.platform != "win32" and (named := os.environ.get("XDG_RUNTIME_DIR")):
            _refuse_folder_of_another_user(Path(named))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns if it uses the temporary folder
            folder = user_runtime_path(ensure_exists=True) / "oauth-helper"
        private_folder(folder)
    except OSError as error:
        why = _('"{path}" cannot be used ({why})', path=error.filename, why=error.strerror)
        raise MachineError(why, hint=_HINT) from error
    except MachineError as error:
        error.hint = _HINT
        raise
    return folder


def _refuse_folder_of_another_user(folder: Path) -> None:
    """Report it, because platformdirs would use another folder without a word. A public folder is fine."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = folder.stat()
        if found.st_uid != os.geteuid() and not found.st_mode & stat.S_IWOTH:
            raise MachineError(_('XDG_RUNTIME_DIR is the folder of another user: "{folder}"', folder=folder))


class InstanceInfo(Struct, frozen=True, tag_field="format", tag=2):
    """How to reach a process that waits for its redirect. This is what the locked file contains."""

    name: str  # of the authorization that the process links, or of the host whose redirect it captures
    repo_type: RepoType | None  # None: it captures a redirect
    port: Annotated[int, Meta(ge=1, le=65535)]  # the listener's, on 127.0.0.1: a redirect is sent nowhere else
    key: Secret  # a KEY of the listener
    state: str | None  # the digest of the state that the process waits for; None: any redirect

    def address(self, path: str) -> URL:
        """Return the address of a page of the listener, with KEY."""
        return URL(f"http://127.0.0.1:{self.port}{path}?k={self.key.reveal()}", encoded=True)


def digest_of_state(state: str) -> str:
    """Return what identifies a state and is useless for an exchange."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def lock_path(folder: Path, target: Target) -> Path:
    """Return the file of this target."""
    return folder / f"{target.digest}.lock"


def try_lock(path: Path) -> FileIO | None:
    """Lock this file and empty it; None if another process has locked it. The lock ends when the file is closed.

    The lock belongs to the opened file, not to the process, so it also separates two links of one process. Python opens
    every file so that no child inherits it (PEP 446): our browser may outlive us. The file is never removed: another
    process may be opening it, and would then lock a file that nobody else finds.
    """
    flags = os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    file = None
    try:
        file = FileIO(path, "r+", opener=lambda name, mode: os.open(name, mode | flags, 0o600))
        if sys.platform == "win32":  # pragma: no cover - Windows has locks of its own
            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(file.fileno(), 0o600)  # a umask may take even our own permissions away
        file.truncate(0)
    except OSError as error:
        if file:
            file.close()
            # What the system reports if the file is locked.
            if isinstance(error, PermissionError if sys.platform == "win32" else BlockingIOError):
                return None
        raise MachineError(_("{path} cannot be locked: {strerror}", path=path, strerror=error.strerror)) from error
    return file


def waiting_instances(folder: Path) -> list[InstanceInfo]:
    """Return all processes that wait for their redirect. Files that are not valid, or not ours alone, are ignored."""
    paths = sorted(path for path in folder.glob("*.lock") if re.fullmatch(r"[0-9a-f]{32}", path.stem))
    return [instance for path in paths if (instance := _read_instance(path))]


def _read_instance(path: Path) -> InstanceInfo | None:
    # Lock first: another program may listen on the port of a process that has ended.
    if file := try_lock(path):
        file.close()
        return None
    try:
        return msgspec.json.decode(read_private(path) or b"", type=InstanceInfo, dec_hook=decode_secret)
    except (MachineError, ValueError, TypeError, RecursionError):
        return None


class SingleRun:
    """The link of one target, among all oauth-helper processes of this user.

    Without a folder in which the processes can find each other, each one continues alone, and this is reported.
    ``language`` is what this user reads; ``folder`` is the user's runtime folder by default.
    """

    def __init__(
        self,
        target: Target,
        repo_type: RepoType | None,
        tell: Tell,
        *,
        language: Language = Language.ENGLISH,
        folder: Path | None = None,
    ) -> None:
        self._name = target.name
        self._repo_type = repo_type
        self._tell = tell
        self._language = language
        self._file: FileIO | None = None
        self._path: Path | None = None
        self._told: set[bool] = set()
        try:
            self._path = lock_path(folder or runtime_folder(), target)
        except MachineError as error:
            self._continue_alone(error)

    @classmethod
    @contextmanager
    def of_a_capture(cls, host: str, tell: Tell) -> Iterator[Self]:
        """Let `deliver` find a capture: each one of this user has a file of its own."""
        run = cls(Target("", "", host), None, tell)
        try:
            if path := run._path:
                paths = (path.with_name(f"{number:032x}.lock") for number in count())
                run._file = next(filter(None, map(try_lock, paths)))
        except MachineError as error:
            run._continue_alone(error)
        with run._file or nullcontext():
            yield run

    @asynccontextmanager
    async def acquired_or_joined(
        self, request: LinkRequest, paste: Paste | None = None
    ) -> AsyncIterator[Linked | None]:
        """Hold the lock of the target within the context (None), or return what the process that holds it created.

        ``paste`` runs while another process holds the lock.
        """
        try:
            if linked := await self._acquire_or_join(request, paste):
                self._tell(linked)
        except OAuthHelperError as error:
            self._tell(Failed(error))
            raise
        with self._file or nullcontext():
            yield linked

    @asynccontextmanager
    async def acquired(self, timeout: float) -> AsyncIterator[bool]:  # noqa: ASYNC109 - it also reports the wait
        """Hold the lock of the target within the context; False if another process holds it for ``timeout`` seconds."""
        is_acquired = False
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._lock_or_find(finds=False)
                is_acquired = True
        with self._file or nullcontext():
            yield is_acquired

    @contextmanager
    def announced(self, listener: str, state: Secret | None) -> Iterator[None]:
        """Let other processes find this one while it waits for ``state``; ``listener`` is an address with a KEY."""
        url = URL(listener)
        digest = digest_of_state(state.reveal()) if state else None
        instance = InstanceInfo(self._name, self._repo_type, url.port or 0, Secret(url.query["k"]), digest)
        try:
            if self._file:
                self._file.seek(0)
                self._file.write(msgspec.json.encode(instance, enc_hook=Secret.reveal))
        except OSError as error:
            message = _("{path} cannot be written: {strerror}", path=self._path, strerror=error.strerror)
            self._continue_alone(MachineError(message))
        try:
            yield
        finally:
            if self._file:
                self._file.truncate(0)

    async def _acquire_or_join(self, request: LinkRequest, paste: Paste | None) -> Linked | None:
        try:
            async with asyncio.timeout(request.timeout):
                while instance := await self._lock_or_find():
                    self._tell_joined(can_deliver=True)
                    pasting = asyncio.ensure_future(paste(instance)) if paste else None
                    try:
                        match await outcome_of(instance, language=self._language):
                            case Linked(authorization):
                                find_existing(request, [authorization])
                                return Linked(authorization, kept=True)
                            case Failed(failure) if not isinstance(failure, StoppedError | OutcomeUnknownError):
                                raise failure
                    except RunGoneError:
                        pass
                    finally:
                        if pasting:
                            pasting.cancel()
                            await asyncio.gather(pasting, return_exceptions=True)
                    # The other process was stopped or is gone; when it has ended, this one takes the lock.
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise DeadlineError(
                _("Another oauth-helper is still linking {name}", name=self._name),
                hint=_(
                    "This one has stopped waiting; the other goes on. `oauth-helper show {name}` tells how it ended.",
                    name=as_argument(self._name),
                ),
            ) from None
        return None

    async def _lock_or_find(self, *, finds: bool = True) -> InstanceInfo | None:
        """Lock the target (None), or return the process that has locked it as soon as it can be reached.

        A process can be reached while it listens, and never if it uses no browser. Until then this waits.
        """
        timer = asyncio.get_running_loop().call_later(_TELL_AFTER, lambda: self._tell_joined(can_deliver=False))
        try:
            while self._path and not (file := try_lock(self._path)):
                if finds and (instance := _read_instance(self._path)):
                    return instance
                await asyncio.sleep(_POLL)
            self._file = file if self._path else None
        except MachineError as error:
            self._continue_alone(error)
        finally:
            timer.cancel()
        return None

    def _tell_joined(self, *, can_deliver: bool) -> None:
        if not self._told & {can_deliver, True}:
            self._told.add(can_deliver)
            self._tell(Joined(self._name, can_deliver))

    def _continue_alone(self, error: MachineError) -> None:
        text = _("{message}; other runs will not find this one. {hint}", message=error.message, hint=error.hint)
        self._tell(Warned(text, once=True))


async def outcome_of(
    instance: InstanceInfo, text: str | None = None, *, language: Language = Language.ENGLISH
) -> AnyOutcome:
    """Wait for the outcome of the link of this process, in words of ``language``; deliver ``text`` to it before."""
    async with aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Language": language.value},
        skip_auto_headers=("User-Agent",),
        timeout=_TIMEOUT,
        trust_env=False,  # no proxy is between two processes of one machine
    ) as session:
        if text is not None:
            form = {"redirect": text[:_LONGEST_TEXT].encode(errors="replace").decode(), "way": "deliver"}
            address = instance.address("/redirect")
            if outcome := await _answered(session.post(address, data=form, allow_redirects=False)):
                return outcome
        address = instance.address("/outcome")
        while True:
            if outcome := await _answered(session.get(address, allow_redirects=False)):
                return outcome
            await asyncio.sleep(_POLL)  # for a listener that does not hold its answers back


async def _answered(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> AnyOutcome | None:
    try:
        body = bytearray()
        async with request as answer:
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _LARGEST_ANSWER:
                    break
        return read_outcome(bytes(body))
    except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
        raise RunGoneError from None  # some of aiohttp's errors show the address, and in it KEY


class _Error(Struct, frozen=True):
    kind: str
    exit_status: Annotated[int, Meta(ge=1, le=255)]
    message: str
    hint: str
    facts: dict[str, bool | str | int | float | None] = {}  # the other attributes of the exception


class _Document(Struct, frozen=True):
    """An outcome, or the rejection of a delivered text, as one process tells it to another."""

    outcome: Literal["waiting", "linked", "captured", "failed", "rejected"]
    kept: bool = False
    authorization: dict[str, object] = {}
    error: _Error | None = None


def write_outcome(outcome: AnyOutcome | RedirectRejectedError | None, language: Language = Language.ENGLISH) -> str:
    """Return the document for the outcome of a link, or for the rejection of a delivered text, in this language.

    None means that the process still waits for the redirect.
    """
    if outcome is None or isinstance(outcome, Captured):
        return json.dumps({"outcome": "captured" if outcome else "waiting"})
    if isinstance(outcome, Linked):
        record = outcome.authorization.to_json()
        return json.dumps({"outcome": "linked", "kept": outcome.kept, "authorization": record})
    error, catalog = outcome.error if isinstance(outcome, Failed) else outcome, catalog_of(language)
    facts = {
        name: str(value) if isinstance(value, str) else value
        for name, value in vars(error).items()
        if name not in {"message", "hint"} and not name.startswith("_") and isinstance(value, str | int | float | None)
    }
    words = {name: f"{translated(text, catalog)}" for name, text in (("message", error.message), ("hint", error.hint))}
    written = {"kind": error.kind, "exit_status": error.exit_status, **words, "facts": facts}
    return json.dumps({"outcome": "failed" if isinstance(outcome, Failed) else "rejected", "error": written})


def read_outcome(document: str | bytes) -> AnyOutcome | None:
    """Read what :func:`write_outcome` returned; None: the process still waits.

    An error gets its own class back, so that its exit status and ``except`` clauses are right; a kind that this version
    does not know becomes an :class:`OAuthHelperError` with its exit status.
    """
    try:
        # Not by msgspec.json: provider text may contain surrogates, which json escapes and msgspec refuses.
        read = msgspec.convert(json.loads(document), _Document)
        if read.outcome == "linked":
            return Linked(Authorization.from_json(read.authorization), read.kept)
        if read.outcome in {"waiting", "captured"}:
            return Captured(Way.DELIVER) if read.outcome == "captured" else None
        error = _error(msgspec.convert(read.error, _Error))
    except (ValueError, RecursionError):
        raise ValueError("not an outcome") from None
    if read.outcome == "rejected":
        raise error
    return Failed(error)


def _error(written: _Error) -> OAuthHelperError:
    classes = [OAuthHelperError]
    for one in classes:
        classes += one.__subclasses__()
    error_class = next((one for one in classes if one.kind == written.kind), OAuthHelperError)
    message, hint = (Text(safe_text(text, limit=_LONGEST_MESSAGE)) for text in (written.message, written.hint))
    # Not by its own __init__, which may compose the message: that is done.
    error: OAuthHelperError = error_class.__new__(error_class, message)
    OAuthHelperError.__init__(error, message, hint=hint)
    for name, value in written.facts.items():
        vars(error)[name] = Text(safe_text(value, limit=_LONGEST_MESSAGE)) if isinstance(value, str) else value
    error.exit_status = written.exit_status
    return error
