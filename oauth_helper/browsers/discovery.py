"""Find browsers and the default browser, and open an address in it."""

from __future__ import annotations

import asyncio
import ntpath
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile, islice, takewhile
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from oauth_helper.browsers.drivers import reaped
from oauth_helper.credential_sources import SECRET_VARIABLES
from oauth_helper.environment import CONTAINER_MARKS, Environment, find_environment
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import NO_TEXT, Text, _, joined
from oauth_helper.secret import safe_text


class Family(StrEnum):
    """By which protocol a browser is asked to hold the redirect."""

    CHROMIUM = "chromium"
    """The DevTools protocol."""
    FIREFOX = "firefox"
    """WebDriver BiDi."""


@dataclass(frozen=True, slots=True)
class Product:
    """One browser under all its names."""

    family: Family
    name: str
    """For people."""
    stems: frozenset[str]
    """What its program's file name may be without the channel, in lower case, hyphens for spaces."""
    executable: str
    """On Windows."""
    app: str
    """The program inside the folder of applications on macOS."""
    bundle: str
    """Its identifier at macOS' LaunchServices, in lower case."""
    flatpak: str
    """Its identifier at Flathub."""


PRODUCTS: Final = (
    Product(
        Family.CHROMIUM,
        "Google Chrome",
        stems=frozenset({"chrome", "google-chrome"}),
        executable="chrome.exe",
        app="Google Chrome.app/Contents/MacOS/Google Chrome",
        bundle="com.google.chrome",
        flatpak="com.google.Chrome",
    ),
    Product(
        Family.CHROMIUM,
        "Chromium",
        stems=frozenset({"chromium"}),
        executable="chromium.exe",
        app="Chromium.app/Contents/MacOS/Chromium",
        bundle="org.chromium.chromium",
        flatpak="org.chromium.Chromium",
    ),
    Product(
        Family.CHROMIUM,
        "Microsoft Edge",
        stems=frozenset({"microsoft-edge", "msedge"}),
        executable="msedge.exe",
        app="Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        bundle="com.microsoft.edgemac",
        flatpak="com.microsoft.Edge",
    ),
    Product(
        Family.CHROMIUM,
        "Brave",
        stems=frozenset({"brave"}),
        executable="brave.exe",
        app="Brave Browser.app/Contents/MacOS/Brave Browser",
        bundle="com.brave.browser",
        flatpak="com.brave.Browser",
    ),
    Product(
        Family.CHROMIUM,
        "Vivaldi",
        stems=frozenset({"vivaldi"}),
        executable="vivaldi.exe",
        app="Vivaldi.app/Contents/MacOS/Vivaldi",
        bundle="com.vivaldi.vivaldi",
        flatpak="com.vivaldi.Vivaldi",
    ),
    Product(
        Family.CHROMIUM,
        "Opera",
        stems=frozenset({"opera"}),
        executable="opera.exe",
        app="Opera.app/Contents/MacOS/Opera",
        bundle="com.operasoftware.opera",
        flatpak="com.opera.Opera",
    ),
    Product(
        Family.FIREFOX,
        "Firefox",
        stems=frozenset({"firefox"}),
        executable="firefox.exe",
        app="Firefox.app/Contents/MacOS/firefox",
        bundle="org.mozilla.firefox",
        flatpak="org.mozilla.firefox",
    ),
    Product(
        Family.FIREFOX,
        "LibreWolf",
        stems=frozenset({"librewolf"}),
        executable="librewolf.exe",
        app="LibreWolf.app/Contents/MacOS/librewolf",
        bundle="org.mozilla.librewolf",
        flatpak="io.gitlab.librewolf-community",
    ),
)
"""Within a family, those that most people have come first."""

_CHANNEL: Final = re.compile(
    "(-(bin|browser|stable|beta|dev|unstable|canary|nightly|snapshot|esr|developer-edition|for-testing))+$"
)


def product_of(program: str) -> Product | None:
    """Return which browser ``program`` is, judged by its file name or Flathub identifier; None if by neither."""
    file_name = ntpath.basename(program)  # splits at both kinds of slash
    stem = _CHANNEL.sub("", file_name.lower().removesuffix(".exe").replace(" ", "-"))
    return next((product for product in PRODUCTS if file_name == product.flatpak or stem in product.stems), None)


_PROXIES: Final = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy"})
_USER_AND_PASSWORD: Final = re.compile(r"^([a-z0-9+.-]+://)?[^/]*@", re.IGNORECASE)


