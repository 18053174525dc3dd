"""The folder through which the runs of one user find each other."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from pathlib import Path
from typing import Final

from platformdirs import user_runtime_path

from oauth_helper.errors import MachineError
from oauth_helper.phrase import phrase
from oauth_helper.private_files import private_folder

_APPLICATION: Final = "oauth-helper"
_VARIABLE: Final = "XDG_RUNTIME_DIR"
_HINT: Final = phrase(
    "Set {variable} to a folder of your own, and run the command as the user who runs `link`.", variable=_VARIABLE
)


def runtime_folder() -> Path:
    """Return the folder; create it if it is missing.

    It is ``oauth-helper`` in platformdirs' runtime folder: ``XDG_RUNTIME_DIR`` or ``/run/user/UID``; if neither exists
    (in a container, after ``su``), ``runtime-UID`` in the folder for temporary files.

    Raises:
        MachineError: It cannot be created, or other users could change or replace it.
    """
    if named := os.environ.get(_VARIABLE):
        _refuse_another_users(Path(named))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns if it uses the temporary folder
            shared = user_runtime_path(ensure_exists=True)
    except OSError as error:
        raise MachineError(phrase("No folder for finding other runs: {error}", error=error), hint=_HINT) from error
    try:
        return private_folder(shared / _APPLICATION)
    except MachineError as error:
        error.hint = _HINT
        raise


def _refuse_another_users(folder: Path) -> None:
    """Report it instead of falling back silently to a folder where no other run is. A public folder is fine."""
    if sys.platform == "win32":  # pragma: no cover - Windows has neither the variable nor such an owner
        return
    try:
        found = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise MachineError(
            phrase(
                '{variable} cannot be used: "{folder}": {strerror}',
                variable=_VARIABLE,
                strerror=error.strerror,
                folder=folder,
            ),
            hint=_HINT,
        ) from error
    if found.st_uid != os.geteuid() and not found.st_mode & stat.S_IWOTH:
        raise MachineError(
            phrase('{variable} is the folder of another user: "{folder}"', variable=_VARIABLE, folder=folder),
            hint=_HINT,
        )
