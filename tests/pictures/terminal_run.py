"""A link in a real terminal with a real window: the command in a pty, and a headless Chromium with its user.

The window is the command's own. Chromium comes to it behind a script that keeps it off the screen and lets a second
one drive it too: the user, who presses Authorize as soon as the terminal has said all it says while it waits.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import re
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pyte
from browser_session import Chromium
from screen import COLUMNS, Screen, terminal

ARGUMENTS: Final = ("link", "github", "--sandbox", "--name", "github-ada")
_ROWS: Final = 60
"""More than are ever shown, so that nothing is scrolled away."""
_CLOCK: Final = re.compile(r"(?<![\d:])\d{1,2}:\d\d(?![\d:])")
_SECONDS: Final = 60
_PRESS: Final = """(() => {
    const button = document.querySelector("button[value=authorize]");
    button?.click();
    return Boolean(button);
})()"""


@dataclass(frozen=True)
class TerminalRun:
    """What was on the screen, as a terminal's cells."""

    waiting: pyte.Screen
    """While the window was open."""
    ended: pyte.Screen


@dataclass
class _Watcher:
    """Reads what a terminal is sent, and draws it."""

    screen: Screen
    drawn: pyte.Screen = field(default_factory=lambda: pyte.Screen(COLUMNS, _ROWS))
    sent: str = ""

    def __post_init__(self) -> None:
        self._stream = pyte.Stream(self.drawn)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._draw(f"\x1b[1m$ oauth-helper {shlex.join(ARGUMENTS)}\x1b[0m\r\n")

    async def read(self) -> bool:
        """Draw what comes next; return whether there was anything."""
        try:
            chunk = await self.screen.reader.read(4096)
        except OSError:  # Linux: the last user of the terminal has closed it
            return False
        self._draw(self._decoder.decode(chunk))
        return bool(chunk)

    def _draw(self, text: str) -> None:
        self._stream.feed(text)
        self.sent += text


async def run_in_terminal(locale: str) -> TerminalRun:
    """Link an account of the sandbox, in the language of ``locale`` (``en_US.UTF-8``), in a terminal of 80 columns.

    Raises:
        TimeoutError: It was not over in a minute.
        RuntimeError: It ended otherwise than with a link.
    """
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        folder = Path(name)
        async with (
            asyncio.timeout(_SECONDS),
            terminal(*ARGUMENTS, environ=_environ(folder, locale), columns=COLUMNS) as screen,
        ):
            watcher = _Watcher(screen)
            await _until_it_waits(watcher)
            waiting = _drawn(watcher.sent)
            pressing = asyncio.create_task(_press_authorize(folder))
            while await watcher.read():
                pass
            pressing.cancel()
            if status := await screen.process.wait():
                raise RuntimeError(f"status {status}:\n" + "\n".join(watcher.drawn.display).rstrip())
    return TerminalRun(waiting, watcher.drawn)


def _drawn(sent: str) -> pyte.Screen:
    screen = pyte.Screen(COLUMNS, _ROWS)
    pyte.Stream(screen).feed(sent)
    return screen


def _environ(folder: Path, locale: str) -> dict[str, str]:
    """Return the environment of a user at a desktop, with nothing in it of whoever makes the pictures."""
    chromium = folder / "bin" / "chromium"
    chromium.parent.mkdir()
    switches = "--headless=new --remote-debugging-port=0"
    path = shlex.quote(os.environ.get("PATH", os.defpath))
    chromium.write_text(f'#!/bin/sh\nPATH={path} exec {shlex.quote(str(Chromium.find()))} {switches} "$@"\n')
    chromium.chmod(0o755)
    (folder / "run").mkdir(mode=0o700)
    return {
        "PATH": str(chromium.parent),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "LANG": locale,
        "TERM": "xterm-256color",
        "DISPLAY": ":0",  # looked at by the command; a headless browser has no use for it
    }


async def _until_it_waits(watcher: _Watcher) -> None:
    """Wait until the window is open, and the line below that has counted twice."""
    counted: set[str] = set()
    while len(counted) < 2:
        if not await watcher.read():
            raise RuntimeError("it ended before it waited:\n" + "\n".join(watcher.drawn.display).rstrip())
        lines = [line for line in watcher.drawn.display if line.strip()]
        clock = _CLOCK.search(lines[-1])
        if clock and any("Chromium" in line for line in lines[:-1]):
            counted.add(clock[0])


async def _press_authorize(folder: Path) -> None:
    """Press the button in the window, over its own port."""
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):  # the page has just gone on to another
                if await _press(session, folder):
                    return
            await asyncio.sleep(0.1)


async def _press(session: aiohttp.ClientSession, folder: Path) -> bool:
    """Press the button in whichever page has it; return whether one has."""
    for port_file in folder.glob("oauth-helper-*/**/DevToolsActivePort"):
        port = port_file.read_text(encoding="utf-8").partition("\n")[0]
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            targets = await answer.json(content_type=None)
        for target in targets:
            if target["type"] == "page" and await _evaluate(session, target["webSocketDebuggerUrl"], _PRESS):
                return True
    return False


async def _evaluate(session: aiohttp.ClientSession, address: str, expression: str) -> Any:
    async with session.ws_connect(address) as socket:
        wanted = {"expression": expression, "returnByValue": True, "userGesture": True}
        await socket.send_json({"id": 1, "method": "Runtime.evaluate", "params": wanted})
        reply = await socket.receive()
    return json.loads(reply.data)["result"]["result"].get("value") if reply.type is aiohttp.WSMsgType.TEXT else None