_OF_TEST_MACHINES: Final = re.compile(
    # No window comes up.
    "MOZ_HEADLESS.*|(CHROME|CHROMIUM|GOOGLE_CHROME)_HEADLESS"
    # Firefox behaves as in a test, is driven by another program, or refuses the network or a second start.
    "|MOZ_(IN_)?AUTOMATION|MOZ_DISABLE_NONLOCAL_CONNECTIONS|MOZ_MARIONETTE|MOZ_REMOTE_.*|MOZ_NO_REMOTE|MOZ_NEW_INSTANCE"
    # It uses another profile than the one that it is started with.
    "|XRE_PROFILE(_LOCAL)?_PATH"
)
"""Variables of test images and CI containers, by which a browser does not do what a user in front of it needs."""
_INVISIBLE: Final[Mapping[str, str]] = {
    "GDK_BACKEND": "broadway",
    "OZONE_PLATFORM": "headless",
    "OZONE_PLATFORM_HINT": "headless",
    "QT_QPA_PLATFORM": "minimal|offscreen|vnc",
}
"""Variables with which no window comes up if they have such a value."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without our credentials, and with proxies without their users and passwords.

    Also without what makes a browser run as in a test, or where it cannot be seen.
    """
    return {
        name: _USER_AND_PASSWORD.sub(r"\1", value) if name.casefold() in _PROXIES else value
        for name, value in environ.items()
        if name not in SECRET_VARIABLES and not _OF_TEST_MACHINES.fullmatch(name) and not _is_invisible(name, value)
    }


def _is_invisible(name: str, value: str) -> bool:
    return name in _INVISIBLE and bool(re.match(_INVISIBLE[name], value))


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
    left_out: Text = NO_TEXT

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

    def explain(self, failures: Iterable[Text]) -> Text:
        """Join why each of them was left out or failed, and name ``BROWSER`` where it is to blame."""
        reasons = joined(failures)
        return _("BROWSER is set, but {reasons}", reasons=reasons) if self.chosen else reasons


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


def why_no_browser(environ: Mapping[str, str], platform: str, *, which: Which = shutil.which) -> Text | None:
    """Return why no browser could be opened, in words for people; None if one could."""
    found = find_candidates(environ, platform, which=which)
    if any(candidate.words for candidate in found.best_first):
        return None
    return found.explain(candidate.left_out for candidate in found.best_first)


def name_of(program: str) -> str:
    """Return a program's name as people know it."""
    return safe_text(Path(program).name, limit=60)


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
        return Candidate(left_out=_("the quotes in it do not match"))
    if not words:
        return Candidate(left_out=_("it names no program"))
    # In any place: another program may be what starts it, as in `env lynx`.
    if textual := next((word for word in words if Path(word).name in _TEXT_MODE), None):
        return Candidate(left_out=_("{name_of} is a text-mode browser", name_of=name_of(textual)))
    if not (program := find(words[0])):
        return Candidate(left_out=_("{name_of} was not found", name_of=name_of(words[0])))
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
        yield Candidate(left_out=_("no display: neither DISPLAY nor WAYLAND_DISPLAY is set"))
        return
    found = [_fit(path, arguments) for program, *arguments in commands if (path := find(program))]
    yield from found or [Candidate(left_out=_("no graphical browser was found on PATH"))]


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
        return Candidate(left_out=_("{name_of} is a text-mode browser", name_of=name_of(program)))
    return Candidate((program, *arguments))


def _without_sandbox(candidate: Candidate) -> Candidate:
    if candidate.words and any(map(_CHROMIUM_FAMILY.fullmatch, _names(candidate.words[0]))):
        return Candidate((candidate.words[0], "--no-sandbox", *candidate.words[1:]))
    return candidate


def _names(program: str) -> set[str]:
    # x-www-browser is a link to whatever the machine's owner chose (Debian's alternatives).
    return {Path(program).name, Path(os.path.realpath(program)).name}


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
class Machine:
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


def why_no_display(environ: Mapping[str, str], platform: str) -> Text | None:
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
            why = error.strerror or _("no answer")
            value = safe_text(environ[name], limit=60)
            reasons.append(_('the display {name}="{value}" cannot be opened ({why})', name=name, value=value, why=why))
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


def environment(environ: Mapping[str, str]) -> Environment:
    """Return where we run on this machine."""
    return find_environment(environ, has_container_mark=any(Path(mark).exists() for mark in CONTAINER_MARKS))


