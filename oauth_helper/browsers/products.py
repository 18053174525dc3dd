"""The browsers in which a window of ours can open, with the names by which the systems know them. No I/O."""

from __future__ import annotations

import ntpath
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
