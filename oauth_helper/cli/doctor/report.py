"""What ``doctor --report`` prints: a report for a public issue, with nothing in it that is private."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from oauth_helper.cli.doctor.discreet import discreet, known
from oauth_helper.cli.doctor.finding import Finding
from oauth_helper.cli.running import run
from oauth_helper.cli.speech import print_text, spoken
from oauth_helper.errors import OAuthHelperError

if TYPE_CHECKING:
    from oauth_helper.browsers.find import FoundBrowser
    from oauth_helper.browsers.surroundings import Surroundings

_PACKAGES: Final = ("aiohttp", "yarl", "click", "platformdirs")
_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")
_LOCALE_SHAPE: Final = r"(?:C|POSIX|[a-z]{2,3}(?:_[A-Z]{2})?)(?:\.[A-Za-z0-9-]{3,10})?(?:@[a-z]{1,10})?"
_TERMINAL_SHAPE: Final = r"(?:xterm|tmux|screen|linux|vt\d+|dumb|rxvt|alacritty|foot|konsole)[a-z0-9.+-]{0,24}"
_TOLD_IF_SET: Final = (
    *("BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "TMUX", "NO_COLOR", "XDG_RUNTIME_DIR"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "OAUTH_HELPER_CONFIG"),
)
"""That they are set says enough; to what is nobody's business."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


def print_report(findings: Sequence[Finding]) -> None:
    """Print it, in English whatever language is spoken: it is for those who mend oauth-helper."""
    for line in (*_machine(), *run(_browsers()), "", *_verdicts(findings)):
        print_text(line)


def _machine() -> Iterator[str]:
    kernel = _VERSION.match(platform.release())
    system = (platform.system(), kernel[0] if kernel else "", platform.machine())
    yield f"oauth-helper {_version('oauth-helper')}"
    yield f"Python {platform.python_version()} on {' '.join(filter(None, system))}"
    yield ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    terminal = known(os.environ, ("TERM",), _TERMINAL_SHAPE) or ["TERM is not set"]
    yield "terminal: " + ", ".join([*terminal, f"stdin {_kind(0)}, stdout {_kind(1)}, stderr {_kind(2)}"])
    locale = known(os.environ, _LOCALE, _LOCALE_SHAPE) or ["none is set"]
    yield "locale: " + ", ".join([*locale, f"speaks {spoken().language}, writes {sys.stdout.encoding}"])
    yield "set: " + (", ".join(name for name in _TOLD_IF_SET if os.environ.get(name)) or "nothing of interest")


async def _browsers() -> list[str]:
    from oauth_helper.browsers.find import find_browsers, look_around  # noqa: PLC0415 - only a report pays for it
    from oauth_helper.browsers.surroundings import whereabouts  # noqa: PLC0415 - as above

    here = await look_around()
    found = await asyncio.gather(*(_described(here, browser) for browser in find_browsers(here)))
    return [f"place: {whereabouts(os.environ).place}", "browsers: " + (", ".join(found) or "none found")]


async def _described(here: Surroundings, browser: FoundBrowser) -> str:
    from oauth_helper.browsers.surroundings import ask  # noqa: PLC0415 - as above

    # Elsewhere the switch would open a window, or start what starts the browser.
    is_quick = here.is_linux and len(browser.command) == 1 and browser.packaging == "plain"
    found = _VERSION.search(await ask(here, browser.command[0], "--version")) if is_quick else None
    told = [browser.name, *([found[0]] if found else []), f"({browser.packaging}"]
    return " ".join(told) + (", default)" if browser.is_default else ")")


def _verdicts(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        said = discreet(finding.message)
        if finding.error:
            said += f" [{finding.error.kind}, status {finding.error.exit_status}{_code(finding.error)}]"
        yield f"{finding.verdict:<4} {finding.subject:<{width}} {said}".rstrip()


def _code(error: OAuthHelperError) -> str:
    return f" {error.code}" if re.fullmatch(r"[A-Z]{2,8}(?:\.[A-Z0-9]{2,6}){1,3}", error.code or "") else ""


def _kind(descriptor: int) -> str:
    return "a terminal" if os.isatty(descriptor) else "no terminal"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of a checkout"