async def look_around(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Machine:
    """Return this machine's surroundings. Takes two seconds at most, in which the desktop's own tools are asked.

    A tool that is missing, broken or late is no error: there are other places to look at.
    """
    here = Machine(environ, platform)
    questions = _QUESTIONS if here.is_linux else ()
    # Not gather: where we are cancelled, it would not wait until each of them has ended what it started.
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(here, program, *arguments)) for program, *arguments in questions]
    answers = [task.result() for task in asked]
    return Machine(environ, platform, tuple(dict.fromkeys(_ENTRY_NAME.findall("\n".join(answers)))))


async def ask(here: Machine, program: str, *arguments: str) -> str:
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


_ESCAPES: Final = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_FIELD_CODE: Final = re.compile("%[A-Za-z]")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


def started_by(entry: str) -> list[str]:
    """Return the program and the arguments that ``entry`` starts, without field codes such as ``%u``.

    ``env`` and its variables before the program are left out: they tell a dock which icon is meant
    (``BAMF_DESKTOP_FILE_HINT`` at snaps). Empty where nothing is started, or the quotes do not match.
    """
    try:
        # A shell's reading, as GLib has it; of its escapes in quotes, shlex does not know these two.
        words = shlex.split(re.sub(r"\\([`$])", r"\1", _exec(entry)))
    except ValueError:
        return []
    return _without_env([word.replace("%%", "%") for word in words if not _FIELD_CODE.fullmatch(word)])


def _exec(entry: str) -> str:
    # The groups that follow are actions, such as a private window, with an Exec of their own.
    after = list(dropwhile(lambda line: line.strip() != "[Desktop Entry]", entry.splitlines()))[1:]
    for line in takewhile(lambda line: not line.startswith("["), after):
        key, _, value = line.partition("=")
        if key.strip() == "Exec":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value.strip())
    return ""


def _without_env(words: list[str]) -> list[str]:
    if not words or PurePosixPath(words[0]).name != "env":
        return words
    rest = words[1:]
    while rest and (rest[0].startswith("-") or _ASSIGNMENT.fullmatch(rest[0])):
        takes_an_argument = rest[0] in {"-u", "--unset", "-C", "--chdir"}
        rest = rest[2 if takes_an_argument else 1 :]
    return rest


_ON_PATH: Final = tuple(name for name in (*GRAPHICAL, "brave") if product_of(name))
"""``brave`` is what Arch, NixOS and its snap call it."""

_LAUNCH_SERVICES: Final = "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"

_USER_CHOICE: Final = (
    r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
)
_APP_PATHS: Final = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
_PROGRAM: Final = re.compile(r'\s*(?:"([^"]+)"|(.+?\.exe))', re.IGNORECASE)
"""At the head of a command line; without quotes its path may hold spaces all the same."""


def default_browser(here: Machine) -> list[str]:
    """Return what starts the default browser, arguments included; nothing where that cannot be told."""
    if here.platform == "darwin":
        return _default_on_macos(here)
    if here.platform == "win32":
        return _default_on_windows(here)
    return _default_on_linux(here)


def installed_browsers(here: Machine) -> Iterator[str]:
    """Yield the programs of browsers in which a window of ours can open, as far as they are there."""
    places = {"darwin": _places_on_macos, "win32": _places_on_windows}.get(here.platform, _places_on_linux)
    return (program for place in places(here) if (program := here.find(place)))


def _default_on_linux(here: Machine) -> list[str]:
    for name in here.default_entries:
        for folder in _data_folders(here):
            entry = here.read(f"{folder}/applications/{name}").decode(errors="replace")
            words = started_by(entry)
            if words and here.find(words[0]):
                return words
    return []


def _places_on_linux(here: Machine) -> Iterator[str]:
    yield from _ON_PATH
    for folder in _flatpak_folders(here):
        yield from (f"{folder}/exports/bin/{product.flatpak}" for product in PRODUCTS)


def _data_folders(here: Machine) -> list[str]:
    # XDG Base Directory Specification. Sessions without a desktop do not name those of flatpak and snap.
    named = here.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    exported = [f"{folder}/exports/share" for folder in _flatpak_folders(here)]
    return [_user_data(here), *named.split(":"), *exported, "/var/lib/snapd/desktop"]


def _flatpak_folders(here: Machine) -> tuple[str, str]:
    return f"{_user_data(here)}/flatpak", "/var/lib/flatpak"


