"""Files that only this user may see: the journal's, and those by which our runs find each other."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from oauth_helper.errors import MachineError
from oauth_helper.phrase import Phrase, phrase

if sys.platform != "win32":  # pragma: no branch - Windows has no such module
    import fcntl

MOST_BYTES: Final = 65_536
"""A file of ours is never longer."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_TEMPORARY: Final = re.compile(r"being-written-[0-9a-f]{16}")
_TRIES: Final = 50  # a sweep can take a new file away between its creation and its lock, and no later
_SAFELY: Final = sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
"""No link is followed, no FIFO waited for. Windows knows the first alone, the others know all but that one."""


def private_folder(path: Path) -> Path:
    """Make this folder where it is missing, see to it that it is ours alone, and return it.

    Raises:
        MachineError: It cannot be made, or others could write it or put another in its place.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=stat.S_IRWXU)
        _make_ours_alone(path)
    except OSError as error:
        raise _distrust(path, phrase("cannot be had as a folder of ours ({why})", why=error.strerror)) from error
    return path


def has_private_folder(path: Path) -> bool:
    """Whether there is such a folder; nothing is made. Where others can only look into it, its mode is mended.

    Raises:
        MachineError: As :func:`private_folder` does.
    """
    try:
        _make_ours_alone(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _distrust(path, phrase("cannot be looked at ({why})", why=error.strerror)) from error
    return True


def write_whole(path: Path, text: str) -> None:
    """Write a file that only we can read: whole, and lasting through a loss of power, or not at all.

    Raises:
        OSError: It cannot be written. What stood there before still does, and nothing else is left.
    """
    content = text.encode()
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError, FileNotFoundError):  # a sweep came before the lock
            _write(path, content)
            break
    else:
        _write(path, content)
    _sync_folder(path.parent)


def overwrite(path: Path, old: str, new: str) -> None:
    """Write ``new`` over the very file that says ``old``. One that was put in its place meanwhile keeps its text.

    In place, so that nothing of the old text is left on the disk, and in one call: spaces make up for its length.

    Raises:
        MachineError: As :func:`read_private` does.
        OSError: It is not there, or cannot be written.
    """
    with _opened(path, os.O_RDWR) as file:
        if file.read(MOST_BYTES + 1) == old.encode():
            file.seek(0)
            file.write(new.encode().ljust(len(old.encode())))
            file.flush()
            os.fsync(file.fileno())


def remove_leftovers(folder: Path) -> None:
    """Remove what a :func:`write_whole` that was killed left in a folder of ours; one that lives is not disturbed.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # its writer holds it, it is gone meanwhile, or (on Windows) still open
                _remove_abandoned(path)


def read_private(path: Path) -> str | None:
    """Return the file's text; None where there is no such file. Where others can read it, its mode is mended.

    Raises:
        MachineError: It is not to be trusted or cannot be read. Its content is not shown.
    """
    try:
        with _opened(path, os.O_RDONLY) as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:  # the second is FreeBSD's word for it
            raise _distrust(path, phrase("is a link")) from None
        raise _distrust(path, phrase("cannot be read ({why})", why=error.strerror)) from None
    if len(content) > MOST_BYTES:
        raise _distrust(path, phrase("is longer than any file of ours"))
    with suppress(UnicodeDecodeError):
        return content.decode()
    raise _distrust(path, phrase("holds no text"))


def unsafe_reason(path: Path) -> Phrase | None:
    """Return why another user could change or replace this file or folder; None if only we and root can.

    One rule for the settings file and for the state, runtime and profile folders. The path itself, every folder above
    it and every link on the way to it

    - belongs to us or to root;
    - is not writable by everyone;
    - is writable by a group only if no one else is in that group: it is our primary group and has our login name or
      no name ("user private group"), or it is root's group, and it lists no other members.

    A folder above the path may be writable by others if it is sticky, as /tmp is: they cannot replace what is ours in
    it. What does not exist yet is not checked. On Windows, where owners and modes say nothing, the answer is None.

    Raises:
        OSError: A folder on the way cannot be examined.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows
        return None
    return _unsafe_step(path.absolute(), set(), is_parent=False)


def others_could_read(path: Path) -> bool:
    """Whether the file's mode let anybody but its owner read it; ask before :func:`read_private` mends it."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        return sys.platform != "win32" and stat.S_ISREG(mode) and bool(mode & _OTHERS)
    return False


def _unsafe_step(path: Path, seen: set[Path], *, is_parent: bool) -> Phrase | None:
    """Check the folders above ``path`` from the root down, then ``path``, following links."""
    for step in (*reversed(path.parents), path):
        if step in seen:
            continue
        seen.add(step)
        try:
            found = step.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        is_above = is_parent or step != path
        if found.st_uid not in {0, os.geteuid()} and not (is_above and _is_unmapped_user(found.st_uid)):
            return phrase('"{path}" belongs to another user', path=step)
        if stat.S_ISLNK(found.st_mode):
            if reason := _unsafe_step(step.parent / step.readlink(), seen, is_parent=is_above):
                return reason
        elif is_above and found.st_mode & stat.S_ISVTX:
            continue
        elif found.st_mode & stat.S_IWOTH:
            return phrase('every user can write to "{path}"', path=step)
        elif found.st_mode & stat.S_IWGRP and not _is_group_ours(found.st_gid):
            return phrase('a group of other users can write to "{path}"', path=step)
    return None


