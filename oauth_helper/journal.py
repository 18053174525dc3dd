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

from platformdirs import user_state_path

from oauth_helper.errors import MachineError
from oauth_helper.i18n import Text, _
from oauth_helper.models import CODE_LIFETIME, Pending, RepoType, Target
from oauth_helper.private_files import (
    has_private_folder,
    others_could_read,
    private_folder,
    read_private,
    remove_leftovers,
    write_whole,
)


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


_ENTRY: Final = re.compile(r"pending-[0-9a-f]{32}-[a-z]+\.json")


class Journal:
    """The entries of this user's runs, one for each target and repository type. Several runs may use it at once.

    Without a folder, which is the case if the user has no home, it is empty and nothing can be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_the_user(cls) -> Self:
        """Return the one in platformdirs' state folder. The first write creates the folder."""
        return cls(journal_folder())

    def write(self, pending: Pending) -> None:
        """Write an entry; it replaces an older one of the same target and repository type.

        Raises:
            MachineError: It cannot be written. The link can go on, but no other run can finish it.
        """
        if self._folder is None:
            raise _not_written(
                _("no home folder is known"),
                _("Set HOME to your home folder, or XDG_STATE_HOME to a folder of your own."),
            )
        try:
            path = private_folder(self._folder) / _name(pending.target, pending.repo_type)
            write_whole(path, json.dumps(pending.to_json()))
        except MachineError as error:
            more = _(" Or set HOME or XDG_STATE_HOME to a folder of your own.")
            raise _not_written(error.message, error.hint + more) from error
        except OSError as error:
            why = _('"{path}" cannot be written ({why})', path=self._folder, why=error.strerror)
            raise _not_written(why, _("Make room there, or set XDG_STATE_HOME to a folder elsewhere.")) from error

    def remove(self, pending: Pending) -> None:
        """Remove this entry if it exists, but not one that another run has written in its place.

        Raises:
            MachineError: It cannot be removed.
        """
        if self._folder is None:
            return
        path = self._folder / _name(pending.target, pending.repo_type)
        try:
            if has_private_folder(self._folder) and not _is_of_another_redirect(path, pending):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(
                _('"{path}" cannot be removed ({why})', path=path, why=error.strerror),
                hint=_("Remove it yourself: it holds the code and state of a redirect that was already used."),
            ) from error

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        """Return the entry of this target and repository type, fresh or not.

        Raises:
            MachineError: It exists, but cannot be trusted or read.
        """
        if self._folder is None or not has_private_folder(self._folder):
            return None
        return _read(self._folder / _name(target, repo_type))

    def read_all(self) -> tuple[list[Pending], list[Text]]:
        """Return all entries, the oldest redirect first, and a message for each that cannot be read."""
        entries: list[Pending] = []
        troubles: list[Text] = []
        try:
            paths = self._paths()
        except MachineError as error:
            return entries, [error.message]
        except OSError as error:
            return entries, [_('"{path}" cannot be read ({why})', path=self._folder, why=error.strerror)]
        for path in paths:
            try:
                if pending := _read(path):  # pragma: no branch - else another run has removed it just now
                    entries.append(pending)
            except MachineError as error:
                troubles.append(error.message)
        return sorted(entries, key=attrgetter("captured_at")), troubles

    def forget_expired(self, now: datetime) -> tuple[list[Pending], list[Text]]:
        """Delete the entries of redirects that came more than 10 minutes ago; their codes are useless.

        Also delete entries that cannot be read and are as old, and what killed writers left. What cannot be deleted
        now is left to the next command. Return the deleted entries that could be read, and a warning for each entry
        that other users could read.
        """
        deleted: list[Pending] = []
        warnings: list[Text] = []
        try:
            paths = self._paths()
            if self._folder and self._folder.exists():
                remove_leftovers(self._folder)
        except (MachineError, OSError):  # the next command that writes there or reads all reports it
            return deleted, warnings
        for path in paths:
            if others_could_read(path):
                warnings.append(_('Other users could read "{path}"', path=path))
            with suppress(MachineError, OSError):
                if pending := _forget(path, now):
                    deleted.append(pending)
        return deleted, warnings

    def _paths(self) -> list[Path]:
        if self._folder is None or not has_private_folder(self._folder):
            return []
        return sorted(path for path in self._folder.iterdir() if _ENTRY.fullmatch(path.name))


def _name(target: Target, repo_type: RepoType) -> str:
    return f"pending-{target.digest}-{repo_type.value}.json"


def _read(path: Path) -> Pending | None:
    text = read_private(path)
    return None if text is None else _parse(path, text)


def _parse(path: Path, text: str) -> Pending:
    # The content may be anything, for example nested too deep. The original errors would repeat parts of it.
    with suppress(ValueError, OverflowError, RecursionError):
        record = json.loads(text)
        if isinstance(record, dict):
            pending = Pending.from_json(record)
            if _name(pending.target, pending.repo_type) == path.name:
                return pending
    raise MachineError(
        _('"{path}" is not an entry of this version of oauth-helper', path=path),
        hint=_("You need not do anything: it is deleted when it is 10 minutes old."),
    )


def _is_of_another_redirect(path: Path, pending: Pending) -> bool:
    try:
        found = _read(path)
    except MachineError:
        return False
    return found is not None and found.captured_at != pending.captured_at


def _forget(path: Path, now: datetime) -> Pending | None:
    """Delete this entry if it has expired; return what it said, if that could be read."""
    before = path.lstat()
    try:
        pending = _read(path)
    except MachineError:
        pending = None
    is_ours = stat.S_ISREG(before.st_mode) and (sys.platform == "win32" or before.st_uid == os.geteuid())
    is_old = abs(now.timestamp() - before.st_mtime) > CODE_LIFETIME.total_seconds()
    if not is_ours or (pending.is_fresh(now) if pending else not is_old):
        return None
    found = path.lstat()
    if (found.st_ino, found.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
        return None  # pragma: no cover - its run has written a new redirect there meanwhile
    path.unlink()
    return pending


def _not_written(why: Text, hint: Text) -> MachineError:
    return MachineError(
        _(
            "The redirect could not be saved: {why}. The link goes on, but if it is cut off, "
            "`oauth-helper resume` cannot finish it. {hint}",
            why=why,
            hint=hint,
        )
    )
