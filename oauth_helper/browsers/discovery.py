"""Find the browsers in which a window can open, and the commands that open an address in the default browser."""

from __future__ import annotations

import asyncio
import ntpath
import os
import plistlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final
from xml.parsers.expat import ExpatError

from msgspec import Struct

from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import NO_TEXT, Text, _, joined
from oauth_helper.secret import safe_text

if sys.platform == "win32":  # pragma: no cover - only on Windows
    import winreg


class Family(StrEnum):
    """The protocol by which a browser holds requests: DevTools, or WebDriver BiDi."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"


class Packaging(StrEnum):
    """How a browser is installed, which decides what it can see of this machine."""

    PLAIN = "plain"
    SNAP = "snap"
    """Sees neither /tmp nor the hidden folders of HOME."""
    FLATPAK = "flatpak"
    """Of HOME, sees only its own ``~/.var/app`` folder."""


class Product(Struct, frozen=True):
    """One browser under all its names."""

    family: Family
    name: str
    """For people; on macOS also the name of its application."""
    names_on_path: str
    """Separated by spaces, the usual one first; the shortest one is its program on Windows."""
    flatpak: str
    """Its identifier at Flathub."""
    bundle: str = ""
    """Its identifier at macOS' LaunchServices, in lower case, if it is not ``flatpak``."""
    application: str = ""
    """On macOS, if it is not ``name``."""

    @property
    def programs(self) -> list[str]:
        """Its names on ``PATH``."""
        return self.names_on_path.split()

    @property
    def app(self) -> str:
        """The program inside the folder of applications on macOS."""
        application = self.application or self.name
        program = application.lower() if self.family is Family.FIREFOX else application
        return f"{application}.app/Contents/MacOS/{program}"


_C, _F = Family.CHROMIUM, Family.FIREFOX
PRODUCTS: Final = (
    Product(_C, "Google Chrome", "google-chrome google-chrome-stable chrome", "com.google.Chrome"),
    Product(_C, "Chromium", "chromium chromium-browser", "org.chromium.Chromium"),
    Product(
        _C,
        "Microsoft Edge",
        "microsoft-edge microsoft-edge-stable msedge",
        "com.microsoft.Edge",
        "com.microsoft.edgemac",
    ),
    Product(_C, "Brave", "brave-browser brave", "com.brave.Browser", application="Brave Browser"),
    Product(_C, "Vivaldi", "vivaldi vivaldi-stable", "com.vivaldi.Vivaldi"),
    Product(_C, "Opera", "opera", "com.opera.Opera", "com.operasoftware.opera"),
    Product(_F, "Firefox", "firefox firefox-esr", "org.mozilla.firefox"),
    Product(_F, "LibreWolf", "librewolf", "io.gitlab.librewolf-community", "org.mozilla.librewolf"),
)
"""Within a family, the most common ones come first."""
GRAPHICAL: Final = (*(name for each in PRODUCTS for name in each.programs), "epiphany", "falkon", "konqueror")
"""Browsers that a Linux desktop may have on ``PATH``."""
_TEXT_MODE: Final = frozenset(
    {"browsh", "carbonyl", "cha", "edbrowse", "elinks", "links", "links2", "lynx", "netrik", "retawq", "w3m"}
    | {"www-browser"}
)
"""They would fight with us for the terminal, and no Git host's consent page works in them."""
_CHANNEL: Final = re.compile(
    "(-(bin|browser|stable|beta|dev|unstable|canary|nightly|snapshot|esr|developer-edition|for-testing))+$"
)
_SNAP_PROGRAMS: Final = ("/snap/bin", "/var/lib/snapd/snap/bin")
"""Not on ``PATH`` in every session."""
_SNAP_SHIM: Final = re.compile(rb"#!.*?\bexec\s+((?:/var/lib/snapd)?/snap/bin/[\w.+-]+)", re.DOTALL)
"""What Ubuntu's ``/usr/bin/firefox`` and ``/usr/bin/chromium-browser`` contain."""
_LAUNCH_SERVICES: Final = "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"
_USER_CHOICE: Final = (
    r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
)
_APP_PATHS: Final = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
_PROGRAM: Final = re.compile(r'\s*(?:"([^"]+)"|(.+?\.exe))', re.IGNORECASE)
"""The program of a Windows command line; its path may contain spaces even without quotes."""
_X_DISPLAY: Final = re.compile(r"(?:tcp/|unix/)?([\w.-]*|\[[\da-fA-F:.]+\]):(\d{1,4})(?:\.\d+)?")
_TOOL_TIMEOUT: Final = 2.0
"""Seconds for a tool or a display server to answer; a tool takes 0.06, but some desktops start programs first."""
_PROXIES: Final = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy"})
_USER_AND_PASSWORD: Final = re.compile(r"^([a-z0-9+.-]+://)?[^/]*@", re.IGNORECASE)
_HARMFUL: Final = re.compile(
    # No window appears.
    r"MOZ_HEADLESS\w*=|(CHROME|CHROMIUM|GOOGLE_CHROME)_HEADLESS="
    "|GDK_BACKEND=broadway|OZONE_PLATFORM(_HINT)?=headless|QT_QPA_PLATFORM=(minimal|offscreen|vnc)"
    # Firefox behaves as in a test, is driven by another program, or refuses the network or a second start.
    r"|MOZ_(IN_)?AUTOMATION=|MOZ_DISABLE_NONLOCAL_CONNECTIONS=|MOZ_MARIONETTE=|MOZ_REMOTE_\w*=|MOZ_NO_REMOTE="
    "|MOZ_NEW_INSTANCE="
    # It uses another profile than the one that it is started with.
    "|XRE_PROFILE(_LOCAL)?_PATH="
)
"""Variables of test images and CI containers that keep a browser from doing what a user in front of it needs."""


