"""Find the browsers in which a window of ours can open, best first. Starts none of them.

All looking is done through :class:`~oauth_helper.browsers.surroundings.Surroundings`, so that each system's ways can
be followed on any other.
"""

from __future__ import annotations

import ntpath
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

from oauth_helper.browsers.candidates import Which
from oauth_helper.browsers.places import default_browser, installed_browsers
from oauth_helper.browsers.products import PRODUCTS, Family, product_of
from oauth_helper.browsers.surroundings import Surroundings, look_around
from oauth_helper.errors import NoBrowserError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable

__all__ = [
    "Family",
    "FoundBrowser",
    "Packaging",
    "choose",
    "choose_here",
    "find_browsers",
    "look_around",
    "why_no_window",
]

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


def find_browsers(here: Surroundings) -> list[FoundBrowser]:
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


def choose(wanted: str, here: Surroundings) -> list[FoundBrowser]:
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
            phrase("No browser of the {wanted} family was found", wanted=wanted.capitalize()),
            phrase("Install one ({names}), or give --browser the path of one.", names=names),
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
            found = choose(wanted, Surroundings(environ, platform))
            if len(found) == 1:
                return found
    return choose(wanted, await look_around(environ, platform))


def why_no_window(environ: Mapping[str, str], platform: str, *, which: Which = shutil.which) -> Phrase | None:
    """Return why no window of ours can open here whatever browser there is, in words for people; None if one can."""
    here = Surroundings(environ, platform, which=which)
    if not here.is_linux:
        return None
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return phrase("no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
    if here.is_wsl and not any(installed_browsers(here)):
        return phrase("in WSL only a Linux browser's window can be used, and none is installed")
    return None


def _rank(browser: FoundBrowser) -> tuple[bool, bool, bool]:
    return browser.packaging is Packaging.FLATPAK, not browser.is_default, browser.family is Family.FIREFOX


def _named(wanted: str, here: Surroundings) -> FoundBrowser:
    shown = presentable(wanted, limit=100)
    application = ntpath.basename(wanted.rstrip("/"))
    inside = [product.app for product in PRODUCTS if product.app.startswith(f"{application}/")]
    if here.platform == "darwin" and inside:
        wanted = wanted.rstrip("/").removesuffix(application) + inside[0]
    if not (program := here.find(wanted)):
        _refuse(
            phrase("{shown} was not found, or cannot be started", shown=shown),
            phrase("Give --browser the path of the browser's program."),
        )
    if _is_of_windows(here, program):
        _refuse(
            phrase("{shown} is a Windows browser, which cannot be reached from WSL", shown=shown),
            phrase("Install a Linux browser in WSL."),
        )
    return _identify(here, [program]) or _refuse(
        phrase("{shown} is not known as a browser in which a window can be watched", shown=shown),
        phrase(
            "Those are {value}. Any other: --browser default.", value=", ".join(product.name for product in PRODUCTS)
        ),
    )


def _identify(here: Surroundings, words: Sequence[str], *, is_default: bool = False) -> FoundBrowser | None:
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


def _command(here: Surroundings, program: str, flatpak: str | None) -> tuple[tuple[str, ...], Packaging]:
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


def _is_of_windows(here: Surroundings, program: str) -> bool:
    return here.is_linux and program.lower().endswith(".exe")


def _refuse(message: Phrase, hint: Phrase) -> NoReturn:
    raise NoBrowserError(message, hint=hint)
