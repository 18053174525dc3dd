"""Where Linux, macOS and Windows say which browser is the default one, and where they keep the installed ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from oauth_helper.browsers.candidates import GRAPHICAL
from oauth_helper.browsers.desktop_entry import started_by
from oauth_helper.browsers.products import PRODUCTS, Product, product_of
from oauth_helper.browsers.surroundings import Surroundings

_ON_PATH: Final = tuple(name for name in (*GRAPHICAL, "brave") if product_of(name))
"""``brave`` is what Arch, NixOS and its snap call it."""

_LAUNCH_SERVICES: Final = "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"

_USER_CHOICE: Final = (
    r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
)
_APP_PATHS: Final = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
_PROGRAM: Final = re.compile(r'\s*(?:"([^"]+)"|(.+?\.exe))', re.IGNORECASE)
"""At the head of a command line; without quotes its path may hold spaces all the same."""


def default_browser(here: Surroundings) -> list[str]:
    """Return what starts the default browser, arguments included; nothing where that cannot be told."""
    if here.platform == "darwin":
        return _default_on_macos(here)
    if here.platform == "win32":
        return _default_on_windows(here)
    return _default_on_linux(here)


def installed_browsers(here: Surroundings) -> Iterator[str]:
    """Yield the programs of browsers in which a window of ours can open, as far as they are there."""
    places = {"darwin": _places_on_macos, "win32": _places_on_windows}.get(here.platform, _places_on_linux)
    return (program for place in places(here) if (program := here.find(place)))


def _default_on_linux(here: Surroundings) -> list[str]:
    for name in here.default_entries:
        for folder in _data_folders(here):
            entry = here.read(f"{folder}/applications/{name}").decode(errors="replace")
            words = started_by(entry)
            if words and here.find(words[0]):
                return words
    return []


def _places_on_linux(here: Surroundings) -> Iterator[str]:
    yield from _ON_PATH
    for folder in _flatpak_folders(here):
        yield from (f"{folder}/exports/bin/{product.flatpak}" for product in PRODUCTS)


def _data_folders(here: Surroundings) -> list[str]:
    # XDG Base Directory Specification. Sessions without a desktop do not name those of flatpak and snap.
    named = here.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    exported = [f"{folder}/exports/share" for folder in _flatpak_folders(here)]
    return [_user_data(here), *named.split(":"), *exported, "/var/lib/snapd/desktop"]


def _flatpak_folders(here: Surroundings) -> tuple[str, str]:
    return f"{_user_data(here)}/flatpak", "/var/lib/flatpak"


def _user_data(here: Surroundings) -> str:
    return here.environ.get("XDG_DATA_HOME") or f"{here.environ.get('HOME', '')}/.local/share"


def _default_on_macos(here: Surroundings) -> list[str]:
    bundle = _https_handler(here.read(f"{here.environ.get('HOME', '')}/{_LAUNCH_SERVICES}"))
    places = (place for product in PRODUCTS if product.bundle == bundle for place in _app_places(here, product))
    return list(islice(filter(here.find, places), 1))


def _places_on_macos(here: Surroundings) -> Iterator[str]:
    for product in PRODUCTS:
        yield from _app_places(here, product)


def _app_places(here: Surroundings, product: Product) -> tuple[str, str]:
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


def _default_on_windows(here: Surroundings) -> list[str]:
    program_id = here.registry(_USER_CHOICE, "ProgId")
    command = here.registry(rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", "") if program_id else ""
    return list(_program(command))


def _places_on_windows(here: Surroundings) -> Iterator[str]:
    for product in PRODUCTS:
        for root in ("HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE"):
            yield from _program(here.registry(rf"{root}\{_APP_PATHS}\{product.executable}", ""))


def _program(command: str) -> Iterator[str]:
    if match := _PROGRAM.match(command):
        yield match[1] or match[2]
