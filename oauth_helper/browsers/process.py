"""A browser's process: started away from our terminal, its output read, and ended with all of its group."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from oauth_helper.browsers.trouble import BrowserTroubleError, ConnectionLostError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable

Result = TypeVar("Result")

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
HAS_PYTHON: Final = (
    os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False) and _SUPERVISOR.is_file()
)
"""Whether a supervisor can be started. In a frozen build ``sys.executable`` is ourselves."""
_STDOUT: Final = 1
_STDERR: Final = 2
_CANNOT_START: Final = 127

_ENDPOINT: Final = re.compile(rb"(?:DevTools|WebDriver BiDi) listening on (ws://\S+)\s")
_REFUSALS: Final[Mapping[bytes, Phrase]] = {
    b"remote debugging is disallowed": phrase("may not be driven: a policy of this machine forbids it"),
    b"requires a non-default data directory": phrase("may not be driven in the profile that it chose"),
}
"""What Chromium says on stderr where the window comes up, but nothing will ever be answered."""
_KEPT: Final = 4096
"""Bytes of stderr that are looked through at once; a line of interest is shorter."""
_LAST_WORD: Final = 0.5
"""Seconds between a connection that is lost and the end of its process, which says more."""
_LAST_OUTPUT: Final = 0.2
"""Seconds between the end of a process and the end of its output, which its children may hold open."""
_REAPING: Final = 1.0
"""Seconds for the system to take a killed process away."""
_CLEARING_UP: Final = 8.0
"""Seconds for the supervisor to end the browser and remove its profile. It takes 0.1 as a rule."""

_PROGRAM_OUTPUT: Final = re.compile(r"^(?:\[[\d:/.]+:[A-Z]+[^\]]*\]|\(\S+:\d+\): \S+ \*\*: [\d:. ]+|\S{1,40}:\d+:) *")
"""What Chromium and GTK put before a line: process, time, level and place in the source."""
_NOISE: Final = re.compile(r"^\[[^\]]*\b(?:crashpad|dbus|gcm|gpu|vaapi|zygote)\b|^\*\* ")
"""The source of lines that say nothing about why Chromium ends; its helpers lose their connections as it does."""
_SECRET_LIKE: Final = re.compile(r"[?&#]\S+|[\w-]{40,}|\$2[aby]\$\d+\$\S+")
"""The query of an address, what is as long as a key, and what looks like a state: none of them is shown."""
_LINES_SHOWN: Final = 2
_CHARACTERS_SHOWN: Final = 300
_OF_THE_LOADER: Final = re.compile(
    r"shared librar|shared object|symbol lookup|undefined symbol|wrong ELF|invalid ELF|file too short|XPCOMGlueLoad"
)
"""What the system's loader, or Firefox's own, says of a library that does not fit."""
_LOADER_VARIABLES: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD")


async def reaped(process: asyncio.subprocess.Process) -> None:
    """Wait for a process that was killed, even where we are cancelled meanwhile.

    An end that nobody waits for leaves a zombie and a transport behind; after SIGKILL it is a matter of moments.
    """
    end = asyncio.ensure_future(process.wait())
    try:
        await asyncio.shield(end)
    except asyncio.CancelledError:
        await asyncio.wait({end}, timeout=_REAPING)
        raise


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a supervisor removes, and the lock that it holds until then."""

    folder: Path
    lock: int


