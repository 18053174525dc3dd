"""Start a browser on the address that waits, in a fresh profile, with a way to drive it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from oauth_helper.browsers.answers import first_page
from oauth_helper.browsers.chromium import Chromium
from oauth_helper.browsers.dialect import FIRST_PAGE, Dialect, Patience
from oauth_helper.browsers.find import Family, FoundBrowser, Packaging
from oauth_helper.browsers.firefox import Firefox
from oauth_helper.browsers.inheritance import inherited
from oauth_helper.browsers.process import HAS_PYTHON, BrowserProcess
from oauth_helper.browsers.profile import fresh_profile, parent_of_profiles, sweep
from oauth_helper.browsers.remote import Remote
from oauth_helper.browsers.trouble import BrowserTroubleError
from oauth_helper.browsers.wire import over_pipe, over_websocket
from oauth_helper.language import Language
from oauth_helper.phrase import phrase

_LONGEST_SOCKET_FOLDER: Final = 60
"""Characters of a folder in which the name of Chromium's singleton socket still fits. It may have 107 (unix(7)), and
Chromium aborts where it has more."""

_ACCEPTED: Final[Mapping[Language, str | None]] = {Language.ENGLISH: None, Language.CHINESE: "zh-CN,zh,en"}
"""What a fresh profile asks for in ``Accept-Language``; None: whatever the language of the system makes it ask for."""


def dialect_for(
    browser: FoundBrowser,
    *,
    headless: bool,
    platform: str,
    patience: Patience,
    language: Language = Language.ENGLISH,
) -> Dialect:
    """Return how to speak with ``browser``, in which pages are asked for in ``language``.

    Chromium over a pipe wherever that can be had: nobody else can reach it, and it ends with us. A snap or flatpak
    does not pass descriptors on.
    """
    if browser.family is Family.FIREFOX:
        return Firefox(
            headless=headless, platform=platform, session_patience=patience.session, accepted=_ACCEPTED[language]
        )
    return Chromium(
        over_pipe=HAS_PYTHON and not browser.is_open_to_others, headless=headless, accepted=_ACCEPTED[language]
    )


class Launched:
    """A browser that runs, but is not driven yet."""

    def __init__(self, process: BrowserProcess, dialect: Dialect, pipe: socket.socket | None) -> None:
        self.process = process
        self._dialect = dialect
        self._pipe = pipe

    @asynccontextmanager
    async def driven(self, patience: Patience) -> AsyncIterator[Remote]:
        """Connect to it.

        Raises:
            BrowserTroubleError: There is no connection, or the browser never says where to connect.
        """
        async with AsyncExitStack() as stack:
            if self._pipe:
                wire = await stack.enter_async_context(over_pipe(self._pipe))
            else:
                endpoint = await self.process.endpoint_within(patience.endpoint) + self._dialect.endpoint_path
                wire = await stack.enter_async_context(over_websocket(endpoint, seconds=patience.command))
            yield await stack.enter_async_context(Remote.over(wire, patience=patience.command))


@asynccontextmanager
async def launched(
    browser: FoundBrowser, dialect: Dialect, address: str, *, environ: Mapping[str, str]
) -> AsyncIterator[Launched]:
    """Start ``browser`` on a page that goes on to ``address``; at the end it is gone with its children and profile.

    Raises:
        BrowserTroubleError: It cannot be started.
    """
    async with AsyncExitStack() as stack:
        try:
            browser_and_pipe = await _start(stack, browser, dialect, address, environ=environ)
        except OSError as error:
            raise BrowserTroubleError(
                phrase("could not be prepared ({value})", value=error.strerror or type(error).__name__)
            ) from error
        yield Launched(browser_and_pipe[0], dialect, browser_and_pipe[1])


async def _start(
    stack: AsyncExitStack,
    browser: FoundBrowser,
    dialect: Dialect,
    address: str,
    *,
    environ: Mapping[str, str],
) -> tuple[BrowserProcess, socket.socket | None]:
    parent = parent_of_profiles(browser, environ)
    await asyncio.to_thread(sweep, parent)
    profile = await stack.enter_async_context(fresh_profile(parent))
    dialect.furnish(profile.folder)
    page = _write_first_page(profile.folder, first_page(address, seconds=dialect.undriven_for))
    command = [*browser.command, *dialect.switches(profile.folder), page.as_uri()]
    ours, theirs = _pipe(stack) if dialect.speaks_over_pipe else (None, None)
    process = await stack.enter_async_context(
        BrowserProcess.started(
            command,
            environ=_environment(inherited(environ), browser.packaging, profile.folder),
            pipe=theirs.fileno() if theirs else None,
            guarded=profile,
        )
    )
    if theirs:
        theirs.close()  # The browser's own is the last one then, so its end is our end of file.
    return process, ours


def _write_first_page(profile: Path, text: str) -> Path:
    """Write a page that bears KEY: every user of the machine can read a command line, but not this."""
    page = profile / FIRST_PAGE
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return page


def _pipe(stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    stack.callback(theirs.close)
    return ours, theirs


def _environment(environ: Mapping[str, str], packaging: Packaging, profile: Path) -> dict[str, str]:
    """Keep crash reports and Chromium's stray socket folder inside the profile."""
    environ = {**environ, "BREAKPAD_DUMP_LOCATION": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    if packaging is not Packaging.PLAIN:
        return environ  # A snap has a temporary folder of its own.
    if len(str(profile)) <= _LONGEST_SOCKET_FOLDER:
        return {**environ, "TMPDIR": str(profile)}
    # Chromium ends at once where the name of a socket does not fit; its default always does.
    return {name: value for name, value in environ.items() if name != "TMPDIR"}