def _user_data(here: Machine) -> str:
    return here.environ.get("XDG_DATA_HOME") or f"{here.environ.get('HOME', '')}/.local/share"


def _default_on_macos(here: Machine) -> list[str]:
    bundle = _https_handler(here.read(f"{here.environ.get('HOME', '')}/{_LAUNCH_SERVICES}"))
    places = (place for product in PRODUCTS if product.bundle == bundle for place in _app_places(here, product))
    return list(islice(filter(here.find, places), 1))


def _places_on_macos(here: Machine) -> Iterator[str]:
    for product in PRODUCTS:
        yield from _app_places(here, product)


def _app_places(here: Machine, product: Product) -> tuple[str, str]:
    return f"/Applications/{product.app}", f"{here.environ.get('HOME', '')}/Applications/{product.app}"


def _https_handler(plist: bytes) -> str:
    import plistlib  # noqa: PLC0415 - macOS alone has such a file
    from xml.parsers.expat import ExpatError  # noqa: PLC0415 - as above

    try:
        for handler in plistlib.loads(plist)["LSHandlers"]:
            if handler.get("LSHandlerURLScheme") == "https":
                return str(handler["LSHandlerRoleAll"]).lower()
    except (ValueError, ExpatError, LookupError, TypeError, AttributeError):
        return ""  # absent until somebody chooses another browser than Safari; its form is Apple's own affair
    return ""


