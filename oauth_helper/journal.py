"""Captured redirects on disk, from before the exchange until its outcome is known."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

import msgspec
from platformdirs import user_state_path

from oauth_helper.errors import MachineError
from oauth_helper.i18n import Text, _
from oauth_helper.models import CODE_LIFETIME, Pending, RepoType, Target
from oauth_helper.private_files import private_folder, read_private, remove_leftovers, write_whole
from oauth_helper.secret import Secret, decode_secret

_ENTRY: Final = re.compile(r"pending-[0-9a-f]{32}-[a-z]+\.json")


class Journal:
    """The entries of this user's runs, one for each target and repository type. Several runs may use it at once.

    Without a folder, which is the case if the user has no home, it is empty and nothing can be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder: Path | None = folder

    @classmethod
    def of_the_user(cls) -> Self:
        """Return the one in ``pending`` in platformdirs' state folder. The first write creates the folder."""
        try:
            folder = user_state_path("oauth-helper", appauthor=False)
        except RuntimeError:  # a container may run as a number that has neither a name nor HOME
            return cls(None)
        # Older releases of platformdirs return a path below "~" then.
        return cls(folder / "pending" if folder.is_absolute() else None)

    @property
    def is_hidden(self) -> bool:
        """Whether this user may not enter a folder above it, so that it is not known what is there."""
        try:
            if self.folder:
                self.folder.lstat()
        except OSError as error:
            return isinstance(error, PermissionError)
        return False

    def write(self, pending: Pending) -> None:
        """Write an entry; it replaces an older one of the same target and repository type."""
        why, hint = _("no home folder is known"), _("Set HOME or XDG_STATE_HOME to a folder of your own.")
        try:
            if self.folder:
                private_folder(self.folder)
                path = self.folder / _name(pending.target, pending.repo_type)
                write_whole(path, json.dumps(msgspec.to_builtins(pending, enc_hook=Secret.reveal)).encode())
                return
        except MachineError as error:
            why, hint = error.message, error.hint + _(" Or set HOME or XDG_STATE_HOME to a folder of your own.")
        except OSError as error:
            why = _('"{path}" cannot be written ({why})', path=self.folder, why=error.strerror)
        raise MachineError(
            _(
                "The redirect could not be saved: {why}. The link goes on, but if it is cut off, "
                "`oauth-helper resume` cannot finish it. {hint}",
                why=why,
                hint=hint,
            )
        )

    def remove(self, pending: Pending) -> None:
        """Remove this entry if it exists, but not one that another run has written in its place."""
        if self.folder is None or not private_folder(self.folder, create=False):
            return
        path = self.folder / _name(pending.target, pending.repo_type)
        try:
            with suppress(MachineError):
                if (found := _read(path)) and found.captured_at != pending.captured_at:
                    return
            path.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(
                _('"{path}" cannot be removed ({why})', path=path, why=error.strerror),
                hint=_("Remove it yourself: it holds the code and state of a redirect that was already used."),
            ) from error

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        """Return the entry of this target and repository type, fresh or not."""
        if self.folder is None or not private_folder(self.folder, create=False):
            return None
        return _read(self.folder / _name(target, repo_type))

    def read_all(self) -> tuple[list[Pending], list[Text]]:
        """Return all entries, the oldest redirect first, and a message for each that cannot be read."""
        entries: list[Pending] = []
        problems: list[Text] = []
        try:
            for path in self._paths():
                try:
                    if pending := _read(path):  # pragma: no branch - else another run has removed it just now
                        entries.append(pending)
                except MachineError as error:
                    problems.append(error.message)
        except MachineError as error:
            problems.append(error.message)
        except OSError as error:
            problems.append(_('"{path}" cannot be read ({why})', path=self.folder, why=error.strerror))
        return sorted(entries, key=attrgetter("captured_at")), problems

    def forget_expired(self, now: datetime) -> tuple[list[Pending], list[Text]]:
        """Delete the entries of redirects that came more than 10 minutes ago; their codes are useless.

        Also delete entries that cannot be read and are as old, and what killed writers left. What cannot be deleted
        now is left to the next command. Return the deleted entries that could be read, and a warning for each entry
        that other users could read.
        """
        deleted: list[Pending] = []
        warnings: list[Text] = []
        with suppress(MachineError, OSError):  # the next command that writes there or reads all reports it
            for path in self._paths():
                with suppress(OSError):
                    _forget(path, now, deleted, warnings)
            if self.folder:
                remove_leftovers(self.folder)
        return deleted, warnings

    def _paths(self) -> list[Path]:
        if self.folder is None or not private_folder(self.folder, create=False):
            return []
        return sorted(path for path in self.folder.iterdir() if _ENTRY.fullmatch(path.name))


def _name(target: Target, repo_type: RepoType) -> str:
    return f"pending-{target.digest}-{repo_type.value}.json"


def _read(path: Path) -> Pending | None:
    if (content := read_private(path)) is None:
        return None
    # The content may be anything, for example nested too deep. The original errors would repeat parts of it.
    with suppress(ValueError, TypeError, RecursionError):
        pending = msgspec.convert(json.loads(content), Pending, dec_hook=decode_secret)
        if _name(pending.target, pending.repo_type) == path.name:
            return pending
    raise MachineError(
        _('"{path}" is not an entry of this version of oauth-helper', path=path),
        hint=_("You need not do anything: it is deleted when it is 10 minutes old."),
    )


def _forget(path: Path, now: datetime, deleted: list[Pending], warnings: list[Text]) -> None:
    before = path.lstat()
    if not stat.S_ISREG(before.st_mode) or (sys.platform != "win32" and before.st_uid != os.geteuid()):
        return
    if sys.platform != "win32" and before.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.append(_('Other users could read "{path}"', path=path))
    pending = None
    with suppress(MachineError):
        pending = _read(path)  # closes it to them
    is_old = abs(now.timestamp() - before.st_mtime) > CODE_LIFETIME.total_seconds()
    found = path.lstat()
    if (found.st_ino, found.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
        return  # pragma: no cover - its run has written a new redirect there meanwhile
    if is_old if pending is None else not pending.is_fresh(now):
        path.unlink()
        deleted += [pending] if pending else []
