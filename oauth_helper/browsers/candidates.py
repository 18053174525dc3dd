"""Which commands would open an address in the user's default browser, best first. Starts nothing.

``BROWSER`` is read as Python's :mod:`webbrowser` reads it, and where it is set nothing else is tried: who sets it
wants that one. Without it the desktop's own openers come first, then browsers by name.
"""

from __future__ import annotations

import ntpath
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oauth_helper.phrase import NOTHING, Phrase, joined, phrase
from oauth_helper.presentable import presentable

Which = Callable[..., str | None]
"""As :func:`shutil.which`: called with a program's name and ``path``."""

OPENERS: Final = frozenset({"gio", "open", "rundll32.exe", "wslview", "xdg-open"})
"""They hand the address to a browser and end, within a second or so where all is well."""

GRAPHICAL: Final = (
    "firefox",
    "firefox-esr",
    "google-chrome",
    "google-chrome-stable",
    "chromium",
    "chromium-browser",
    "microsoft-edge",
    "microsoft-edge-stable",
    "brave-browser",
    "vivaldi",
    "vivaldi-stable",
    "opera",
    "librewolf",
    "epiphany",
    "falkon",
    "konqueror",
)
"""What a Linux desktop may have on ``PATH``."""

_TEXT_MODE: Final = frozenset(
    {"browsh", "carbonyl", "cha", "edbrowse", "elinks", "links", "links2", "lynx", "netrik", "retawq", "w3m"}
    | {"www-browser"}
)
"""They would fight with us for the terminal, and no Git host's consent page works in them."""

