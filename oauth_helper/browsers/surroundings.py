"""What the search for browsers may look at: this machine, or one that a test describes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oauth_helper.browsers.candidates import Which
from oauth_helper.browsers.inheritance import inherited
from oauth_helper.browsers.process import reaped
from oauth_helper.phrase import Phrase, joined, phrase
from oauth_helper.presentable import presentable
from oauth_helper.whereabouts import CONTAINER_MARKS, Whereabouts, find_whereabouts

if sys.platform == "win32":  # pragma: no cover - only on Windows
    import winreg

_QUESTIONS: Final = (
    ("xdg-settings", "get", "default-web-browser"),
    ("xdg-mime", "query", "default", "x-scheme-handler/https"),
)
"""The default browser's desktop entry: the second is asked for where the first is at a loss."""
_PATIENCE: Final = 2.0
"""Seconds for both together; 0.06 was seen, but on some desktops they start programs of their own first."""
_X_DISPLAY: Final = re.compile(r"(?:tcp/|unix/)?([\w.-]*|\[[\da-fA-F:.]+\]):(\d{1,4})(?:\.\d+)?")
_X_PORT: Final = 6000
_ENTRY_NAME: Final = re.compile(r"[\w.+-]+\.desktop\b")
_ENOUGH: Final = 1 << 20
"""Bytes; what is read are launchers and lists, never the browser itself."""
_SNAP_PROGRAMS: Final = ("/snap/bin", "/var/lib/snapd/snap/bin")
"""Not on PATH in every session."""


def read_file(path: str) -> bytes:
    """Return the beginning of a file; nothing where there is none to be read."""
    file = Path(path)
    try:
        if not file.is_file():  # a FIFO would hold us
            return b""
        with file.open("rb") as stream:
            return stream.read(_ENOUGH)
    except OSError:
        return b""  # as good as absent: the next place is looked at


def read_registry(key: str, value: str) -> str:
    r"""Return a text from Windows' registry; nothing where there is none.

    Args:
        key: From the root on, such as ``HKEY_CURRENT_USER\Software``.
        value: Its name; empty for the key's default value.
    """
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        root, _, path = key.partition("\\")
        try:
            with winreg.OpenKey(getattr(winreg, root), path) as opened:
                data, kind = winreg.QueryValueEx(opened, value)
        except OSError:
            return ""
        return winreg.ExpandEnvironmentStrings(data) if kind == winreg.REG_EXPAND_SZ else str(data)
    return ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A machine as the search sees it."""

    environ: Mapping[str, str]
    platform: str
    """As :data:`sys.platform` has it; what is neither ``win32`` nor ``darwin`` is taken for a Linux desktop."""
    default_entries: tuple[str, ...] = ()
    """Names of desktop entries that may be the default browser's, best first."""
    which: Which = shutil.which
    realpath: Callable[[str], str] = os.path.realpath
    read: Callable[[str], bytes] = read_file
    registry: Callable[[str, str], str] = read_registry

    def find(self, program: str) -> str | None:
        """Return the path of ``program``, a name or a path; None where nothing of that kind can be started."""
        path = self.environ.get("PATH", os.defpath)
        if self.is_linux:
            # An empty part of PATH would mean the current folder.
            path = ":".join([*filter(None, path.split(":")), *_SNAP_PROGRAMS])
        return self.which(program, path=path)

    @property
    def is_linux(self) -> bool:
        """Whether this is a Linux desktop or something like it."""
        return self.platform not in {"darwin", "win32"}

    @property
    def is_wsl(self) -> bool:
        """Whether this is Linux inside Windows."""
        return self.is_linux and bool(self.environ.get("WSL_DISTRO_NAME") or self.environ.get("WSL_INTEROP"))


def why_no_display(environ: Mapping[str, str], platform: str) -> Phrase | None:
    """Return why neither the X nor the Wayland server that is set can be reached; None if one can, or none is set.

    It may have ended since a shell, tmux or su remembered it. Takes two seconds at most.
    """
    if platform in {"darwin", "win32"} or environ.get("WAYLAND_SOCKET"):
        return None
    reasons = []
    for name, address in (("WAYLAND_DISPLAY", _wayland_address(environ)), ("DISPLAY", _x_address(environ))):
        if address is None:
            if environ.get(name):
                return None  # It is written in a way that is not known here.
            continue
        try:
            _connect(address)
        except OSError as error:
            why = error.strerror or phrase("no answer")
            value = presentable(environ[name], limit=60)
            reasons.append(
                phrase('the display {name}="{value}" cannot be opened ({why})', name=name, value=value, why=why)
            )
        else:
            return None
    return joined(reasons) if reasons else None


def _wayland_address(environ: Mapping[str, str]) -> str | None:
    name = environ.get("WAYLAND_DISPLAY", "")
    folder = environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(folder, name) if name and (folder or name.startswith("/")) else None  # noqa: PTH118 of two texts


def _x_address(environ: Mapping[str, str]) -> str | tuple[str, int] | None:
    if not (found := _X_DISPLAY.fullmatch(environ.get("DISPLAY", ""))):
        return None
    host, number = found[1].strip("[]"), int(found[2])
    return (host, _X_PORT + number) if host not in {"", "unix"} else f"/tmp/.X11-unix/X{number}"  # noqa: S108 X(7)


def _connect(address: str | tuple[str, int]) -> None:
    if isinstance(address, tuple):
        socket.create_connection(address, timeout=_PATIENCE).close()
        return
    failure = OSError()
    # Linux has a second name for an X server, which needs no file.
    for name in (address, f"\0{address}"):
        with socket.socket(socket.AF_UNIX) as there:
            there.settimeout(_PATIENCE)
            try:
                there.connect(name)
            except OSError as error:
                failure = failure if failure.errno else error
            else:
                return
    raise failure


def whereabouts(environ: Mapping[str, str]) -> Whereabouts:
    """Return where we run on this machine."""
    return find_whereabouts(environ, has_container_mark=any(Path(mark).exists() for mark in CONTAINER_MARKS))


async def look_around(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Surroundings:
    """Return this machine's surroundings. Takes two seconds at most, in which the desktop's own tools are asked.

    A tool that is missing, broken or late is no error: there are other places to look at.
    """
    here = Surroundings(environ, platform)
    questions = _QUESTIONS if here.is_linux else ()
    # Not gather: where we are cancelled, it would not wait until each of them has ended what it started.
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(here, program, *arguments)) for program, *arguments in questions]
    answers = [task.result() for task in asked]
    return Surroundings(environ, platform, tuple(dict.fromkeys(_ENTRY_NAME.findall("\n".join(answers)))))


async def ask(here: Surroundings, program: str, *arguments: str) -> str:
    """Return what a program prints, within two seconds; nothing where it is missing or late."""
    if not (path := here.find(program)):
        return ""
    try:
        # Into a file: with a pipe, a grandchild that holds on to it would hold us too.
        with tempfile.TemporaryFile() as answer:
            await _run([path, *arguments], here.environ, answer.fileno())
            answer.seek(0)
            return answer.read(_ENOUGH).decode(errors="replace")
    except OSError:  # it cannot be started, is late (a TimeoutError is one), or temporary files have no folder
        return ""


async def _run(command: Sequence[str], environ: Mapping[str, str], answer: int) -> None:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=answer,
            stderr=asyncio.subprocess.DEVNULL,
            env=inherited(environ),
            start_new_session=True,
        )
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            # Were the start itself cancelled, asyncio would end the tool, but not what the tool has started.
            process = await asyncio.shield(starting)
            await process.wait()
    finally:
        process = await starting
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # they are scripts: what they started ends with them
            await reaped(process)