class InstalledBrowser(Struct, frozen=True):
    """An installed browser."""

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
        """Whether every user of this machine can drive its window.

        A snap or flatpak does not pass a pipe on, and over a port Chromium obeys everybody. Firefox accepts one
        session only, and that is ours.
        """
        return self.family is Family.CHROMIUM and self.packaging is not Packaging.PLAIN


def product_of(program: str) -> Product | None:
    """Return which browser ``program`` is, by its file name or Flathub identifier."""
    name = ntpath.basename(program)  # splits at both kinds of slash
    stem = _CHANNEL.sub("", name.lower().removesuffix(".exe").replace(" ", "-"))
    for product in PRODUCTS:
        if name == product.flatpak or stem in {_CHANNEL.sub("", program) for program in product.programs}:
            return product
    return None


def _is_linux() -> bool:
    return sys.platform not in {"darwin", "win32"}


def _is_wsl(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("WSL_DISTRO_NAME") or environ.get("WSL_INTEROP"))


def is_root() -> bool:
    """Whether Chromium refuses to run with its sandbox on (crbug.com/638180)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _find(program: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of ``program``, a name or a path, if it can be started."""
    path = environ.get("PATH", os.defpath)
    if _is_linux():
        # An empty part of PATH would mean the current folder.
        path = ":".join([*filter(None, path.split(":")), *_SNAP_PROGRAMS])
    return shutil.which(program, path=path)


