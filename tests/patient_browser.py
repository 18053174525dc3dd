"""The scripted browser, for ``BROWSER``, with a user who waits until told to go on; each start of it is noted.

``PATIENT_FOLDER`` is where: a line is added to ``opened`` there, and the user waits for a file ``go``.
"""

import os
import sys
import time
from pathlib import Path

import scripted_browser

PATIENCE = 40.0


def main(start: str) -> None:
    """Open ``start`` and wait, but not for ever."""
    folder = Path(os.environ["PATIENT_FOLDER"])
    with (folder / "opened").open("a", encoding="utf-8") as opened:
        opened.write("again\n")
    deadline = time.monotonic() + PATIENCE
    while not (folder / "go").exists():
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)
    scripted_browser.main(start)


if __name__ == "__main__":
    main(sys.argv[1])
