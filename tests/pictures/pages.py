"""Photograph the pages of a link, in a headless Chromium, against a sandbox of ours.

The command says at which address its page is (``--events``), and opens no browser; what the user does at the Git host
is decided before, and the address where the browser would end goes into the page's form.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from browser_session import Chromium, Tab
from command import line_with, running
from yarl import URL

from oauth_helper.sandbox import Sandbox
from pictures.camera import Camera
from pictures.fixed import refuse_secrets

_SUBMIT: Final = """(() => {
    document.querySelector("textarea[name=redirect]").value = TEXT;
    document.querySelector("button[type=submit]").click();
})()"""
_SWITCHES: Final = ("--disable-font-subpixel-positioning", "--font-render-hinting=none")
"""A letter looks the same wherever it stands, which makes a PNG smaller."""
_OUTCOME: Final = "document.body.dataset.outcome"


@dataclass(frozen=True)
class Page:
    """A page, and how it comes about."""

    name: str
    outcome: str | None = None
    """What it tells; None: it is the one before the outcome."""
    decision: str = "authorize"
    code_lifetime: float = 600.0
    """Seconds; 0: ServiceStage refuses the code."""
    language: str = "en-US"


PAGES: Final = (
    Page("start"),
    Page("linked", "linked"),
    Page("denied", "denied", decision="deny"),
    Page("failed", "failed", code_lifetime=0),
    Page("start-zh", language="zh-CN"),
    Page("linked-zh", "linked", language="zh-CN"),
)


async def photograph(page: Page, scheme: str) -> bytes:
    """Return a PNG of the page, ``light`` or ``dark``.

    Raises:
        ValueError: It shows what looks like a secret.
    """
    async with AsyncExitStack() as doors:
        sandbox = await doors.enter_async_context(Sandbox(decision=page.decision, code_lifetime=page.code_lifetime))
        environ = _environ(sandbox, Path(doors.enter_context(tempfile.TemporaryDirectory())), page)
        arguments = ("link", "github", "--name", "github-ada", "--browser", "none", "--events")
        process = await doors.enter_async_context(running(*arguments, environ=environ))
        browser = await doors.enter_async_context(
            Chromium(dark=scheme == "dark", arguments=[f"--accept-lang={page.language}", *_SWITCHES])
        )
        assert process.stderr
        silence = asyncio.create_task(process.stderr.read())
        doors.callback(silence.cancel)
        waiting = json.loads(await line_with(process.stdout, '"waiting"'))
        camera = await Camera.of(browser)
        await browser.tab.open(waiting["listener"])
        if page.outcome:
            await _bring_about(page.outcome, browser.tab, await _redirect(waiting["authorization_url"]))
        refuse_secrets(await browser.tab.evaluate("document.body.innerText"))
        return await camera.photograph()


def _environ(sandbox: Sandbox, folder: Path, page: Page) -> dict[str, str]:
    """Return an environment with nothing in it of whoever makes the pictures."""
    home = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    locale = page.language.replace("-", "_") + ".UTF-8"
    return sandbox.environment() | home | {"PATH": os.environ.get("PATH", os.defpath), "LANG": locale}


async def _redirect(authorization_url: str) -> str:
    """Return where the Git host sends the browser, at once because its user has decided before."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(authorization_url, encoded=True), allow_redirects=False) as answer,
    ):
        return answer.headers["Location"]


async def _bring_about(outcome: str, tab: Tab, redirect: str) -> None:
    await tab.evaluate(_SUBMIT.replace("TEXT", json.dumps(redirect)))
    shown = await tab.wait_for(f"{_OUTCOME} !== 'waiting' && {_OUTCOME}", seconds=45)
    if shown != outcome:
        raise ValueError(f"the page says {shown}, not {outcome}")
