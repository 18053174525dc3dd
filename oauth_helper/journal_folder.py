"""Where the journal lies, and whether anything is in it: to know that, nothing of it need be read."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path


def journal_folder() -> Path:
    """Return the folder: in platformdirs' state folder. Nothing is made."""
    try:
        folder = user_state_path("oauth-helper", appauthor=False)
    except RuntimeError:  # a container may run under a number that has neither name nor HOME
        folder = Path(os.devnull)
    # Older releases of platformdirs name one below ~ then, wherever we are.
    return (folder if folder.is_absolute() else Path(os.devnull)) / "pending"


def has_entries(folder: Path) -> bool:
    """Whether something is in it, or whether that cannot be told."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