def _installed(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the programs of all known browsers that are installed."""
    home = environ.get("HOME", "")
    if sys.platform == "darwin":
        places = [f"{folder}/Applications/{product.app}" for product in PRODUCTS for folder in ("", home)]
    elif sys.platform == "win32":
        roots = ("HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE")
        keys = [rf"{root}\{_APP_PATHS}\{min(product.programs, key=len)}.exe" for product in PRODUCTS for root in roots]
        places = [_program_of(registry_value(key, "")) for key in keys]
    else:
        folders = (f"{environ.get('XDG_DATA_HOME') or f'{home}/.local/share'}/flatpak", "/var/lib/flatpak")
        flatpaks = [f"{folder}/exports/bin/{product.flatpak}" for folder in folders for product in PRODUCTS]
        places = [*(name for product in PRODUCTS for name in product.programs), *flatpaks]
    return (program for place in places if place and (program := _find(place, environ)))


def _program_of(command: str) -> str:
    match = _PROGRAM.match(command)
    return (match[1] or match[2]) if match else ""


def registry_value(key: str, name: str) -> str:
    """Return a text from Windows' registry; nothing if there is none. ``key`` begins with the root."""
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        root, _, path = key.partition("\\")
        with suppress(OSError), winreg.OpenKey(getattr(winreg, root), path) as opened:
            return winreg.ExpandEnvironmentStrings(str(winreg.QueryValueEx(opened, name)[0]))
    return ""


async def default_product(environ: Mapping[str, str]) -> Product | None:
    """Return the browser with which the desktop opens addresses, if it is known. Takes two seconds at most."""
    if sys.platform == "darwin":
        bundle = _https_handler(Path(environ.get("HOME", ""), _LAUNCH_SERVICES))
        return next((product for product in PRODUCTS if bundle == (product.bundle or product.flatpak.lower())), None)
    if sys.platform == "win32":
        program_id = registry_value(_USER_CHOICE, "ProgId")
        command = registry_value(rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", "")
        return product_of(_program_of(command)) if program_id else None
    answers = await asyncio.gather(
        tool_output("xdg-settings", "get", "default-web-browser", environ=environ),
        tool_output("xdg-mime", "query", "default", "x-scheme-handler/https", environ=environ),
    )
    entries = re.findall(r"([\w.+-]+)\.desktop\b", "\n".join(answers))
    # A snap's entry is named like firefox_firefox.
    found = (product_of(entry) or product_of(entry.rpartition("_")[2]) for entry in entries)
    return next(filter(None, found), None)


def _https_handler(plist: Path) -> str:
    # Absent until the user chooses another browser than Safari; its format is not documented.
    with suppress(OSError, ValueError, ExpatError, LookupError, TypeError, AttributeError):
        for handler in plistlib.loads(plist.read_bytes())["LSHandlers"]:
            if handler.get("LSHandlerURLScheme") == "https":
                return str(handler["LSHandlerRoleAll"]).lower()
    return ""


async def tool_output(program: str, *arguments: str, environ: Mapping[str, str]) -> str:
    """Return what a program prints within two seconds; nothing if it is missing or late."""
    path = _find(program, environ)
    return await asyncio.to_thread(_output, [path, *arguments], child_environment(environ)) if path else ""


def _output(command: list[str], environ: dict[str, str]) -> str:
    quiet = subprocess.DEVNULL
    # Into a file: a grandchild that keeps a pipe open would block the reader.
    with suppress(OSError), tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 no shell
            command, env=environ, stdin=quiet, stdout=output, stderr=quiet, start_new_session=True
        )
        try:
            process.wait(_TOOL_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            process.wait()
        else:
            output.seek(0)
            return output.read(1 << 20).decode(errors="replace")
    return ""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` for a browser or a tool.

    It has no credentials, no user and password of a proxy, and nothing that makes a browser run as in a test or
    where it cannot be seen.
    """
    return {
        name: _USER_AND_PASSWORD.sub(r"\1", value) if name.casefold() in _PROXIES else value
        for name, value in environ.items()
        if name not in CHAIN_VARIABLES and not _HARMFUL.match(f"{name}={value}")
    }


async def find_browsers(environ: Mapping[str, str]) -> list[InstalledBrowser]:
    """Return the installed browsers, best first, each product once per kind of packaging.

    The default browser, then the Chromium family, then Firefox; flatpaks come last, even the default one, because
    the most can go wrong with them.
    """
    default = await default_product(environ)
    found: dict[tuple[str, Packaging], InstalledBrowser] = {}
    for program in _installed(environ):
        if browser := _identify(program, environ, default):
            found.setdefault((browser.name, browser.packaging), browser)
    return sorted(
        found.values(),
        key=lambda one: (one.packaging is Packaging.FLATPAK, not one.is_default, one.family is Family.FIREFOX),
    )


def _identify(program: str, environ: Mapping[str, str], default: Product | None = None) -> InstalledBrowser | None:
    real = os.path.realpath(program)
    product = product_of(program) or product_of(real)
    if product is None or _is_windows_program(program):
        return None
    command: list[str | None] = [program]
    packaging = Packaging.PLAIN
    if ntpath.basename(program) == product.flatpak:
        command, packaging = [_find("flatpak", environ), "run", product.flatpak], Packaging.FLATPAK
    elif _is_linux():
        if program.startswith(("/snap/", "/var/lib/snapd/snap/")) or Path(real).name == "snap":
            packaging = Packaging.SNAP
        elif shim := _SNAP_SHIM.match(_beginning_of(real)):
            command, packaging = [_find(shim[1].decode(), environ)], Packaging.SNAP
    words = tuple(word for word in command if word)
    if len(words) < len(command):  # the snap, or flatpak itself, is not installed
        return None
    return InstalledBrowser(product.family, words, product.name, packaging, product is default)


def _is_windows_program(program: str) -> bool:
    """Whether it is a program of Windows, seen from WSL."""
    return _is_linux() and program.lower().endswith(".exe")


def _beginning_of(path: str) -> bytes:
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(4096)
    return b""


async def choose_here(wanted: str, environ: Mapping[str, str]) -> list[InstalledBrowser]:
    """Return the browsers to try, best first.

    ``wanted`` is ``auto`` for all browsers, perhaps none; ``chromium`` or ``firefox`` for one family; anything else is
    one browser's program, by its path or its name on ``PATH``, or on macOS its application.

    Raises:
        NoBrowserError: What was demanded is not installed, or no window can open in it.
    """
    if wanted != "auto" and wanted not in set(Family):
        return [_named(wanted, environ)]
    found = [browser for browser in await find_browsers(environ) if wanted in {"auto", browser.family}]
    if not found and wanted != "auto":
        names = ", ".join(product.name for product in PRODUCTS if product.family == wanted)
        raise NoBrowserError(
            _("No browser of the {wanted} family was found", wanted=wanted.capitalize()),
            hint=_("Install one ({names}), or give --browser the path of one.", names=names),
        )
    return found


def _named(wanted: str, environ: Mapping[str, str]) -> InstalledBrowser:
    shown = safe_text(wanted, limit=100)
    if sys.platform == "darwin":
        folder, application = ntpath.split(wanted.rstrip("/"))
        inside = [product.app for product in PRODUCTS if product.app.startswith(f"{application}/")]
        wanted = f"{folder}/{inside[0]}" if inside else wanted
    if not (program := _find(wanted, environ)):
        raise NoBrowserError(
            _("{shown} was not found, or cannot be started", shown=shown),
            hint=_("Give --browser the path of the browser's program."),
        )
    if _is_windows_program(program):
        raise NoBrowserError(
            _("{shown} is a Windows browser, which cannot be reached from WSL", shown=shown),
            hint=_("Install a Linux browser in WSL."),
        )
    if not (browser := _identify(program, environ)):
        names = ", ".join(product.name for product in PRODUCTS)
        raise NoBrowserError(
            _("{shown} is not known as a browser in which a window can be watched", shown=shown),
            hint=_("Those are {names}. Any other: --browser default.", names=names),
        )
    return browser


def why_no_window(environ: Mapping[str, str]) -> Text | None:
    """Return why no window can open here, whatever browser is installed; None if one can."""
    if not _is_linux():
        return None
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return _("no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
    if _is_wsl(environ) and all(_is_windows_program(found) for found in _installed(environ)):
        return _("in WSL only a Linux browser's window can be used, and none is installed")
    return None


def why_no_display(environ: Mapping[str, str]) -> Text | None:
    """Return why neither the X nor the Wayland server that is set can be reached; None if one can, or none is set.

    A shell, tmux or su may remember a server that has ended. Takes two seconds at most per server.
    """
    if not _is_linux() or environ.get("WAYLAND_SOCKET"):
        return None
    wayland = Path(environ.get("XDG_RUNTIME_DIR", ""), environ.get("WAYLAND_DISPLAY", ""))
    servers: dict[str, list[str | tuple[str, int]]] = {
        "WAYLAND_DISPLAY": [str(wayland)] if wayland.is_absolute() else [],
        "DISPLAY": _x_addresses(environ.get("DISPLAY", "")),
    }
    problems = []
    for name, addresses in servers.items():
        if value := safe_text(environ.get(name, ""), limit=60):
            if not (error := _connection_error(addresses)):
                return None  # it can be reached, or its form is not known here
            why = error.strerror or _("no answer")
            problems.append(_('the display {name}="{value}" cannot be opened ({why})', name=name, value=value, why=why))
    return joined(problems) if problems else None


def _x_addresses(display: str) -> list[str | tuple[str, int]]:
    if not (found := _X_DISPLAY.fullmatch(display)):
        return []
    host, number = found[1].strip("[]"), int(found[2])
    if host not in {"", "unix"}:
        return [(host, 6000 + number)]
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 X(7)
    return [path, f"\0{path}"]  # on Linux an X server also has an abstract name, which needs no file


def _connection_error(addresses: Sequence[str | tuple[str, int]]) -> OSError | None:
    first = None
    for address in addresses:
        try:
            if isinstance(address, tuple):
                socket.create_connection(address, timeout=_TOOL_TIMEOUT).close()
            else:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(_TOOL_TIMEOUT)
                    client.connect(address)
        except OSError as error:
            first = first or error
        else:
            return None
    return first


def open_commands(environ: Mapping[str, str]) -> list[list[str] | Text]:
    """Return the commands that may open an address in the default browser, best first; never an empty list.

    A command is the program's path and its arguments, ``%s`` in place of the address, or else a text that says why it
    cannot be used. ``BROWSER`` is read as Python's :mod:`webbrowser` reads it. If it is set, nothing else is tried.
    """
    if chosen := chosen_browsers(environ):
        return [_chosen_command(text, environ) for text in chosen]
    commands = _usual_commands(environ)
    if not commands:
        return [_("no display: neither DISPLAY nor WAYLAND_DISPLAY is set")]
    found = [_checked(path, rest) for name, *rest in commands if (path := _find(name, environ))]
    return found or [_("no graphical browser was found on PATH")]


def chosen_browsers(environ: Mapping[str, str]) -> list[str]:
    """Return the alternatives in ``BROWSER``."""
    return [text for part in environ.get("BROWSER", "").split(os.pathsep) if (text := part.strip())]


def _chosen_command(text: str, environ: Mapping[str, str]) -> list[str] | Text:
    # A path with spaces and without quotes is a program too: webbrowser reads it so if it contains no %s.
    if program := _find(text, environ):
        return _checked(program, [])
    try:
        words = shlex.split(text, posix=sys.platform != "win32")
    except ValueError:
        return _("the quotes in it do not match")
    if sys.platform == "win32":
        words = [word.strip('"') for word in words]
    if words[-1:] == ["&"]:  # webbrowser's sign for a browser that is not waited for
        del words[-1]
    if not words:
        return _("it names no program")
    # In any place: another program may start it, as in `env lynx`.
    if textual := next((word for word in words if Path(word).name in _TEXT_MODE), None):
        return _checked(textual, [])
    if not (program := _find(words[0], environ)):
        return _("{program} was not found", program=name_of(words))
    return _checked(program, words[1:])


def _usual_commands(environ: Mapping[str, str]) -> list[list[str]]:
    if sys.platform == "darwin":
        return [["open"]]
    if sys.platform == "win32":
        # By its whole path: a search would begin in the current folder. It asks the shell's URL handler as
        # os.startfile does, but in a process of its own.
        system = environ.get("SystemRoot", r"C:\Windows")
        return [[ntpath.join(system, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler"]]
    # In WSL the user sits at Windows, so no Linux display is needed. explorer.exe opens a folder instead of an address
    # that contains "=" (git-credential-manager issue 1490).
    windows = [["wslview"], ["rundll32.exe", "url.dll,FileProtocolHandler"]] if _is_wsl(environ) else []
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return windows
    # sensible-browser is left out: it may choose a text-mode browser.
    openers = [["xdg-open"], ["gio", "open"]]
    browsers = [[name] for name in ("x-www-browser", *GRAPHICAL)]
    # An opener would start Chromium as root without the switch that it then needs.
    return windows + (browsers + openers if is_root() else openers + browsers)


def _checked(program: str, arguments: list[str]) -> list[str] | Text:
    # x-www-browser is a link to the browser that the machine's owner chose (Debian's alternatives).
    real = os.path.realpath(program)
    if {Path(program).name, Path(real).name} & _TEXT_MODE:
        return _("{program} is a text-mode browser", program=name_of([program]))
    product = product_of(program) or product_of(real)
    switches = ["--no-sandbox"] if is_root() and product and product.family is Family.CHROMIUM else []
    address = [] if any("%s" in word for word in arguments) else ["%s"]
    return [program, *switches, *arguments, *address]


def name_of(command: list[str]) -> str:
    """Return the name of the program of a command."""
    return safe_text(Path(command[0]).name, limit=60)


def explain_problems(problems: Iterable[Text], environ: Mapping[str, str]) -> Text:
    """Join why commands cannot be used or have failed; mention ``BROWSER`` if it is set."""
    reasons = joined(problems)
    return _("BROWSER is set, but {reasons}", reasons=reasons) if chosen_browsers(environ) else reasons


def first_browser(environ: Mapping[str, str]) -> tuple[str, Text]:
    """Return the name of the command that opens the default browser, or why there is none."""
    commands = open_commands(environ)
    name = next((name_of(command) for command in commands if not isinstance(command, Text)), "")
    problems = [command for command in commands if isinstance(command, Text)]
    return name, NO_TEXT if name else explain_problems(problems, environ)
