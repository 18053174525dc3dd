"""Other oauth-helper processes of this user: lock a target, join its link, deliver a redirect."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import os
import re
import stat
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
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
from oauth_helper.exchange import check_existing
from oauth_helper.i18n import Sentence, Text, _
from oauth_helper.models import Authorization, LinkRequest, RepoType, Target, as_argument, is_legal_name
from oauth_helper.private_files import private_folder, read_private, remove_leftovers, write_whole
from oauth_helper.secret import Secret, safe_text

_LONGEST: Final = 4000
"""Characters of a template, of a value, and of what becomes of them."""
_DEEPEST: Final = 8
"""How often a phrase may stand within another."""
_MOST: Final = 64
"""Sentences in one phrase, and values in one sentence."""
_LARGEST: Final = 10**15
"""Numbers beyond it would fill a line."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_CONVERSIONS: Final = frozenset({None, "r", "s"})
_SPECIFICATIONS: Final[Mapping[str, tuple[type, ...]]] = {
    "": (str, int, float, type(None)),
    "02": (int,),
    "g": (int, float),
    ".0f": (int, float),
    ".1f": (int, float),
}
"""What may stand behind the colon, and of which types a value then is, so that none can fail to be formatted."""


class _UnfitError(ValueError):
    """It is no phrase that we would write."""


def write_phrase(text: str) -> list[dict[str, object]]:
    """Return what a phrase is made of, for JSON; nothing for a text that is no phrase."""
    return [_written(sentence) for sentence in text.sentences] if isinstance(text, Text) else []


def read_phrase(told: object, english: str) -> Text:
    """Return the phrase that :func:`write_phrase` was given, if it says ``english``; else ``english`` as it stands.

    Whoever wrote it may be of another version, or no run of ours at all: nothing in it raises, takes long, or has a
    user read another sentence than the English one.
    """
    try:
        text = _phrase(told, depth=0)
    except _UnfitError:
        return Text(english)
    return text if text == english else Text(english)


def _written(sentence: Sentence) -> dict[str, object]:
    fields = [*_fields(sentence.template), *_fields(sentence.plural)]
    if any(not isinstance(sentence.values[name], str | int | float) for name, is_plain in fields if not is_plain):
        return _written(
            Text(str(Text(sentences=(sentence,)))).sentences[0]
        )  # such as a time, which would be a plain text there
    written: dict[str, object] = {"template": sentence.template}
    written["values"] = {name: _plain(sentence.values[name]) for name, _ in fields}
    if sentence.plural:
        written |= {"plural": sentence.plural, "count": sentence.count}
    return written


def _plain(value: object) -> object:
    if isinstance(value, Text):
        return write_phrase(value)
    return value if value is None or type(value) in {bool, int, float, str} else str(value)