_CHROMIUM_FAMILY: Final = re.compile(
    "(brave|chrome|chromium|google-chrome|microsoft-edge|msedge|opera|vivaldi)(-(browser|stable|beta|dev|unstable|snapshot))*"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A command that opens an address, or why it is left out."""

    words: tuple[str, ...] = ()
    """The program's path and its arguments, ``%s`` where the address belongs."""
    left_out: Phrase = NOTHING

    def command(self, address: str) -> list[str]:
        """Return what to start in order to open ``address``."""
        return [self.words[0], *(word.replace("%s", address) for word in self.words[1:])]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be tried on this machine."""

    best_first: list[Candidate]
    """Never empty: where nothing was found, one says so."""
    chosen: bool
    """Whether they are the user's own choice, by ``BROWSER``."""

    def explain(self, failures: Iterable[Phrase]) -> Phrase:
        """Join why each of them was left out or failed, and name ``BROWSER`` where it is to blame."""
        reasons = joined(failures)
        return phrase("BROWSER is set, but {reasons}", reasons=reasons) if self.chosen else reasons


def browser_commands(
    address: str, environ: Mapping[str, str], platform: str, *, which: Which = shutil.which, is_root: bool = False
) -> list[list[str]]:
    """Return the commands that would open ``address``, best first.

    Args:
        address: Stands as one whole argument in each of them; no shell ever reads it.
        environ: ``BROWSER``, ``PATH``, ``DISPLAY``, ``WAYLAND_DISPLAY`` and the marks of WSL are looked at.
        platform: As :data:`sys.platform` has it.
        which: Finds a program.
        is_root: Chromium refuses to run as root with its sandbox on (crbug.com/638180), so it gets ``--no-sandbox``.
    """
    found = find_candidates(environ, platform, which=which, is_root=is_root)
    return [candidate.command(address) for candidate in found.best_first if candidate.words]


def why_no_browser(environ: Mapping[str, str], platform: str, *, which: Which = shutil.which) -> Phrase | None:
    """Return why no browser could be opened, in words for people; None if one could."""
    found = find_candidates(environ, platform, which=which)
    if any(candidate.words for candidate in found.best_first):
        return None
    return found.explain(candidate.left_out for candidate in found.best_first)


def name_of(program: str) -> str:
    """Return a program's name as people know it."""
    return presentable(Path(program).name, limit=60)


def find_candidates(
    environ: Mapping[str, str], platform: str, *, which: Which = shutil.which, is_root: bool = False
) -> Candidates:
    """Return the candidates, those that are left out among them; the arguments are :func:`browser_commands`'."""

    def find(program: str) -> str | None:
        return which(program, path=environ.get("PATH", os.defpath))

    separator = ";" if platform == "win32" else ":"
    chosen = [text for part in environ.get("BROWSER", "").split(separator) if (text := part.strip())]
    if chosen:
        found = [_chosen(text, platform, find) for text in chosen]
    else:
        found = list(_usual(environ, platform, find, is_root=is_root))
    return Candidates([_without_sandbox(each) for each in found] if is_root else found, chosen=bool(chosen))


def _chosen(text: str, platform: str, find: Which) -> Candidate:
    # A path with spaces and without quotes is a program too: webbrowser takes it so where there is no %s.
    if program := find(text):
        return _fit(program, ["%s"])
    try:
        words = _words(text, posix=platform != "win32")
    except ValueError:
        return Candidate(left_out=phrase("the quotes in it do not match"))
    if not words:
        return Candidate(left_out=phrase("it names no program"))
    # In any place: another program may be what starts it, as in `env lynx`.
    if textual := next((word for word in words if Path(word).name in _TEXT_MODE), None):
        return Candidate(left_out=phrase("{name_of} is a text-mode browser", name_of=name_of(textual)))
    if not (program := find(words[0])):
        return Candidate(left_out=phrase("{name_of} was not found", name_of=name_of(words[0])))
    arguments = words[1:]
    return _fit(program, arguments if any("%s" in word for word in arguments) else [*arguments, "%s"])


def _words(text: str, *, posix: bool) -> list[str]:
    words = shlex.split(text, posix=posix)
    if not posix:
        words = [word.strip('"') for word in words]
    if words[-1:] == ["&"]:  # webbrowser's sign for a browser that is not waited for: we wait for none
        del words[-1]
    return words


def _usual(environ: Mapping[str, str], platform: str, find: Which, *, is_root: bool) -> Iterator[Candidate]:
    commands = list(_usual_commands(environ, platform, is_root=is_root))
    if not commands:
        yield Candidate(left_out=phrase("no display: neither DISPLAY nor WAYLAND_DISPLAY is set"))
        return
    found = [_fit(path, arguments) for program, *arguments in commands if (path := find(program))]
    yield from found or [Candidate(left_out=phrase("no graphical browser was found on PATH"))]


def _usual_commands(environ: Mapping[str, str], platform: str, *, is_root: bool) -> Iterator[list[str]]:
    if platform == "darwin":
        yield ["open", "%s"]
        return
    if platform == "win32":
        # By its whole path: a search would begin in the current folder. It asks the shell's URL handler as
        # os.startfile does, and is a process of its own like every other candidate.
        system = environ.get("SystemRoot", r"C:\Windows")
        yield [ntpath.join(system, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", "%s"]
        return
    if environ.get("WSL_DISTRO_NAME") or environ.get("WSL_INTEROP"):
        # The user sits at Windows, where no display of ours is needed. explorer.exe opens a folder instead of an
        # address that has "=" in it (git-credential-manager issue 1490).
        yield ["wslview", "%s"]
        yield ["rundll32.exe", "url.dll,FileProtocolHandler", "%s"]
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        # sensible-browser is left out: it may choose a text-mode browser.
        openers = [["xdg-open", "%s"], ["gio", "open", "%s"]]
        browsers = [[name, "%s"] for name in ("x-www-browser", *GRAPHICAL)]
        # An opener would start Chromium as root without the switch that it then needs.
        yield from browsers + openers if is_root else openers + browsers


def _fit(program: str, arguments: list[str]) -> Candidate:
    if _names(program) & _TEXT_MODE:
        return Candidate(left_out=phrase("{name_of} is a text-mode browser", name_of=name_of(program)))
    return Candidate((program, *arguments))


def _without_sandbox(candidate: Candidate) -> Candidate:
    if candidate.words and any(map(_CHROMIUM_FAMILY.fullmatch, _names(candidate.words[0]))):
        return Candidate((candidate.words[0], "--no-sandbox", *candidate.words[1:]))
    return candidate


def _names(program: str) -> set[str]:
    # x-www-browser is a link to whatever the machine's owner chose (Debian's alternatives).
    return {Path(program).name, Path(os.path.realpath(program)).name}
