"""Who links a target: at most one run at a time, told by a lock that the system takes away with its process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oauth_helper.errors import MachineError
from oauth_helper.pending import Target
from oauth_helper.phrase import phrase

if sys.platform == "win32":  # pragma: no cover - Windows alone has this module
    import msvcrt
else:
    import fcntl

PAUSE: Final = 0.1
"""Seconds between two tries, of whatever it is that another run has to do first."""

_OPENED: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
"""Python opens every file so that no child keeps it (PEP 446): a browser of ours may outlive us."""
_TAKEN: Final = PermissionError if sys.platform == "win32" else BlockingIOError
"""What the system says where another open file has the lock."""


class Claim:
    """The right to link one target, until it is released or its process ends, however that ends. A context manager.

    The lock belongs to the opened file, not to the process: two links of one process exclude each other too. The file
    is empty and stays, because to remove it while others may be opening it would let two of them have "the" lock.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def try_take(cls, folder: Path, target: Target) -> Self | None:
        """Return the claim to ``target``; None while somebody has it.

        Raises:
            MachineError: Nothing can be locked in ``folder``.
        """
        return cls.try_take_by_digest(folder, target.digest)

    @classmethod
    def try_take_by_digest(cls, folder: Path, digest: str) -> Self | None:
        """As :meth:`try_take`. What a dead run left under its notice's name is removed: nobody is there any more."""
        path = lock_path(folder, digest)
        try:
            descriptor = os.open(path, _OPENED, 0o600)
        except OSError as error:
            raise _no_claim(path, error) from error
        claim = cls(descriptor)
        try:
            if sys.platform != "win32":  # pragma: no branch - a umask may take even our own permissions away
                os.fchmod(descriptor, 0o600)
            if _lock(descriptor):
                notice_path(folder, digest).unlink(missing_ok=True)
                return claim
        except OSError as error:
            claim.release()
            raise _no_claim(path, error) from error
        claim.release()
        return None

    def release(self) -> None:
        """Let the next one have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_path(folder: Path, digest: str) -> Path:
    """Return the file whose lock is the claim."""
    return folder / f"{digest}.lock"


def notice_path(folder: Path, digest: str) -> Path:
    """Return the file in which who has the claim says where it can be spoken to."""
    return folder / f"{digest}.json"


def _lock(descriptor: int) -> bool:
    """Lock the file, unless another open file holds the lock.

    Raises:
        OSError: The file system knows no locks.
    """
    try:
        if sys.platform == "win32":  # pragma: no cover - Windows has locks of its own
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _TAKEN:
        return False
    return True


def _no_claim(path: Path, error: OSError) -> MachineError:
    return MachineError(phrase("{path} cannot be locked: {strerror}", path=path, strerror=error.strerror))