def _default_on_windows(here: Machine) -> list[str]:
    program_id = here.registry(_USER_CHOICE, "ProgId")
    command = here.registry(rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", "") if program_id else ""
    return list(_program(command))


def _places_on_windows(here: Machine) -> Iterator[str]:
    for product in PRODUCTS:
        for root in ("HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE"):
            yield from _program(here.registry(rf"{root}\{_APP_PATHS}\{product.executable}", ""))


def _program(command: str) -> Iterator[str]:
    if match := _PROGRAM.match(command):
        yield match[1] or match[2]


_SNAPS: Final = ("/snap/", "/var/lib/snapd/snap/")
_SNAP_SHIM: Final = re.compile(rb"#!.*?\bexec\s+((?:/var/lib/snapd)?/snap/bin/[\w.+-]+)", re.DOTALL)
"""What Ubuntu's ``/usr/bin/firefox`` and ``/usr/bin/chromium-browser`` are."""


class Packaging(StrEnum):
    """How a browser was installed, which decides what of this machine it can see."""

    PLAIN = "plain"
    SNAP = "snap"
    """Sees neither /tmp nor the hidden folders of HOME."""
    FLATPAK = "flatpak"
    """Of HOME, sees its own ``~/.var/app`` folder."""


@dataclass(frozen=True, slots=True)
class FoundBrowser:
    """A browser that is there."""

    family: Family
    command: tuple[str, ...]
    """What to start, without switches: a path, or ``flatpak``'s path, ``run`` and the application's identifier."""
    name: str
    """For people, such as ``Google Chrome``."""
    packaging: Packaging
    is_default: bool
    """Whether the user's desktop opens addresses with it."""

    @property
    def is_open_to_others(self) -> bool:
        """Whether every user of this machine could drive its window, and see what is done there.

        Chromium in a snap or flatpak cannot be driven over a pipe, but over a port, and to anybody's word there.
        Firefox lets one alone drive it, and that is us.
        """
        return self.family is Family.CHROMIUM and self.packaging is not Packaging.PLAIN


def find_browsers(here: Machine) -> list[FoundBrowser]:
    """Return what is installed, best first.

    The default browser, then the Chromium family, then Firefoxes; those of flatpak last of all, the default one
    included, because the most can go wrong there. Each product once per kind of packaging.
    """
    found = [_identify(here, default_browser(here), is_default=True)]
    found += [_identify(here, [program]) for program in installed_browsers(here)]
    distinct: dict[tuple[str, Packaging], FoundBrowser] = {}
    for browser in filter(None, found):
        distinct.setdefault((browser.name, browser.packaging), browser)
    return sorted(distinct.values(), key=_rank)


def choose(wanted: str, here: Machine) -> list[FoundBrowser]:
    """Return the browsers to try, best first.

    Args:
        wanted: ``auto`` for all there are, perhaps none; ``chromium`` or ``firefox`` for one family; anything else is
            one browser's program, by its path or its name on ``PATH``, or on macOS its application.
        here: Where to look.

    Raises:
        NoBrowserError: What was demanded is not there, or is none in which a window of ours can open.
    """
    found = find_browsers(here)
    if wanted == "auto":
        return found
    if wanted in set(Family):
        names = ", ".join(product.name for product in PRODUCTS if product.family == wanted)
        return [browser for browser in found if browser.family == wanted] or _refuse(
            _("No browser of the {wanted} family was found", wanted=wanted.capitalize()),
            _("Install one ({names}), or give --browser the path of one.", names=names),
        )
    named = _named(wanted, here)
    return [next((browser for browser in found if browser.command == named.command), named)]


async def choose_here(wanted: str, environ: Mapping[str, str], platform: str) -> list[FoundBrowser]:
    """As :func:`choose`, on this machine, whose desktop's own tools are asked only where that may change the answer.

    Raises:
        NoBrowserError: As there.
    """
    if wanted != "auto":
        with suppress(NoBrowserError):  # The desktop may know one that is installed elsewhere.
            found = choose(wanted, Machine(environ, platform))
            if len(found) == 1:
                return found
    return choose(wanted, await look_around(environ, platform))


def why_no_window(environ: Mapping[str, str], platform: str, *, which: Which = shutil.which) -> Text | None:
    """Return why no window of ours can open here whatever browser there is, in words for people; None if one can."""
    here = Machine(environ, platform, which=which)
    if not here.is_linux:
        return None
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return _("no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
    if here.is_wsl and not any(installed_browsers(here)):
        return _("in WSL only a Linux browser's window can be used, and none is installed")
    return None


def _rank(browser: FoundBrowser) -> tuple[bool, bool, bool]:
    return browser.packaging is Packaging.FLATPAK, not browser.is_default, browser.family is Family.FIREFOX


def _named(wanted: str, here: Machine) -> FoundBrowser:
    shown = safe_text(wanted, limit=100)
    application = ntpath.basename(wanted.rstrip("/"))
    inside = [product.app for product in PRODUCTS if product.app.startswith(f"{application}/")]
    if here.platform == "darwin" and inside:
        wanted = wanted.rstrip("/").removesuffix(application) + inside[0]
    if not (program := here.find(wanted)):
        _refuse(
            _("{shown} was not found, or cannot be started", shown=shown),
            _("Give --browser the path of the browser's program."),
        )
    if _is_of_windows(here, program):
        _refuse(
            _("{shown} is a Windows browser, which cannot be reached from WSL", shown=shown),
            _("Install a Linux browser in WSL."),
        )
    return _identify(here, [program]) or _refuse(
        _("{shown} is not known as a browser in which a window can be watched", shown=shown),
        _("Those are {value}. Any other: --browser default.", value=", ".join(product.name for product in PRODUCTS)),
    )


def _identify(here: Machine, words: Sequence[str], *, is_default: bool = False) -> FoundBrowser | None:
    program = here.find(words[0]) if words else None
    if not program or _is_of_windows(here, program):
        return None
    name = ntpath.basename(program)
    if name == "flatpak":
        name = _flatpak_application(words)
    product = product_of(name) or product_of(here.realpath(program))
    if product is None:
        return None
    command, packaging = _command(here, program, name if name == product.flatpak else None)
    return FoundBrowser(product.family, command, product.name, packaging, is_default) if command else None


def _command(here: Machine, program: str, flatpak: str | None) -> tuple[tuple[str, ...], Packaging]:
    """Return what to start for ``program``, nothing if it is a launcher whose browser is not installed."""
    if flatpak:
        launcher = here.find("flatpak")
        return (launcher, "run", flatpak) if launcher else (), Packaging.FLATPAK
    if not here.is_linux:
        return (program,), Packaging.PLAIN
    if program.startswith(_SNAPS) or ntpath.basename(here.realpath(program)) == "snap":
        return (program,), Packaging.SNAP
    if shim := _SNAP_SHIM.match(here.read(program)):
        behind = here.find(shim[1].decode())
        return (behind,) if behind else (), Packaging.SNAP
    return (program,), Packaging.PLAIN


def _flatpak_application(words: Sequence[str]) -> str:
    plain = [word for word in words[1:] if not word.startswith("-")]
    return plain[1] if plain[:1] == ["run"] and len(plain) > 1 else ""


def _is_of_windows(here: Machine, program: str) -> bool:
    return here.is_linux and program.lower().endswith(".exe")


def _refuse(message: Text, hint: Text) -> NoReturn:
    raise NoBrowserError(message, hint=hint)