class BrowserProcess(asyncio.SubprocessProtocol):
    """A browser and its output on stderr, which is read to the end: a full pipe would stop it.

    A supervisor (``supervisor.py``) runs the browser, except on Windows and in frozen builds.
    """

    def __init__(self, environ: Mapping[str, str], *, is_supervised: bool) -> None:
        loop = asyncio.get_running_loop()
        self._endpoint: asyncio.Future[str] = loop.create_future()
        self.trouble: asyncio.Future[Phrase] = loop.create_future()
        """Why it will never be of use: it has ended, or says that it may not be driven."""
        self.exited: asyncio.Future[None] = loop.create_future()
        self._is_supervised = is_supervised
        self._loader_variables = [name for name in _LOADER_VARIABLES if environ.get(name)]
        self._output = b""
        self._reports = b""
        self._group = 0
        """The browser's process group; 0 if it is unknown."""
        self._status: int | None = None
        self._all_ended: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        pipe: int | None = None,
        guarded: Guarded | None = None,
    ) -> AsyncIterator[BrowserProcess]:
        """Start ``command`` in a session of its own, so that Ctrl-C in our terminal is not meant for it.

        At the end it is killed with its process group. With ``guarded``, where there is a supervisor, that happens
        even if we are killed, and the folder is removed afterwards. ``pipe`` is a descriptor for the browser to find
        as 3 and 4; only a supervisor can do that.

        Raises:
            BrowserTroubleError: It cannot be started.
        """
        is_supervised = HAS_PYTHON and guarded is not None
        inherit: list[int] = []
        if is_supervised and guarded:
            numbers = (guarded.lock, -1 if pipe is None else pipe)
            command = [sys.executable, "-IS", str(_SUPERVISOR), str(guarded.folder), *map(str, numbers), *command]
            inherit = [number for number in numbers if number >= 0]
        try:
            _, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(environ, is_supervised=is_supervised),
                *command,
                env=environ,
                stdin=subprocess.PIPE if is_supervised else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_supervised else subprocess.DEVNULL,  # ours belongs to scripts
                stderr=subprocess.PIPE,
                pass_fds=inherit,
                start_new_session=True,
            )
        except OSError as error:
            raise BrowserTroubleError(phrase("could not be started ({strerror})", strerror=error.strerror)) from error
        if not is_supervised:
            process._group = process._transport.get_pid()
        try:
            yield process
        finally:
            await process._end()

    async def unless_in_trouble(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what ``work`` returns, but do not go on with it when the browser ends or refuses to be driven.

        Raises:
            BrowserTroubleError: Of ``work``, or because it cannot come to anything.
        """
        task = asyncio.create_task(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.trouble}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and isinstance(task.exception(), ConnectionLostError):
                await asyncio.wait({self.trouble}, timeout=_LAST_WORD)
            if self.trouble.done():
                raise BrowserTroubleError(self.trouble.result())
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def endpoint_within(self, seconds: float) -> str:
        """Return the websocket address at which it can be driven.

        Raises:
            BrowserTroubleError: It does not say one in time.
        """
        await asyncio.wait({self._endpoint}, timeout=seconds)
        if not self._endpoint.done():
            raise BrowserTroubleError(
                phrase("did not say within {seconds:g} seconds where it can be driven", seconds=seconds)
            )
        return self._endpoint.result()

    async def exits_within(self, seconds: float) -> bool:
        """Wait for its end so long; return whether it came."""
        await asyncio.wait({self.exited}, timeout=seconds)
        return self.exited.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 asyncio's
        # The promise is asyncio's; uvloop's transport does the same without being of that class.
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: D102 asyncio's
        if fd == _STDOUT:
            *reports, self._reports = (self._reports + data).split(b"\n")
            for report in reports:
                self._take(report.decode())
            return
        self._output = (self._output + data)[-_KEPT:]
        if (found := _ENDPOINT.search(self._output)) and not self._endpoint.done():
            self._endpoint.set_result(found[1].decode())
        for words, meaning in _REFUSALS.items():
            if words in self._output and not self.trouble.done():
                self.trouble.set_result(meaning)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002, D102 asyncio's
        if fd == _STDERR and self.exited.done():
            self._explain_end()

    def process_exited(self) -> None:  # noqa: D102 asyncio's
        self._all_ended.set_result(None)
        status = self._transport.get_returncode() or 0
        # A supervisor ends by itself after it has killed the browser.
        self._browser_ended(-signal.SIGKILL if self._is_supervised and not status else status)

    def _take(self, report: str) -> None:
        """Take a line of the supervisor's."""
        what, _, number = report.partition(" ")
        if what == "started":
            self._group = int(number)
        elif what == "ended":
            self._browser_ended(int(number))
        else:  # failed
            self.trouble.set_result(phrase("could not be started ({strerror})", strerror=os.strerror(int(number))))
            self._browser_ended(_CANNOT_START)

    def _browser_ended(self, status: int) -> None:
        if self.exited.done():
            return
        self.exited.set_result(None)
        self._status = status
        asyncio.get_running_loop().call_later(_LAST_OUTPUT, self._explain_end)

    def _explain_end(self) -> None:
        if self.trouble.done():
            return
        if not self._status:
            self.trouble.set_result(phrase("was closed"))
            return
        ended = phrase("ended with status {status}", status=self._status)
        if last := _last_lines(self._output):
            ended = phrase('{ended}: "{last}"', ended=ended, last=last)
        if self._loader_variables and _OF_THE_LOADER.search(self._output.decode(errors="replace")):
            ended = phrase(
                "{ended} ({names} is set, which may be the cause)",
                ended=ended,
                names=", ".join(self._loader_variables),
            )
        self.trouble.set_result(ended)

    async def _end(self) -> None:
        try:
            if self._is_supervised:
                stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
                stdin.close()
                await self._until_all_ended(_CLEARING_UP)
        finally:
            # Without a supervisor, or if it was killed; children may live on after the process that ended first.
            if not self._is_supervised or self._transport.get_returncode() != 0:
                self._kill()
                await self._until_all_ended(_REAPING)
            self._transport.close()

    async def _until_all_ended(self, seconds: float) -> None:
        """Wait so long for the end of the process that we started, even if we are cancelled meanwhile."""
        waiting = asyncio.ensure_future(asyncio.wait({self._all_ended}, timeout=seconds))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await waiting
            raise

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter where only zombies are left.
            if sys.platform == "win32":  # pragma: no cover - only on Windows
                self._transport.terminate()  # Its children see it go, and follow.
            elif self._group:
                os.killpg(self._group, signal.SIGKILL)


def _last_lines(output: bytes) -> str:
    """Return the last lines of a browser's output, fit to be shown."""
    lines = (line.strip() for line in output.decode(errors="replace").splitlines())
    lines = (_PROGRAM_OUTPUT.sub("", line) for line in lines if not _NOISE.search(line))
    told = list(dict.fromkeys(line for line in lines if line))[-_LINES_SHOWN:]
    return " / ".join(presentable(_SECRET_LIKE.sub("…", line), limit=_CHARACTERS_SHOWN) for line in told)