def _fields(template: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in a template, and whether the value's text is put there as it is."""
    for _unused, name, specification, conversion in Formatter().parse(template):
        if name is not None:
            yield name, not (specification or conversion)


def _phrase(told: object, *, depth: int) -> Text:
    if not isinstance(told, list) or not 0 < len(told) <= _MOST or depth > _DEEPEST:
        raise _UnfitError
    sentences = [_sentence(each, depth=depth) for each in told]
    if sum(len(Text(sentences=(sentence,))) for sentence in sentences) > _LONGEST:
        raise _UnfitError
    return Text(sentences=sentences)


def _sentence(told: object, *, depth: int) -> Sentence:
    match told:
        case {"template": str(template), "values": dict(values), "plural": str(plural), "count": int(count)}:
            if not plural or isinstance(count, bool) or not 0 <= count <= _LARGEST:
                raise _UnfitError
        case {"template": str(template), "values": dict(values)}:
            plural, count = "", 1
        case _:
            raise _UnfitError
    if len(values) > _MOST:
        raise _UnfitError
    read = {name: _value(value, depth=depth) for name, value in values.items()}
    for each in (template, plural) if plural else (template,):
        _check(each, read)
    return Sentence(template, read, plural, count)


def _value(told: object, *, depth: int) -> object:
    match told:
        case list():
            return _phrase(told, depth=depth + 1)
        case str() if len(told) > _LONGEST or not told.isprintable():
            raise _UnfitError
        case int() | float() if not -_LARGEST <= told <= _LARGEST:  # no number is between them if it is not one
            raise _UnfitError
        case str() | int() | float() | None:
            return told
        case _:
            raise _UnfitError


def _check(template: str, values: Mapping[str, object]) -> None:
    # An empty one is the name under which a catalog keeps what it says of itself.
    if not template or len(template) > _LONGEST or not template.isprintable():
        raise _UnfitError
    for name, specification, conversion in _strictly(template):
        types = _SPECIFICATIONS.get(specification)
        if types is None or conversion not in _CONVERSIONS or not _NAME.fullmatch(name):
            raise _UnfitError
        if name not in values or not isinstance(values[name], types) or (specification and conversion):
            raise _UnfitError


def _strictly(template: str) -> Sequence[tuple[str, str, str | None]]:
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        raise _UnfitError from None
    return [
        (name, specification or "", conversion) for _, name, specification, conversion in parsed if name is not None
    ]


_LONGEST_OUTCOME: Final = 4000
"""Characters of a text that is read back; a message may name a path."""
_STATUSES: Final = range(1, 256)


class OutcomeDocumentError(ValueError):
    """What came is no such document. Its text is not repeated."""


def write_outcome(outcome: Outcome | None) -> str:
    """Return the document that tells ``outcome``; None: the end is still waited for."""
    if outcome is None:
        return json.dumps({"outcome": "waiting"})
    if isinstance(outcome, Linked):
        record = outcome.authorization.to_json()
        return json.dumps({"outcome": "linked", "kept": outcome.kept, "authorization": record})
    error = outcome.error
    told = {"kind": error.kind, "exit_status": error.exit_status} | _facts(vars(error)) | _phrases(error)
    return json.dumps({"outcome": "failed", "error": told})


def write_rejection(rejection: RedirectRejectedError) -> str:
    """Return the document that says: what was delivered is not the redirect that is waited for."""
    words = {"reason": rejection.reason, "message": rejection.message, "hint": rejection.hint}
    return json.dumps({"outcome": "rejected"} | words | _phrases(rejection))


def _phrases(error: OAuthHelperError) -> dict[str, object]:
    """Return what the words are made of: who reads them may speak another language."""
    return {"phrases": {"message": write_phrase(error.message), "hint": write_phrase(error.hint)}}


def read_outcome(document: str | bytes) -> Outcome | None:
    """Read what :func:`write_outcome` or :func:`write_rejection` gave; None where the end is still waited for.

    An error comes back as one of its own class, so that its exit status and ``except`` clauses are right; one of a
    kind that this version does not know, as an :class:`OAuthHelperError` that bears its exit status.

    Raises:
        RedirectRejectedError: The document says so.
        OutcomeDocumentError: It is no such document.
    """
    try:
        told = json.loads(document)
    except (ValueError, RecursionError):
        raise OutcomeDocumentError("no JSON") from None
    match told:
        case {"outcome": "waiting"}:
            return None
        case {"outcome": "linked", "kept": bool(kept), "authorization": dict(record)}:
            return Linked(_authorization(record), kept)
        case {"outcome": "failed", "error": dict(facts)}:
            return Failed(_error(facts))
        case {"outcome": "rejected", "reason": str(reason), "message": str(message), "hint": str(hint)}:
            said, advised = _words(told, message, hint)
            raise RedirectRejectedError(safe_text(reason, limit=_LONGEST_OUTCOME), said, hint=advised)
        case _:
            raise OutcomeDocumentError("no document of an outcome")


def _facts(attributes: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in attributes.items()
        if not name.startswith("_") and (value is None or isinstance(value, str | int | float))
    }


def _words(told: Mapping[str, object], message: str, hint: str) -> tuple[Text, Text]:
    """Return them such that they can be said in any language of ours, where the document says how."""
    phrases = told.get("phrases")
    parts = phrases if isinstance(phrases, dict) else {}
    message, hint = (safe_text(text, limit=_LONGEST_OUTCOME) for text in (message, hint))
    return read_phrase(parts.get("message"), message), read_phrase(parts.get("hint"), hint)


def _authorization(record: Mapping[str, object]) -> Authorization:
    try:
        return Authorization.from_json(record)
    except ValueError:
        raise OutcomeDocumentError("an authorization without a name") from None


def _error(told: Mapping[str, object]) -> OAuthHelperError:
    kind, status = told.get("kind"), told.get("exit_status")
    known = next((each for each in _error_classes(OAuthHelperError) if vars(each).get("kind") == kind), None)
    error_class = known or OAuthHelperError
    facts: dict[str, object] = {"code": None, "request_id": None}
    for name, value in _facts(told).items():
        if not hasattr(error_class, name):
            facts[name] = safe_text(value, limit=_LONGEST_OUTCOME) if isinstance(value, str) else value
    message, hint = facts.get("message"), facts.get("hint")
    if not isinstance(message, str) or not isinstance(hint, str) or not _needed(error_class) <= facts.keys():
        raise OutcomeDocumentError("an error with something missing")
    facts["message"], facts["hint"] = _words(told, message, hint)
    # Not by its own __init__, which may compose the message: that is done.
    error = error_class.__new__(error_class, message)
    vars(error).update(facts)
    if type(status) is int and status in _STATUSES and status != error_class.exit_status:
        error.exit_status = status
    return error


def _error_classes(root: type[OAuthHelperError]) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        yield from _error_classes(child)


def _needed(error_class: type[OAuthHelperError]) -> set[str]:
    """Return what an error of this class cannot be made without; it keeps each under the same name."""
    parameters = inspect.signature(error_class).parameters.values()
    return {each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD}


_APPLICATION: Final = "oauth-helper"
_VARIABLE: Final = "XDG_RUNTIME_DIR"
_HINT: Final = _(
    "Set {variable} to a folder of your own, and run the command as the user who runs `link`.", variable=_VARIABLE
)


def runtime_folder() -> Path:
    """Return the folder; create it if it is missing.

    It is ``oauth-helper`` in platformdirs' runtime folder: ``XDG_RUNTIME_DIR`` or ``/run/user/UID``; if neither exists
    (in a container, after ``su``), ``runtime-UID`` in the folder for temporary files.

    Raises:
        MachineError: It cannot be created, or other users could change or replace it.
    """
    if named := os.environ.get(_VARIABLE):
        _refuse_another_users(Path(named))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns if it uses the temporary folder
            shared = user_runtime_path(ensure_exists=True)
    except OSError as error:
        raise MachineError(_("No folder for finding other runs: {error}", error=error), hint=_HINT) from error
    try:
        return private_folder(shared / _APPLICATION)
    except MachineError as error:
        error.hint = _HINT
        raise


def _refuse_another_users(folder: Path) -> None:
    """Report it instead of falling back silently to a folder where no other run is. A public folder is fine."""
    if sys.platform == "win32":  # pragma: no cover - Windows has neither the variable nor such an owner
        return
    try:
        found = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise MachineError(
            _(
                '{variable} cannot be used: "{folder}": {strerror}',
                variable=_VARIABLE,
                strerror=error.strerror,
                folder=folder,
            ),
            hint=_HINT,
        ) from error
    if found.st_uid != os.geteuid() and not found.st_mode & stat.S_IWOTH:
        raise MachineError(
            _('{variable} is the folder of another user: "{folder}"', variable=_VARIABLE, folder=folder),
            hint=_HINT,
        )


if sys.platform == "win32":  # pragma: no cover - Windows alone has this module
    import msvcrt
else:
    import fcntl

PAUSE: Final = 0.1
"""Seconds between two tries, of whatever it is that another run has to do first."""

_OPENED: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
"""Python opens every file so that no child keeps it (PEP 446): a browser of ours may outlive us."""
_TAKEN: Final = PermissionError if sys.platform == "win32" else BlockingIOError
"""What the system says where another open file has the lock."""


class TargetLock:
    """The right to link one target, until it is released or its process ends, however that ends. A context manager.

    The lock belongs to the opened file, not to the process: two links of one process exclude each other too. The file
    is empty and stays, because to remove it while others may be opening it would let two of them have "the" lock.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def try_take(cls, folder: Path, target: Target) -> Self | None:
        """Return the claim to ``target``; None while somebody has it.

        Raises:
            MachineError: Nothing can be locked in ``folder``.
        """
        return cls.try_take_by_digest(folder, target.digest)

    @classmethod
    def try_take_by_digest(cls, folder: Path, digest: str) -> Self | None:
        """As :meth:`try_take`. What a dead run left under its notice's name is removed: nobody is there any more."""
        path = lock_path(folder, digest)
        try:
            descriptor = os.open(path, _OPENED, 0o600)
        except OSError as error:
            raise _no_claim(path, error) from error
        claim = cls(descriptor)
        try:
            if sys.platform != "win32":  # pragma: no branch - a umask may take even our own permissions away
                os.fchmod(descriptor, 0o600)
            if _lock(descriptor):
                notice_path(folder, digest).unlink(missing_ok=True)
                return claim
        except OSError as error:
            claim.release()
            raise _no_claim(path, error) from error
        claim.release()
        return None

    def release(self) -> None:
        """Let the next one have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_path(folder: Path, digest: str) -> Path:
    """Return the file whose lock is the claim."""
    return folder / f"{digest}.lock"


def notice_path(folder: Path, digest: str) -> Path:
    """Return the file in which who has the claim says where it can be spoken to."""
    return folder / f"{digest}.json"


def _lock(descriptor: int) -> bool:
    """Lock the file, unless another open file holds the lock.

    Raises:
        OSError: The file system knows no locks.
    """
    try:
        if sys.platform == "win32":  # pragma: no cover - Windows has locks of its own
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _TAKEN:
        return False
    return True


def _no_claim(path: Path, error: OSError) -> MachineError:
    return MachineError(_("{path} cannot be locked: {strerror}", path=path, strerror=error.strerror))


_FORMAT: Final = 1
_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:([0-9]{1,5})/start\?k=([A-Za-z0-9_-]{22,})")
"""Loopback by its number alone, and a KEY of at least 128 bits: a redirect is sent nowhere else."""
_PORTS: Final = range(1, 65536)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """Where a run that waits can be spoken to."""

    digest: str
    """Of its :class:`~oauth_helper.pending.Target`."""
    name: str
    """Of the authorization that it is to bring about."""
    repo_type: RepoType
    pid: int
    port: int
    """The listener's, on 127.0.0.1."""
    key: Secret
    """KEY; opens the listener's pages too."""
    state: str | None = None
    """What :func:`digest_of_state` gives for the state that it waits for."""


def digest_of_state(state: str) -> str:
    """Return what tells a state from any other without being good for an exchange."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def noticed(
    folder: Path, target: Target, *, address: str, repo_type: RepoType, state: Secret | None = None
) -> Iterator[None]:
    """Let others find this run, which has the claim to ``target``, until the context ends.

    ``address`` is the listener's ``/start?k=KEY``, with a KEY of its own.

    Raises:
        MachineError: On entering, the notice cannot be written.
    """
    path = notice_path(folder, target.digest)
    told = {"format": _FORMAT, "listener": address, "pid": os.getpid(), "name": target.name, "repo_type": repo_type}
    if state:
        told["state"] = digest_of_state(state.reveal())
    try:
        remove_leftovers(folder)
        write_whole(path, json.dumps(told))
    except OSError as error:
        raise MachineError(_("{path} cannot be written: {strerror}", path=path, strerror=error.strerror)) from error
    try:
        yield
    finally:
        with suppress(OSError):  # then it is removed when nobody has the claim any more
            path.unlink()


def waiting_instances(folder: Path) -> list[InstanceInfo]:
    """Return the notices of all runs that can be spoken to; those of dead ones are removed.

    What is no notice, or is not to be trusted, is passed over.

    Raises:
        MachineError: It cannot be found out who lives.
    """
    digests = sorted(path.stem for path in folder.glob("*.json") if _DIGEST.fullmatch(path.stem))
    found = (_notice(folder, digest) for digest in digests)
    return [notice for notice in found if notice]


def find_instance(folder: Path, target: Target) -> InstanceInfo | None:
    """Return the notice of the run that links ``target``, if there is one and it can be spoken to.

    Raises:
        MachineError: As :func:`waiting_instances`.
    """
    return _notice(folder, target.digest) if notice_path(folder, target.digest).exists() else None


def _notice(folder: Path, digest: str) -> InstanceInfo | None:
    # Asked first: on the port of a run that is dead, anybody may listen by now.
    if claim := TargetLock.try_take_by_digest(folder, digest):
        claim.release()
        return None
    try:
        text = read_private(notice_path(folder, digest))
        return _read(digest, text) if text is not None else None
    except (MachineError, ValueError, RecursionError):
        return None


def _read(digest: str, text: str) -> InstanceInfo:
    match record := json.loads(text):
        case {"format": 1, "listener": str(listener), "pid": int(pid), "name": str(name), "repo_type": str(repo_type)}:
            address = _ADDRESS.fullmatch(listener)
            if address and int(address[1]) in _PORTS and is_legal_name(name):
                awaited = record.get("state")
                return InstanceInfo(
                    *(digest, name, RepoType(repo_type), pid, int(address[1]), Secret(address[2])),
                    state=awaited if isinstance(awaited, str) else None,
                )
        case _:
            pass
    raise ValueError("no notice")


_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3, sock_read=30)
"""Seconds for one question, for its connection, and for each piece of the answer, which is held back for 20."""
_LONGEST_ANSWER: Final = 64 * 1024
"""Characters of what is delivered; with as many, a listener says that they are too many."""
_LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes. An authorization has about one thousand."""


class RunGoneError(Exception):
    """That run has gone without telling how its story ended, or does not answer as a run of ours does."""


async def deliver(notice: InstanceInfo, text: str) -> Outcome:
    """Deliver ``text``, which holds the redirect, to the run that ``notice`` is of; return how its story ended.

    Once the text is taken, this waits as :func:`outcome` does.

    Raises:
        RedirectRejectedError: That run says that it is not the redirect it waits for; it waits on.
        RunGoneError: It has gone. Whether it took the text is not known.
    """
    whole = text[:_LONGEST_ANSWER].encode(errors="replace").decode()
    async with _session() as session:
        form = {"redirect": whole, "way": "deliver"}
        told = await _answer(session.post(_address(notice, "/redirect"), data=form, allow_redirects=False))
        return told or await _until_told(session, notice)


async def outcome(notice: InstanceInfo) -> Outcome:
    """Wait for the end of the story of the run that ``notice`` is of.

    The wait ends with that run's own deadline; a run that is stopped but not ended stops answering, and is as gone.

    Raises:
        RunGoneError: It has gone.
    """
    async with _session() as session:
        return await _until_told(session, notice)


async def _until_told(session: aiohttp.ClientSession, notice: InstanceInfo) -> Outcome:
    while True:
        told = await _answer(session.get(_address(notice, "/outcome"), allow_redirects=False))
        if told:
            return told
        await asyncio.sleep(PAUSE)  # for a run that does not hold its answers back


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json"},
        skip_auto_headers=("User-Agent",),
        timeout=_TIMEOUT,
        trust_env=False,  # no proxy stands between two processes of one machine
    )


