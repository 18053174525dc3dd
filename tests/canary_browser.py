"""The scripted browser, for ``BROWSER``, which keeps every page it got below ``CANARY_PAGES``."""

import os
import sys
from pathlib import Path
from urllib.request import OpenerDirector

sys.path.insert(0, str(Path(__file__).parent))  # where Python is told to put no folder there by itself

import scripted_browser

FOLDER = Path(os.environ["CANARY_PAGES"])
fetch = scripted_browser.fetch


def fetch_and_keep(browser: OpenerDirector, address: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
    """Fetch, and write down what came if it came from the listener."""
    html, where = fetch(browser, address, fields)
    if address.startswith(sys.argv[1].partition("/start")[0]):
        (FOLDER / f"{os.getpid()}-{len(list(FOLDER.iterdir()))}.html").write_text(html, encoding="utf-8")
    return html, where


def main() -> None:
    """Play the user; there is a file ``open-PID`` until that is done."""
    is_open = FOLDER / f"open-{os.getpid()}"
    is_open.touch()
    scripted_browser.fetch = fetch_and_keep
    try:
        scripted_browser.main(sys.argv[1])
    finally:
        is_open.unlink()


if __name__ == "__main__":
    main()
