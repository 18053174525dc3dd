"""Make the pictures in ``docs/``: a run in a terminal as SVG, and the pages in a browser as PNG.

``make pictures`` makes all of them; ``PYTHONPATH=tests .venv-pictures/bin/python -m pictures --only terminal`` a part.
It needs Chromium and, for what is Chinese, a font with Chinese characters (Debian: fonts-noto-cjk).
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from browser_session import Chromium

from pictures.pages import PAGES, photograph
from pictures.terminal_run import run_in_terminal
from pictures.terminal_svg import LANGUAGES, drawing

_DOCS: Final = Path(__file__).parent.parent.parent / "docs"
_LARGEST: Final = {".svg": 30_000, ".png": 60_000}
"""Bytes."""


def main() -> int:
    """Make what the command line asks for; return how many pictures are too large."""
    parser = argparse.ArgumentParser(prog="pictures", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=["terminal", "pages"], help="these alone")
    parser.add_argument("--into", type=Path, default=_DOCS, help="the folder, docs/ unless given")
    options = parser.parse_args()
    if missing := _missing():
        sys.stderr.write(f"error: {missing}\n")
        return 1
    options.into.mkdir(exist_ok=True)
    return asyncio.run(_make(options.into, options.only))


def _missing() -> str:
    """Return what this machine lacks, and how to get it."""
    if Chromium.find() is None:
        return f"Chromium is not installed (none of {', '.join(Chromium.names)} is on PATH)."
    if not shutil.which("fc-list"):
        return "fc-list is not installed, which tells whether there is a Chinese font. Debian: apt install fontconfig"
    if not subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, check=True).stdout.strip():
        return "No font here has Chinese characters: they would be boxes. Debian: apt install fonts-noto-cjk"
    return ""


async def _make(folder: Path, only: str | None) -> int:
    too_large = 0
    if only != "pages":
        for language in LANGUAGES:
            picture = drawing(await run_in_terminal(language.locale), language)
            too_large += _write(folder / f"link-{language.name}.svg", picture.encode())
    if only != "terminal":
        for page in PAGES:
            for scheme in ("light", "dark"):
                too_large += _write(folder / f"page-{page.name}-{scheme}.png", await photograph(page, scheme))
    return too_large


def _write(path: Path, picture: bytes) -> bool:
    """Write a picture; return whether it is larger than it may be."""
    path.write_bytes(picture)
    is_too_large = len(picture) > _LARGEST[path.suffix]
    sys.stdout.write(f"{path.name}: {len(picture):,} bytes{', TOO LARGE' if is_too_large else ''}\n")
    sys.stdout.flush()
    return is_too_large


if __name__ == "__main__":
    sys.exit(main())
