"""What a victim tells the harness: JSON objects on standard output, one a line."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Callable


class ToldBrowser(webbrowser.BaseBrowser):
    """A browser that tells the address it is opened with, and goes nowhere."""

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        """Tell the address."""
        tell(opened=url)
        return True


def tell(**told: object) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def run(login: Callable[[str], str | None]) -> None:
    """Log in at the provider named on the command line, with the browser above; ``login`` returns what went wrong."""
    webbrowser.register("told", None, ToldBrowser(), preferred=True)
    try:
        problem = login(sys.argv[1])
    except Exception as error:  # noqa: BLE001 - however a peer fails, that is what is measured
        problem = repr(error)
    tell(ended=problem or "")
