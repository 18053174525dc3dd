"""The journal of captured redirects: a file each, from before the exchange to its known outcome."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

from oauth_helper.authorization import RepoType
from oauth_helper.errors import MachineError
from oauth_helper.journal_folder import journal_folder
from oauth_helper.pending import CODE_LIFETIME, Pending, Target
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.private_files import (
    has_private_folder,
    others_could_read,
    overwrite,
    private_folder,
    read_private,
    remove_leftovers,
    write_whole,
)

KEPT_WITHOUT_SECRETS: Final = timedelta(days=7)
"""How long it can still be said what happened."""

_ENTRY: Final = re.compile(r"pending-[0-9a-f]{32}-[a-z]+\.json")


class Journal:
    """Entries of this user's runs, one for each target and repository type. Any number of runs may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_the_user(cls) -> Self:
        """Return the one in platformdirs' state folder. Nothing is made before something is written."""
        return cls(journal_folder())

    def write(self, pending: Pending) -> None:
        """Write an entry, in the place of an older one for the same target and repository type.

        Raises:
            MachineError: It cannot be written. The link can go on, but no other run could finish it.
        """
        try:
            private_folder(self._folder)
            write_whole(self._path(pending.target, pending.repo_type), json.dumps(pending.to_json()))
        except MachineError as error:
            raise _not_written(error.message, error.hint) from error
        except OSError as error:
            raise _not_written(phrase("{folder}: {strerror}", folder=self._folder, strerror=error.strerror)) from error

    def remove(self, pending: Pending) -> None:
        """Remove this entry; none is fine, and one that another run wrote there since then stays.

        Raises:
            MachineError: It cannot be removed.
        """
        path = self._path(pending.target, pending.repo_type)
        try:
            if has_private_folder(self._folder) and not _is_of_another_redirect(path, pending):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(
                phrase("{path} could not be removed ({strerror})", path=path, strerror=error.strerror),
                hint=phrase("Remove it by hand: it holds the code and the state of a redirect that is dealt with."),
            ) from error

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        """Return the entry for this target and repository type, fresh or not.

        Raises:
            MachineError: There is one, but it is not to be trusted, or not readable.
        """
        return _read(self._path(target, repo_type)) if has_private_folder(self._folder) else None

    def read_all(self) -> tuple[list[Pending], list[Phrase]]:
        """Return all entries, the oldest redirect first, and a line for people for whatever could not be read."""
        entries: list[Pending] = []
        troubles: list[Phrase] = []
        try:
            paths = self._paths() if has_private_folder(self._folder) else []
        except MachineError as error:
            return entries, [error.message]
        except OSError as error:
            return entries, [phrase("{path} cannot be read ({why})", path=self._folder, why=error.strerror)]
        for path in paths:
            try:
                if pending := _read(path):  # pragma: no branch - else another run has removed it just now
                    entries.append(pending)
            except MachineError as error:
                troubles.append(error.message)
        return sorted(entries, key=attrgetter("captured_at")), troubles

    def forget_expired(self, now: datetime) -> list[Phrase]:
        """Remove what is not to lie about any longer, and return a line for each entry that others could read.

        Code and state go 10 minutes after the capture, and what is left of the entry a week after it; what cannot be
        read goes once it is 10 minutes old, and what a killed writer left at once. Where there is no folder, this
        is a single look. What cannot be done now is left to the next command.
        """
        warnings: list[Phrase] = []
        try:
            if not has_private_folder(self._folder):
                return warnings
            remove_leftovers(self._folder)
            paths = self._paths()
        except (MachineError, OSError):  # told by the next that writes there or reads all
            return warnings
        for path in paths:
            if others_could_read(path):
                warnings.append(phrase("{path} could be read by other users", path=path))
            with suppress(MachineError, OSError):  # an entry that vanishes or changes meanwhile is another run's affair
                _forget(path, now)
        return warnings

    def _path(self, target: Target, repo_type: RepoType) -> Path:
        return self._folder / _name(target, repo_type)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if _ENTRY.fullmatch(path.name))


def _name(target: Target, repo_type: RepoType) -> str:
    return f"pending-{target.digest}-{repo_type.value}.json"


def _read(path: Path) -> Pending | None:
    text = read_private(path)
    return None if text is None else _parse(path, text)


def _parse(path: Path, text: str) -> Pending:
    # What stands there may be anything: nested too deep, in year 1 east of Greenwich. The errors would repeat it.
    with suppress(ValueError, OverflowError, RecursionError):
        record = json.loads(text)
        if isinstance(record, dict):
            pending = Pending.from_json(record)
            if _name(pending.target, pending.repo_type) == path.name:
                return pending
    raise MachineError(
        phrase("{path} does not hold what this version of oauth-helper writes there", path=path),
        hint=phrase("Nothing needs to be done: it is removed once it is 10 minutes old."),
    )


def _is_of_another_redirect(path: Path, pending: Pending) -> bool:
    try:
        found = _read(path)
    except MachineError:
        return False
    return found is not None and found.captured_at != pending.captured_at


def _forget(path: Path, now: datetime) -> None:
    try:
        if (text := read_private(path)) is None:  # pragma: no cover - another run has removed it just now
            return
        pending = _parse(path, text)
    except MachineError:
        _remove_old(path, now)
        return
    if pending.code is None and pending.state is None:
        if abs(now - pending.captured_at) > KEPT_WITHOUT_SECRETS:
            _remove_old(path, now)
    elif not pending.is_fresh(now):
        # Its owner may write a new redirect there at this moment, which this does not touch.
        overwrite(path, text, json.dumps(replace(pending, code=None, state=None).to_json()))


def _remove_old(path: Path, now: datetime) -> None:
    """Remove a file of ours that nobody has written for 10 minutes: a new entry in its place is younger, and stays."""
    found = path.lstat()
    is_ours = stat.S_ISREG(found.st_mode) and (sys.platform == "win32" or found.st_uid == os.geteuid())
    if is_ours and abs(now.timestamp() - found.st_mtime) > CODE_LIFETIME.total_seconds():
        path.unlink()


def _not_written(why: Phrase, hint: Phrase | None = None) -> MachineError:
    return MachineError(
        phrase(
            "The redirect could not be written down: {why}; the link goes on, but no other run could finish it", why=why
        ),
        hint=hint,
    )