def _is_group_ours(group_id: int) -> bool:
    import grp  # noqa: PLC0415 - needed only where a group can write
    import pwd  # noqa: PLC0415

    try:
        login = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run under a number without a name
        login = ""
    try:
        group = grp.getgrgid(group_id)
    except KeyError:
        return group_id == os.getegid()
    if not set(group.gr_mem) <= {login, "root"}:
        return False
    return group_id == 0 or (group_id == os.getegid() and group.gr_name == login)


def _is_unmapped_user(user_id: int) -> bool:
    """Whether this is the number that a user namespace (rootless containers, sandboxes) shows for root outside it."""
    try:
        mapped = Path("/proc/self/uid_map").read_text().split()
        return mapped[1:] != ["0", "4294967295"] and user_id == int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return False


def _make_ours_alone(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _distrust(path, phrase("is a link"))
    if not stat.S_ISDIR(found.st_mode):
        raise _distrust(path, phrase("is not a folder"))
    if sys.platform == "win32":  # pragma: no cover - Windows: %LOCALAPPDATA% keeps others out by itself
        return
    if found.st_uid != os.geteuid():
        raise _distrust(path, phrase("belongs to another user"))
    if found.st_mode & _OTHERS_WRITE:
        raise _distrust(path, phrase("can be written by other users"))
    _check_parent(path)
    if found.st_mode & _OTHERS:
        path.chmod(stat.S_IRWXU)


def _check_parent(path: Path) -> None:
    """Whoever may rename our folder can put another there: platformdirs falls back on a guessable one under /tmp.

    A group that may write is let pass: with an umask of 002 it is the user's own, and all that is made has it.
    """
    parent = path.parent.stat()
    is_open_to_all = parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX
    if is_open_to_all or parent.st_uid not in {0, os.geteuid()}:
        raise _distrust(path, phrase("lies in a folder where other users could replace it"))


@contextmanager
def _opened(path: Path, access: int) -> Iterator[BinaryIO]:
    if sys.platform == "win32" and path.is_symlink():  # pragma: no cover - Windows: others have O_NOFOLLOW
        raise _distrust(path, phrase("is a link"))
    descriptor = os.open(path, access | _SAFELY)
    try:
        _check_file(path, descriptor)
        with os.fdopen(descriptor, "rb" if access == os.O_RDONLY else "r+b", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check_file(path: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _distrust(path, phrase("is not a plain file"))
    if found.st_nlink > 1:  # none at all: it was replaced just now, and what is in hand is still whole
        raise _distrust(path, phrase("has a second name elsewhere"))
    if sys.platform == "win32":  # pragma: no cover - Windows: owners and modes tell nothing there
        return
    if found.st_uid != os.geteuid():
        raise _distrust(path, phrase("belongs to another user"))
    if found.st_mode & _OTHERS_WRITE:
        raise _distrust(path, phrase("can be written by other users"))
    if found.st_mode & _OTHERS:
        with suppress(OSError):  # on a read-only file system: no reason to lose what the file says
            os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)


def _distrust(path: Path, why: Phrase) -> MachineError:
    hint = phrase("Look at it, then move it away or make it yours alone (chmod go= PATH).")
    return MachineError(phrase("{path} {why}", path=path, why=why), hint=hint)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"being-written-{os.urandom(8).hex()}")  # never used again, so nobody else's
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, stat.S_IRUSR | stat.S_IWUSR)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _hold(descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if sys.platform != "win32":  # pragma: no branch - as below
                temporary.replace(path)  # still held: no sweep comes between
        if sys.platform == "win32":  # pragma: no cover - Windows: nothing open is renamed there
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _hold(descriptor: int) -> None:
    """Show that the writer lives: the system lets go of the lock whatever ends it. BlockingIOError: it is held."""
    if sys.platform == "win32":  # pragma: no cover - Windows: what is open is not deleted there
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):  # pragma: no branch - some file systems of a network have no locks
            raise  # where there are none, a sweep may rob a writer, and the writer writes again


def _remove_abandoned(temporary: Path) -> None:
    with os.fdopen(os.open(temporary, os.O_RDWR | _SAFELY), "rb") as file:
        _hold(file.fileno())
        with suppress(PermissionError):  # Windows deletes nothing that is open
            temporary.unlink()  # still held: no writer takes up what is about to go
    temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover - Windows opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # pragma: no cover - a disk that fails, or a file system that knows this for files alone
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
