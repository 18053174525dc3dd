"""Find the browsers in which a window can open, and open an address in the default browser."""

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
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn
from xml.parsers.expat import ExpatError

from msgspec import Struct

from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import NO_TEXT, Text, _, joined
from oauth_helper.secret import safe_text

if sys.platform == "win32":  # pragma: no cover - only on Windows
    import winreg


class Family(StrEnum):
    """The protocol by which a browser holds requests."""

    CHROMIUM = "chromium"
    """The DevTools protocol."""
    FIREFOX = "firefox"
    """WebDriver BiDi."""


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
    programs: tuple[str, ...]
    """Names on ``PATH``, the usual one first; the shortest one is its program on Windows."""
    bundle: str
    """Its identifier at macOS' LaunchServices, in lower case."""
    flatpak: str
    """Its identifier at Flathub."""
    application: str = ""
    """On macOS, if it is not ``name``."""

    @property
    def app(self) -> str:
        """The program inside the folder of applications on macOS."""
        application = self.application or self.name
        program = application.lower() if self.family is Family.FIREFOX else application
        return f"{application}.app/Contents/MacOS/{program}"


_C, _F = Family.CHROMIUM, Family.FIREFOX
PRODUCTS: Final = (
    Product(
        *(_C, "Google Chrome", ("google-chrome", "google-chrome-stable", "chrome")),
        *("com.google.chrome", "com.google.Chrome"),
    ),
    Product(_C, "Chromium", ("chromium", "chromium-browser"), "org.chromium.chromium", "org.chromium.Chromium"),
    Product(
        *(_C, "Microsoft Edge", ("microsoft-edge", "microsoft-edge-stable", "msedge")),
        *("com.microsoft.edgemac", "com.microsoft.Edge"),
    ),
    Product(_C, "Brave", ("brave-browser", "brave"), "com.brave.browser", "com.brave.Browser", "Brave Browser"),
    Product(_C, "Vivaldi", ("vivaldi", "vivaldi-stable"), "com.vivaldi.vivaldi", "com.vivaldi.Vivaldi"),
    Product(_C, "Opera", ("opera",), "com.operasoftware.opera", "com.opera.Opera"),
    Product(_F, "Firefox", ("firefox", "firefox-esr"), "org.mozilla.firefox", "org.mozilla.firefox"),
    Product(_F, "LibreWolf", ("librewolf",), "org.mozilla.librewolf", "io.gitlab.librewolf-community"),
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
_QUESTIONS: Final = (
    ("xdg-settings", "get", "default-web-browser"),
    ("xdg-mime", "query", "default", "x-scheme-handler/https"),
)
_ENTRY: Final = re.compile(r"([\w.+-]+)\.desktop\b")
_LAUNCH_SERVICES: Final = "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"
_USER_CHOICE: Final = (
    r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
)
_APP_PATHS: Final = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
_PROGRAM: Final = re.compile(r'\s*(?:"([^"]+)"|(.+?\.exe))', re.IGNORECASE)
"""The program of a Windows command line; its path may contain spaces even without quotes."""
_X_DISPLAY: Final = re.compile(r"(?:tcp/|unix/)?([\w.-]*|\[[\da-fA-F:.]+\]):(\d{1,4})(?:\.\d+)?")
_X_PORT: Final = 6000
_TOOL_TIMEOUT: Final = 2.0
"""Seconds for a tool or a display server to answer; a tool takes 0.06, but some desktops start programs first."""
_TOOL_OUTPUT_BYTES: Final = 1 << 20
_PROXIES: Final = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy"})
_USER_AND_PASSWORD: Final = re.compile(r"^([a-z0-9+.-]+://)?[^/]*@", re.IGNORECASE)
_TEST_VARIABLES: Final = re.compile(
    # No window appears.
    "MOZ_HEADLESS.*|(CHROME|CHROMIUM|GOOGLE_CHROME)_HEADLESS"
    # Firefox behaves as in a test, is driven by another program, or refuses the network or a second start.
    "|MOZ_(IN_)?AUTOMATION|MOZ_DISABLE_NONLOCAL_CONNECTIONS|MOZ_MARIONETTE|MOZ_REMOTE_.*|MOZ_NO_REMOTE|MOZ_NEW_INSTANCE"
    # It uses another profile than the one that it is started with.
    "|XRE_PROFILE(_LOCAL)?_PATH"
)
"""Variables of test images and CI containers that keep a browser from doing what a user in front of it needs."""
_HEADLESS_VALUES: Final[Mapping[str, str]] = {
    "GDK_BACKEND": "broadway",
    "OZONE_PLATFORM": "headless",
    "OZONE_PLATFORM_HINT": "headless",
    "QT_QPA_PLATFORM": "minimal|offscreen|vnc",
}
"""With these values no window appears."""


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


def _find(program: str, environ: Mapping[str, str], platform: str) -> str | None:
    """Return the path of ``program``, a name or a path, if it can be started."""
    path = environ.get("PATH", os.defpath)
    if _is_linux(platform):
        # An empty part of PATH would mean the current folder.
        path = ":".join([*filter(None, path.split(":")), *_SNAP_PROGRAMS])
    return shutil.which(program, path=path)


def _is_linux(platform: str) -> bool:
    return platform not in {"darwin", "win32"}


def _is_wsl(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("WSL_DISTRO_NAME") or environ.get("WSL_INTEROP"))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _installed(environ: Mapping[str, str], platform: str) -> Iterator[str]:
    """Yield the programs of all known browsers that are installed."""
    home = environ.get("HOME", "")
    if platform == "darwin":
        places = [f"{folder}/Applications/{product.app}" for product in PRODUCTS for folder in ("", home)]
    elif platform == "win32":
        roots = ("HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE")
        keys = [rf"{root}\{_APP_PATHS}\{min(product.programs, key=len)}.exe" for product in PRODUCTS for root in roots]
        places = [_program_of(registry_value(key, "")) for key in keys]
    else:
        folders = (f"{environ.get('XDG_DATA_HOME') or f'{home}/.local/share'}/flatpak", "/var/lib/flatpak")
        flatpaks = [f"{folder}/exports/bin/{product.flatpak}" for folder in folders for product in PRODUCTS]
        places = [*(name for product in PRODUCTS for name in product.programs), *flatpaks]
    return (program for place in places if place and (program := _find(place, environ, platform)))


def _program_of(command: str) -> str:
    match = _PROGRAM.match(command)
    return (match[1] or match[2]) if match else ""


def registry_value(key: str, name: str) -> str:
    """Return a text from Windows' registry; nothing if there is none. ``key`` begins with the root."""
    if sys.platform == "win32":  # pragma: no cover - only on Windows
        root, _, path = key.partition("\\")
        try:
            with winreg.OpenKey(getattr(winreg, root), path) as opened:
                data, kind = winreg.QueryValueEx(opened, name)
        except OSError:
            return ""
        return winreg.ExpandEnvironmentStrings(data) if kind == winreg.REG_EXPAND_SZ else str(data)
    return ""


async def default_product(environ: Mapping[str, str], platform: str = sys.platform) -> Product | None:
    """Return the browser with which the desktop opens addresses, if it is known. Takes two seconds at most."""
    if platform == "darwin":
        bundle = _https_handler(Path(environ.get("HOME", ""), _LAUNCH_SERVICES))
        return next((product for product in PRODUCTS if product.bundle == bundle), None)
    if platform == "win32":
        program_id = registry_value(_USER_CHOICE, "ProgId")
        key = rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command"
        return product_of(_program_of(registry_value(key, ""))) if program_id else None
    answers = await asyncio.gather(*(tool_output(*question, environ=environ) for question in _QUESTIONS))
    entries = _ENTRY.findall("\n".join(answers))
    # A snap's entry is named like firefox_firefox.
    found = (product_of(entry) or product_of(entry.rpartition("_")[2]) for entry in entries)
    return next(filter(None, found), None)


def _https_handler(plist: Path) -> str:
    try:
        for handler in plistlib.loads(plist.read_bytes())["LSHandlers"]:
            if handler.get("LSHandlerURLScheme") == "https":
                return str(handler["LSHandlerRoleAll"]).lower()
    except (OSError, ValueError, ExpatError, LookupError, TypeError, AttributeError):
        return ""  # absent until the user chooses another browser than Safari; its format is not documented
    return ""


async def tool_output(program: str, *arguments: str, environ: Mapping[str, str]) -> str:
    """Return what a program prints within two seconds; nothing if it is missing or late."""
    if not (path := _find(program, environ, sys.platform)):
        return ""
    return await asyncio.to_thread(_output, [path, *arguments], child_environment(environ))


def _output(command: list[str], environ: dict[str, str]) -> str:
    quiet = subprocess.DEVNULL
    try:
        # Into a file: a grandchild that keeps a pipe open would block the reader.
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(  # noqa: S603 no shell
                command, env=environ, stdin=quiet, stdout=output, stderr=quiet, start_new_session=True
            )
            try:
                process.wait(_TOOL_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started
                process.wait()
                return ""
            output.seek(0)
            return output.read(_TOOL_OUTPUT_BYTES).decode(errors="replace")
    except OSError:  # it cannot be started, or there is no temporary folder
        return ""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` for a browser or a tool.

    It has no credentials, no user and password of a proxy, and nothing that makes a browser run as in a test or
    where it cannot be seen.
    """
    return {
        name: _USER_AND_PASSWORD.sub(r"\1", value) if name.casefold() in _PROXIES else value
        for name, value in environ.items()
        if name not in CHAIN_VARIABLES
        and not _TEST_VARIABLES.fullmatch(name)
        and not (name in _HEADLESS_VALUES and re.match(_HEADLESS_VALUES[name], value))
    }


def find_browsers(
    environ: Mapping[str, str], platform: str = sys.platform, *, default: Product | None = None
) -> list[InstalledBrowser]:
    """Return the installed browsers, best first, each product once per kind of packaging.

    The default browser, then the Chromium family, then Firefox; flatpaks come last, even the default one, because
    the most can go wrong with them.
    """
    found: dict[tuple[str, Packaging], InstalledBrowser] = {}
    for program in _installed(environ, platform):
        if browser := _identify(program, environ, platform, default):
            found.setdefault((browser.name, browser.packaging), browser)
    return sorted(
        found.values(),
        key=lambda one: (one.packaging is Packaging.FLATPAK, not one.is_default, one.family is Family.FIREFOX),
    )


def _identify(
    program: str, environ: Mapping[str, str], platform: str, default: Product | None = None
) -> InstalledBrowser | None:
    real = os.path.realpath(program)
    product = product_of(program) or product_of(real)
    if product is None or _is_windows_program(program, platform):
        return None
    command: tuple[str, ...] = (program,)
    packaging = Packaging.PLAIN
    if ntpath.basename(program) == product.flatpak:
        launcher = _find("flatpak", environ, platform)
        command, packaging = (launcher, "run", product.flatpak) if launcher else (), Packaging.FLATPAK
    elif _is_linux(platform):
        if program.startswith(("/snap/", "/var/lib/snapd/snap/")) or os.path.basename(real) == "snap":  # noqa: PTH119 - a text
            packaging = Packaging.SNAP
        elif shim := _SNAP_SHIM.match(_beginning_of(real)):
            snap = _find(shim[1].decode(), environ, platform)
            command, packaging = (snap,) if snap else (), Packaging.SNAP
    return InstalledBrowser(product.family, command, product.name, packaging, product is default) if command else None


def _is_windows_program(program: str, platform: str) -> bool:
    """Whether it is a program of Windows, seen from WSL."""
    return _is_linux(platform) and program.lower().endswith(".exe")


def _beginning_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a text
            return file.read(4096)
    except OSError:
        return b""


async def choose_here(wanted: str, environ: Mapping[str, str], platform: str = sys.platform) -> list[InstalledBrowser]:
    """Return the browsers to try, best first. The desktop is asked for its default only if that may change the order.

    ``wanted`` is ``auto`` for all browsers, perhaps none; ``chromium`` or ``firefox`` for one family; anything else is
    one browser's program, by its path or its name on ``PATH``, or on macOS its application.

    Raises:
        NoBrowserError: What was demanded is not installed, or no window can open in it.
    """
    if wanted != "auto" and wanted not in set(Family):
        return [_named(wanted, environ, platform)]
    families = set(Family) if wanted == "auto" else {wanted}
    found = [one for one in find_browsers(environ, platform) if one.family in families]
    if wanted == "auto" or len(found) > 1:
        default = await default_product(environ, platform)
        found = [one for one in find_browsers(environ, platform, default=default) if one.family in families]
    if not found and wanted != "auto":
        names = ", ".join(product.name for product in PRODUCTS if product.family == wanted)
        _refuse(
            _("No browser of the {wanted} family was found", wanted=wanted.capitalize()),
            _("Install one ({names}), or give --browser the path of one.", names=names),
        )
    return found


def _named(wanted: str, environ: Mapping[str, str], platform: str) -> InstalledBrowser:
    shown = safe_text(wanted, limit=100)
    application = ntpath.basename(wanted.rstrip("/"))
    inside = [product.app for product in PRODUCTS if product.app.startswith(f"{application}/")]
    if platform == "darwin" and inside:
        wanted = wanted.rstrip("/").removesuffix(application) + inside[0]
    if not (program := _find(wanted, environ, platform)):
        _refuse(
            _("{shown} was not found, or cannot be started", shown=shown),
            _("Give --browser the path of the browser's program."),
        )
    if _is_windows_program(program, platform):
        _refuse(
            _("{shown} is a Windows browser, which cannot be reached from WSL", shown=shown),
            _("Install a Linux browser in WSL."),
        )
    return _identify(program, environ, platform) or _refuse(
        _("{shown} is not known as a browser in which a window can be watched", shown=shown),
        _("Those are {names}. Any other: --browser default.", names=", ".join(product.name for product in PRODUCTS)),
    )


def _refuse(message: Text, hint: Text) -> NoReturn:
    raise NoBrowserError(message, hint=hint)


def why_no_window(environ: Mapping[str, str], platform: str = sys.platform) -> Text | None:
    """Return why no window can open here, whatever browser is installed; None if one can."""
    if not _is_linux(platform):
        return None
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return _("no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
    if _is_wsl(environ) and all(_is_windows_program(found, platform) for found in _installed(environ, platform)):
        return _("in WSL only a Linux browser's window can be used, and none is installed")
    return None


def why_no_display(environ: Mapping[str, str], platform: str = sys.platform) -> Text | None:
    """Return why neither the X nor the Wayland server that is set can be reached; None if one can, or none is set.

    A shell, tmux or su may remember a server that has ended. Takes two seconds at most per server.
    """
    if not _is_linux(platform) or environ.get("WAYLAND_SOCKET"):
        return None
    problems = []
    for name, addresses in (("WAYLAND_DISPLAY", _wayland_addresses(environ)), ("DISPLAY", _x_addresses(environ))):
        if value := environ.get(name):
            if not (error := _connection_error(addresses)):
                return None  # it can be reached, or its form is not known here
            why = error.strerror or _("no answer")
            value = safe_text(value, limit=60)
            problems.append(_('the display {name}="{value}" cannot be opened ({why})', name=name, value=value, why=why))
    return joined(problems) if problems else None


def _wayland_addresses(environ: Mapping[str, str]) -> list[str | tuple[str, int]]:
    name, folder = environ.get("WAYLAND_DISPLAY", ""), environ.get("XDG_RUNTIME_DIR", "")
    return [os.path.join(folder, name)] if folder or name.startswith("/") else []  # noqa: PTH118 of two texts


def _x_addresses(environ: Mapping[str, str]) -> list[str | tuple[str, int]]:
    if not (found := _X_DISPLAY.fullmatch(environ.get("DISPLAY", ""))):
        return []
    host, number = found[1].strip("[]"), int(found[2])
    if host not in {"", "unix"}:
        return [(host, _X_PORT + number)]
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 X(7)
    return [path, f"\0{path}"]  # on Linux an X server also has an abstract name, which needs no file


def _connection_error(addresses: list[str | tuple[str, int]]) -> OSError | None:
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


class OpenCommand(Struct, frozen=True):
    """A command that opens an address in the default browser, or why it cannot."""

    words: tuple[str, ...] = ()
    """The program's path and its arguments, ``%s`` in place of the address; empty if there is a ``problem``."""
    problem: Text = NO_TEXT

    @property
    def name(self) -> str:
        """The program's name."""
        return _name_of(self.words[0])

    def arguments(self, address: str) -> list[str]:
        """Return what to start in order to open ``address``, which is always one whole argument."""
        return [self.words[0], *(word.replace("%s", address) for word in self.words[1:])]


def open_commands(environ: Mapping[str, str], platform: str = sys.platform) -> list[OpenCommand]:
    """Return the commands that may open an address in the default browser, best first; never an empty list.

    ``BROWSER`` is read as Python's :mod:`webbrowser` reads it. If it is set, nothing else is tried.
    """
    if chosen := chosen_browsers(environ, platform):
        return [_with_browser_variable(text, environ, platform) for text in chosen]
    commands = list(_usual_commands(environ, platform))
    if not commands:
        return [OpenCommand(problem=_("no display: neither DISPLAY nor WAYLAND_DISPLAY is set"))]
    found = [(path, *rest) for name, *rest in commands if (path := _find(name, environ, platform))]
    return [_checked(*words) for words in found] or [OpenCommand(problem=_("no graphical browser was found on PATH"))]


def chosen_browsers(environ: Mapping[str, str], platform: str = sys.platform) -> list[str]:
    """Return the alternatives in ``BROWSER``."""
    separator = ";" if platform == "win32" else ":"
    return [text for part in environ.get("BROWSER", "").split(separator) if (text := part.strip())]


def _with_browser_variable(text: str, environ: Mapping[str, str], platform: str) -> OpenCommand:
    # A path with spaces and without quotes is a program too: webbrowser reads it so if it contains no %s.
    if program := _find(text, environ, platform):
        return _checked(program, "%s")
    try:
        words = shlex.split(text, posix=platform != "win32")
    except ValueError:
        return OpenCommand(problem=_("the quotes in it do not match"))
    if platform == "win32":
        words = [word.strip('"') for word in words]
    if words[-1:] == ["&"]:  # webbrowser's sign for a browser that is not waited for
        del words[-1]
    if not words:
        return OpenCommand(problem=_("it names no program"))
    # In any place: another program may start it, as in `env lynx`.
    if textual := next((word for word in words if Path(word).name in _TEXT_MODE), None):
        return _text_mode(textual)
    if not (program := _find(words[0], environ, platform)):
        return OpenCommand(problem=_("{program} was not found", program=_name_of(words[0])))
    arguments = words[1:]
    return _checked(program, *arguments, *([] if any("%s" in word for word in arguments) else ["%s"]))


def _usual_commands(environ: Mapping[str, str], platform: str) -> Iterator[list[str]]:
    if platform == "darwin":
        yield ["open", "%s"]
        return
    if platform == "win32":
        # By its whole path: a search would begin in the current folder. It asks the shell's URL handler as
        # os.startfile does, but in a process of its own.
        system = environ.get("SystemRoot", r"C:\Windows")
        yield [ntpath.join(system, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", "%s"]
        return
    if _is_wsl(environ):
        # The user sits at Windows, so no Linux display is needed. explorer.exe opens a folder instead of an address
        # that contains "=" (git-credential-manager issue 1490).
        yield ["wslview", "%s"]
        yield ["rundll32.exe", "url.dll,FileProtocolHandler", "%s"]
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        # sensible-browser is left out: it may choose a text-mode browser.
        openers = [["xdg-open", "%s"], ["gio", "open", "%s"]]
        browsers = [[name, "%s"] for name in ("x-www-browser", *GRAPHICAL)]
        # An opener would start Chromium as root without the switch that it then needs.
        yield from browsers + openers if _is_root() else openers + browsers


def _checked(program: str, *arguments: str) -> OpenCommand:
    # x-www-browser is a link to the browser that the machine's owner chose (Debian's alternatives).
    real = os.path.realpath(program)
    if {Path(program).name, Path(real).name} & _TEXT_MODE:
        return _text_mode(program)
    product = product_of(program) or product_of(real)
    if _is_root() and product and product.family is Family.CHROMIUM:
        # Chromium refuses to run as root with its sandbox on (crbug.com/638180).
        return OpenCommand((program, "--no-sandbox", *arguments))
    return OpenCommand((program, *arguments))


def _text_mode(program: str) -> OpenCommand:
    return OpenCommand(problem=_("{program} is a text-mode browser", program=_name_of(program)))


def _name_of(program: str) -> str:
    return safe_text(Path(program).name, limit=60)


def explain_problems(problems: Iterable[Text], environ: Mapping[str, str], platform: str = sys.platform) -> Text:
    """Join why commands cannot be used or have failed; mention ``BROWSER`` if it is set."""
    reasons = joined(problems)
    if chosen_browsers(environ, platform):
        return _("BROWSER is set, but {reasons}", reasons=reasons)
    return reasons


def why_no_browser(environ: Mapping[str, str], platform: str = sys.platform) -> Text | None:
    """Return why the default browser cannot be opened; None if it can."""
    commands = open_commands(environ, platform)
    if any(command.words for command in commands):
        return None
    return explain_problems((command.problem for command in commands), environ, platform)
