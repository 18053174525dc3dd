"""A browser's process: started away from our terminal, listened to, and ended with all of its group."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar, cast

from oauth_helper.browsers.trouble import BrowserTroubleError, ConnectionLostError
from oauth_helper.phrase import Phrase, phrase

Result = TypeVar("Result")

HAS_PYTHON: Final = os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)
"""Whether small programs of ours can be started beside us. In a frozen build ``sys.executable`` is ourselves."""

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
_REAPING: Final = 1.0
"""Seconds for the system to take a killed process away."""

_WITH_PIPE: Final = """
import os, sys
end = int(sys.argv[1])
for number in (3, 4):
    os.dup2(end, number)
    os.set_inheritable(number, True)  # dup2 of a number onto itself changes nothing
if end > 4:
    os.close(end)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Chromium reads its pipe at 3 and writes at 4, numbers that ``pass_fds`` cannot give and that a shell cannot reach
from above 9. ``preexec_fn`` could, but must not be used beside threads."""


def with_pipe(command: Sequence[str], end: int) -> list[str]:
    """Return ``command`` so that it finds the descriptor ``end`` under the numbers 3 and 4."""
    return [sys.executable, "-ISc", _WITH_PIPE, str(end), *command]


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


class BrowserProcess(asyncio.SubprocessProtocol):
    """A browser, and what it says on stderr, which is read to the end: a full pipe would stop it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._endpoint: asyncio.Future[str] = loop.create_future()
        self.trouble: asyncio.Future[Phrase] = loop.create_future()
        """Why it will never be of use: it has ended, or says that it may not be driven."""
        self.exited: asyncio.Future[None] = loop.create_future()
        self._said = b""
        self._transport: asyncio.SubprocessTransport

    @classmethod
    @asynccontextmanager
    async def started(
        cls, command: Sequence[str], *, environ: Mapping[str, str], inherit: Sequence[int] = (), patience: float
    ) -> AsyncIterator[BrowserProcess]:
        """Start ``command`` in a session of its own, so that Ctrl-C in our terminal is not meant for it.

        At the end it is gone with all its children: asked by SIGTERM, and killed ``patience`` seconds later.

        Raises:
            BrowserTroubleError: It cannot be started.
        """
        try:
            _, process = await asyncio.get_running_loop().subprocess_exec(
                cls,
                *command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # ours belongs to scripts
                stderr=subprocess.PIPE,
                pass_fds=inherit,
                start_new_session=True,
            )
        except OSError as error:
            raise BrowserTroubleError(phrase("could not be started ({strerror})", strerror=error.strerror)) from error
        try:
            yield process
        finally:
            await process._end(patience)

    @property
    def pid(self) -> int:
        """Its number, which is that of its group as well."""
        return self._transport.get_pid()

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

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002, D102 asyncio's; there is one pipe only
        self._said = (self._said + data)[-_KEPT:]
        if (found := _ENDPOINT.search(self._said)) and not self._endpoint.done():
            self._endpoint.set_result(found[1].decode())
        for words, meaning in _REFUSALS.items():
            if words in self._said and not self.trouble.done():
                self.trouble.set_result(meaning)

    def process_exited(self) -> None:  # noqa: D102 asyncio's
        self.exited.set_result(None)
        if not self.trouble.done():
            status = self._transport.get_returncode()
            self.trouble.set_result(
                phrase("ended with status {status}", status=status) if status else phrase("was closed")
            )

    async def _end(self, patience: float) -> None:
        try:
            if not self.exited.done():
                self._signal(signal.SIGTERM)
                await self.exits_within(patience)
        finally:
            # Children may live on after the process that ended first.
            self._signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
            try:
                await self.exits_within(_REAPING)
            finally:
                self._transport.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter where only zombies are left.
            if sys.platform != "win32":
                os.killpg(self.pid, number)
            else:  # pragma: no cover - only on Windows
                self._transport.terminate()  # Its children see it go, and follow.
