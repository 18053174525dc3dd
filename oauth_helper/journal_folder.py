"""Where the journal is, and whether it has entries. Every command asks this, so it imports little."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path


def journal_folder() -> Path | None:
    """Return ``pending`` in platformdirs' state folder; None if the user has no home. Creates nothing."""
    try:
        folder = user_state_path("oauth-helper", appauthor=False)
    except RuntimeError:  # a container may run as a number that has neither a name nor HOME
        return None
    # Older releases of platformdirs return a path below "~" then.
    return folder / "pending" if folder.is_absolute() else None


def has_entries(folder: Path | None) -> bool:
    """Return whether the folder holds something, or cannot be listed."""
    if folder is None:
        return False
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
