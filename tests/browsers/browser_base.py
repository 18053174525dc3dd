"""What is common to the browsers that tests drive: the process, its profile, its websocket, and what a tab can do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_ENDPOINT: Final = re.compile(r"(?:DevTools|WebDriver BiDi) listening on (ws://\S+)")
_START_SECONDS: Final = 45
_CALL_SECONDS: Final = 30


class BrowserError(Exception):
    """The browser said that it could not do what it was told."""


class Tab(ABC):
    """One tab: what both browsers can do in it."""

    @abstractmethod
    async def open(self, address: str) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def screenshot(self) -> bytes: ...

    @abstractmethod
    async def resize(self, width: int, height: int) -> None: ...

    @abstractmethod
    async def chord(self, letter: str) -> None:
        """Press Ctrl and ``letter`` as a keyboard does: a selects, x cuts, v pastes."""

    @abstractmethod
    async def press_tab(self) -> None: ...

    @abstractmethod
    async def _evaluate(self, expression: str) -> str | None: ...

    async def evaluate(self, expression: str) -> Any:
        """Return what ``expression`` gives, through JSON; as if a user had just clicked."""
        text = await self._evaluate(f"JSON.stringify(({expression}))")
        return None if text is None else json.loads(text)

    async def wait_for(self, expression: str, *, seconds: float = 15) -> Any:
        """Return the first truthy value of ``expression``, on whatever page the tab comes to show."""
        async with asyncio.timeout(seconds):
            while True:
                # Between two pages there is nothing to evaluate in.
                with contextlib.suppress(BrowserError):
                    if value := await self.evaluate(expression):
                        return value
                await asyncio.sleep(0.05)


class Browser(ABC):
    """A browser with a profile of its own, both gone at the end."""

    names: ClassVar[tuple[str, ...]]
    tab: Tab
    """The first tab."""

    def __init__(self, *, dark: bool = False, scripts: bool = True, arguments: Sequence[str] = ()) -> None:
        self._dark = dark
        self._scripts = scripts
        self._arguments = arguments
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    def find(cls) -> str | None:
        """Return the installed program, or None."""
        return next(filter(None, map(shutil.which, cls.names)), None)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._profile = Path(tempfile.mkdtemp(prefix="browser-session-"))
            stack.push_async_callback(self._remove_profile)
            self._process = await self._launch()
            stack.push_async_callback(self._kill)
            async with asyncio.timeout(_START_SECONDS):
                endpoint = await self._endpoint()
                self._run(stack, self._drain())
                session = await stack.enter_async_context(aiohttp.ClientSession())
                self._socket = await stack.enter_async_context(
                    session.ws_connect(endpoint + self._path, max_msg_size=0)
                )
                self._run(stack, self._listen())
                self.tab = await self._first_tab()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @abstractmethod
    async def tabs(self) -> list[Tab]:
        """Return all tabs, the oldest first."""

    async def second_tab(self, *, seconds: float = 15) -> Tab:
        """Return the tab that the first one opened, as soon as there is one."""
        async with asyncio.timeout(seconds):
            while True:
                if len(tabs := await self.tabs()) > 1:
                    return tabs[1]
                await asyncio.sleep(0.05)

    _path: ClassVar[str]

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    async def _first_tab(self) -> Tab: ...

    async def call(self, method: str, parameters: dict[str, Any], *, session: str | None = None) -> dict[str, Any]:
        """Send a command of the browser's protocol and return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                reply = await answer
        finally:
            del self._answers[number]
        if "error" in reply:
            raise BrowserError(f"{method}: {reply.get('message', reply['error'])}")
        result: dict[str, Any] = reply["result"]
        return result

    async def _launch(self) -> asyncio.subprocess.Process:
        program = self.find()
        if program is None:
            raise BrowserError(f"none of {', '.join(self.names)} is installed")
        home = str(self._profile)
        return await asyncio.create_subprocess_exec(
            program,
            *self._command(),
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": home, "TMPDIR": home},
            start_new_session=True,
        )

    async def _endpoint(self) -> str:
        assert self._process.stderr
        async for line in self._process.stderr:
            if found := _ENDPOINT.search(line.decode(errors="replace")):
                return found[1]
        raise BrowserError("the browser ended before it could be driven")

    async def _drain(self) -> None:
        assert self._process.stderr
        while await self._process.stderr.read(65536):
            pass

    async def _listen(self) -> None:
        async for message in self._socket:
            reply = message.json()
            if answer := self._answers.get(reply.get("id")):
                answer.set_result(reply)
        for answer in self._answers.values():
            answer.set_result({"error": "the browser has gone"})

    def _run(self, stack: contextlib.AsyncExitStack, work: Any) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.wait({task})

        stack.push_async_callback(end)

    async def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _remove_profile(self) -> None:
        # Children of a killed browser may still write for a moment.
        for _ in range(40):
            shutil.rmtree(self._profile, ignore_errors=True)
            if not self._profile.exists():
                return
            await asyncio.sleep(0.05)
        raise BrowserError(f"the profile {self._profile} could not be removed")
