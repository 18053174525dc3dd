"""The projects that IAM has named, a file each in the cache, so that it is not asked each time."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from platformdirs import user_cache_path

from oauth_helper.errors import MachineError
from oauth_helper.private_files import has_private_folder, private_folder, read_private, write_whole

_PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What IAM was asked with."""

    iam_endpoint: str
    region: str
    access_key: str

    @property
    def file_name(self) -> str:
        """A name of its own, from which the access key cannot be read."""
        asked = "\0".join((self.iam_endpoint, self.region, self.access_key))
        return f"project-{hashlib.sha256(asked.encode()).hexdigest()[:32]}"


class KnownProjects:
    """What is remembered. A folder that cannot be had, or is not to be trusted, remembers nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_the_user(cls) -> Self:
        """Return those in platformdirs' cache folder."""
        try:
            folder = user_cache_path("oauth-helper", appauthor=False)
        except RuntimeError:  # a container may run under a number that has neither name nor HOME
            folder = Path(os.devnull)
        return cls((folder if folder.is_absolute() else Path(os.devnull)) / "projects")

    def find(self, asked: Asked) -> str | None:
        """Return the project's id; None where it is not known."""
        with suppress(MachineError, OSError):
            if has_private_folder(self._folder):
                known = (read_private(self._folder / asked.file_name) or "").strip()
                return known if _PROJECT_ID.fullmatch(known) else None
        return None

    def remember(self, asked: Asked, project_id: str) -> None:
        """Remember it."""
        if _PROJECT_ID.fullmatch(project_id):
            with suppress(MachineError, OSError):
                write_whole(private_folder(self._folder) / asked.file_name, f"{project_id}\n")

    def forget(self, asked: Asked) -> None:
        """Forget it: it turned out to be wrong."""
        with suppress(MachineError, OSError):
            if has_private_folder(self._folder):
                (self._folder / asked.file_name).unlink(missing_ok=True)
