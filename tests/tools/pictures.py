"""Make the pictures in docs/ from runs in the sandbox: a link in a terminal as SVG, and the pages as PNG.

``PYTHONPATH=tests .venv-pictures/bin/python tests/tools/pictures.py /tmp`` makes them in /tmp instead of docs/. It
needs Chromium, Xvfb, and a font with Chinese characters (Debian: fonts-noto-cjk).
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby, product
from pathlib import Path
from typing import Final

import aiohttp
import pyte
from browsers.browser_session import Chromium
from browsers.xvfb_display import x_display
from rich.console import Console
from rich.text import Text
from support.command_runner import commands, line_with
from support.screen import COLUMNS, terminal
from yarl import URL

from oauth_helper.sandbox import Sandbox

DOCS: Final = Path(__file__).parents[2] / "docs"
LINK: Final = ("link", "github", "--name", "github-ada")
LANGUAGES: Final = {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}
PAGES: Final = ("start", "linked")
FIXED: Final = {
    r"http://127\.0\.0\.1:\d+": "https://github.com",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "2026-01-31 09:31:12",
    r"(?<![\d:])\d\d:\d\d:\d\d(?![\d:])": "09:31:12",
    r"(?<![\d:])\d{1,2}:\d\d(?![\d:])": "9:58",
    r"\b[0-9a-f]{32}\b": "0123456789abcdef" * 2,
}
"""Every picture shows GitHub for the sandbox's Git host, and the same times and request ids."""
SECRET: Final = re.compile(r"[?&]k=(?!KEY)|\b(state|code)=|\$2a\$|(?<![\w-])[\w-]{43,}(?![\w-])|ghp_", re.ASCII)
SET_TEXTS: Final = """(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (const [pattern, same] of FIXED)
        for (walker.currentNode = document.body; walker.nextNode();)
            walker.currentNode.data = walker.currentNode.data.replace(new RegExp(pattern, "g"), same);
})()"""
SUBMIT: Final = """(() => {
    document.querySelector("textarea[name=redirect]").value = TEXT;
    document.querySelector("button[type=submit]").click();
})()"""


def fixed(text: str) -> str:
    """The text as every run shows it.

    Raises:
        ValueError: It looks as if a secret is in it.
    """
    if SECRET.search(text):
        raise ValueError("something in the picture looks like a secret; it is not written")
    for pattern, same in FIXED.items():
        text = re.sub(pattern, same, text)
    return text


@asynccontextmanager
async def user(language: str, sandbox: Sandbox, **more: str) -> AsyncIterator[dict[str, str]]:
    """The environment of a user with an empty home folder, and nothing of the person who makes the pictures."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        Path(folder, "run").mkdir(mode=0o700)
        places = {"HOME": folder, "TMPDIR": folder, "XDG_RUNTIME_DIR": f"{folder}/run", "PATH": os.environ["PATH"]}
        yield sandbox.environment() | places | {"LANG": LANGUAGES[language], "TERM": "xterm-256color"} | more


def _style(cell: pyte.screens.Char) -> str:
    return " ".join(("bold",) * cell.bold + ((cell.fg,) if cell.fg in {"red", "green", "cyan"} else ()))


async def link_in_a_terminal(language: str, display: str) -> str:
    """Run the command in a terminal, with a window on a display; the user of the sandbox has consented before."""
    async with (
        Sandbox(decision="authorize") as sandbox,
        user(language, sandbox, DISPLAY=display) as environ,
        terminal(*LINK, environ=environ, columns=COLUMNS) as screen,
    ):
        if status := await screen.ended():
            raise RuntimeError(f"exit status {status}: {screen.shown}")
    shown = pyte.Screen(COLUMNS, 60)
    pyte.Stream(shown).feed(f"\x1b[1m$ oauth-helper {' '.join(LINK)}\x1b[0m\r\n{screen.shown}")
    lines = [line.rstrip() for line in shown.display]
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for row, line in enumerate(lines[: max(row for row, line in enumerate(lines) if line) + 1]):
        text = Text(fixed(line))
        styles = [_style(shown.buffer[row][column]) for column in range(len(line))]
        for style, group in groupby(range(len(line)), styles.__getitem__):
            columns = list(group)
            text.stylize(style, columns[0], columns[-1] + 1)
        console.print(text, no_wrap=True)
    console.print()
    picture = console.export_svg(title="oauth-helper", unique_id="link")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # it would be fetched from elsewhere
    # rich counts characters, but Chinese ones are wider.
    picture = re.sub(r' textLength="[\d.]+"([^>]*>[^<]*[\u4e00-\u9fff])', r"\1", picture)
    return "\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n"


async def page(name: str, language: str, scheme: str) -> bytes:
    """Photograph a page, at twice the size of 720 CSS pixels."""
    switches = [f"--accept-lang={LANGUAGES[language][:5].replace('_', '-')}", "--force-device-scale-factor=2"]
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(decision="authorize"))
        environ = await stack.enter_async_context(user(language, sandbox))
        link = (*LINK, "--browser", "none", "--events")
        process = await stack.enter_async_context(commands.running(*link, environ=environ))
        browser = await stack.enter_async_context(Chromium(dark=scheme == "dark", arguments=switches))
        waiting = json.loads(await line_with(process.stdout, '"waiting"'))
        await browser.tab.resize(720, 640)
        await browser.tab.open(waiting["listener"])
        if name != "start":
            async with (  # the user has decided before: the Git host redirects at once
                aiohttp.ClientSession() as session,
                session.get(URL(waiting["authorization_url"], encoded=True), allow_redirects=False) as answer,
            ):
                redirect = answer.headers["Location"]
            await browser.tab.evaluate(SUBMIT.replace("TEXT", json.dumps(redirect)))
            await browser.tab.wait_for(f"document.body.dataset.outcome === '{name}'", seconds=45)
        fixed(await browser.tab.evaluate("document.body.innerText"))
        await browser.tab.evaluate(SET_TEXTS.replace("FIXED", json.dumps(list(FIXED.items()))))
        return await browser.tab.screenshot()


async def make(folder: Path) -> None:
    """Make all pictures."""
    async with x_display() as display:
        for language in LANGUAGES:
            picture = await link_in_a_terminal(language, display)
            (folder / f"link-{language}.svg").write_text(picture, encoding="utf-8")
            for name, scheme in product(PAGES, ("light", "dark")):
                suffix = "" if language == "en" else f"-{language}"
                (folder / f"page-{name}{suffix}-{scheme}.png").write_bytes(await page(name, language, scheme))


if __name__ == "__main__":
    if not subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, check=True).stdout.strip():
        sys.exit("error: no font has Chinese characters. Debian: apt install fonts-noto-cjk")
    asyncio.run(make(Path(sys.argv[1]) if sys.argv[1:] else DOCS))