def _address(notice: InstanceInfo, path: str) -> URL:
    return URL(f"http://127.0.0.1:{notice.port}{path}?k={notice.key.reveal()}", encoded=True)


async def _answer(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Outcome | None:
    try:
        async with request as answer:
            return read_outcome(await _body(answer))
    except (aiohttp.ClientError, OSError, OutcomeDocumentError) as error:  # TimeoutError is an OSError
        # Some of aiohttp's errors show the address, and in it KEY.
        raise RunGoneError(
            _("the run that was asked does not answer ({name__})", name__=type(error).__name__)
        ) from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _LARGEST_ANSWER:
            raise OutcomeDocumentError("longer than any")
    return bytes(body)


Found = TypeVar("Found")
_WORTH_TELLING: Final = 1.0
"""Seconds of waiting after which the user is told what is waited for."""


async def claim_or_find(
    folder: Path, target: Target, tell_of_wait: Callable[[], None] = lambda: None
) -> TargetLock | InstanceInfo:
    """Take the claim to ``target``, or find the run that has it.

    A run that has the claim can be found only once it listens, and never if it uses no browser: until then, or until
    it ends, this waits, and calls ``tell_of_wait`` once if that takes longer than a moment. The caller says how long.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    return await _until(lambda: TargetLock.try_take(folder, target) or find_instance(folder, target), tell_of_wait)


async def claim_when_free(folder: Path, target: Target, tell_of_wait: Callable[[], None] = lambda: None) -> TargetLock:
    """Wait until no run has the claim to ``target``, and take it; otherwise as :func:`claim_or_find`.

    Raises:
        MachineError: Nothing can be locked in ``folder``.
    """
    return await _until(lambda: TargetLock.try_take(folder, target), tell_of_wait)


async def _until(find: Callable[[], Found | None], tell_of_wait: Callable[[], None]) -> Found:
    telling = asyncio.get_running_loop().call_later(_WORTH_TELLING, tell_of_wait)
    try:
        while (found := find()) is None:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(PAUSE)
        return found
    finally:
        telling.cancel()


class SingleRun:
    """The link of one target, among all oauth-helper processes of this user.

    If there is no folder in which the processes can find each other, each continues alone.
    """

    def __init__(self, folder: Path | None, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> None:
        self._folder = folder
        self._target = target
        self._repo_type = repo_type
        self._tell = tell

    @classmethod
    def of_the_user(cls, target: Target, repo_type: RepoType, tell: Callable[[Event], None]) -> SingleRun:
        """Use the user's runtime folder; report it if that cannot be used."""
        try:
            folder = runtime_folder()
        except MachineError as error:
            tell(_alone_warning(error))
            return cls(None, target, repo_type, tell)
        return cls(folder, target, repo_type, tell)

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
        if self._folder is None:
            yield None
            return
        try:
            async with asyncio.timeout(request.timeout):
                lock_or_linked = await self._acquire_or_join(self._folder, request, paste)
        except TimeoutError:
            raise self._failed(_still_linked(request.name)) from None
        except OAuthHelperError as error:
            raise self._failed(error) from error.__cause__
        if isinstance(lock_or_linked, Linked):
            self._tell(lock_or_linked)
            yield lock_or_linked
        else:
            with lock_or_linked or nullcontext():
                yield None

    @asynccontextmanager
    async def acquired(self, timeout: float) -> AsyncIterator[bool]:  # noqa: ASYNC109 - it also reports the wait
        """Hold the lock of the target within the context; False if another process holds it for ``timeout`` seconds."""
        joined = Joined(self._target.name, can_deliver=False)
        with ExitStack() as stack:
            try:
                if self._folder:
                    async with asyncio.timeout(timeout):
                        lock = await claim_when_free(self._folder, self._target, lambda: self._tell(joined))
                        stack.enter_context(lock)
            except TimeoutError:
                yield False
                return
            except MachineError as error:
                self._tell(_alone_warning(error))
            yield True

    @contextmanager
    def announced(self, listener: str, state: Secret) -> Iterator[None]:
        """Let other processes find this one at the address of its listener while it waits for ``state``."""
        with ExitStack() as stack:
            try:
                if self._folder:
                    place = noticed(
                        self._folder, self._target, address=listener, repo_type=self._repo_type, state=state
                    )
                    stack.enter_context(place)
            except MachineError as error:
                self._tell(_alone_warning(error))
            yield

    async def _acquire_or_join(
        self, folder: Path, request: LinkRequest, paste: Callable[[InstanceInfo], Awaitable[object]] | None
    ) -> TargetLock | Linked | None:
        told = Joined(request.name, can_deliver=False), Joined(request.name)
        untold = [*told]

        def tell(joined: Joined) -> None:
            if joined in untold:  # once, and nothing less after more
                del untold[: untold.index(joined) + 1]
                self._tell(joined)

        while True:
            try:
                lock_or_instance = await claim_or_find(folder, self._target, lambda: tell(told[0]))
            except MachineError as error:
                self._tell(_alone_warning(error))
                return None
            if isinstance(lock_or_instance, TargetLock):
                return lock_or_instance
            tell(told[1])
            match await _outcome_while_pasting(lock_or_instance, paste):
                case Linked(authorization):
                    check_existing(request, authorization)
                    return Linked(authorization, kept=True)
                case Failed(failure) if not isinstance(failure, StoppedError | OutcomeUnknownError):
                    raise failure
            # The other process was stopped or is gone; when it has ended, this one takes the lock.
            await asyncio.sleep(PAUSE)

    def _failed(self, error: OAuthHelperError) -> OAuthHelperError:
        self._tell(Failed(error))
        return error


def _alone_warning(error: MachineError) -> Warned:
    return Warned(
        _("{message}; other runs will not find this one. {hint}", message=error.message, hint=error.hint),
        once=True,
    )


def _still_linked(name: str) -> DeadlineError:
    return DeadlineError(
        _("Another oauth-helper is still linking {name}", name=name),
        hint=_(
            "This one has stopped waiting; the other goes on. `oauth-helper show {name}` tells how it ended.",
            name=as_argument(name),
        ),
    )


async def _outcome_while_pasting(
    instance: InstanceInfo, paste: Callable[[InstanceInfo], Awaitable[object]] | None
) -> Outcome | None:
    """Wait for the outcome; None if the process has gone without one."""
    pasting = asyncio.ensure_future(paste(instance)) if paste else None
    try:
        return await outcome(instance)
    except RunGoneError:
        return None
    finally:
        if pasting:
            pasting.cancel()
            await asyncio.gather(pasting, return_exceptions=True)
