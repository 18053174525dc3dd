"""Files and folders that only this user can access: for saved redirects, and for finding other runs."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from oauth_helper.errors import MachineError
from oauth_helper.i18n import Text, _

if sys.platform != "win32":  # pragma: no branch - Windows has no such modules
    import grp
    import pwd

MOST_BYTES: Final = 65_536  # a file of ours is never longer
_ABANDONED_AFTER: Final = 60  # seconds: writing a temporary file takes milliseconds, so its writer was killed
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_SAFELY: Final = sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
"""Follow no symbolic link, wait for no FIFO. Windows knows only the first flag; other systems know the other three."""


def private_folder(path: Path, *, create: bool = True) -> bool:
    """Make sure that only we can access this folder; return whether it exists.

    Every folder that this creates, parents included, has mode 0700, whatever the umask is. If nothing is to be created,
    a folder below one that this user may not enter counts as missing: HOME is often the home of another user.
    """
    try:
        if create:
            if not path.exists() and (reason := unsafe_reason(path)):
                raise _failed(reason)
            for folder in (*reversed(path.parents), path):
                if not folder.is_dir():
                    with suppress(FileExistsError):  # another run creates it at the same moment, or it is no folder
                        folder.mkdir(mode=stat.S_IRWXU)
                        folder.chmod(stat.S_IRWXU)
        _make_ours_alone(path)
    except OSError as error:
        if create:
            raise _failed(_('"{path}" cannot be created ({why})', path=path, why=error.strerror)) from error
        if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            raise _failed(_('"{path}" cannot be examined ({why})', path=path, why=error.strerror)) from error
        return False
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that only we can read, whatever the umask is: completely and durably, or not at all.

    Raises:
        OSError: It cannot be written. An earlier file of that name is unchanged, and nothing else is left.
    """
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    temporary = path.with_name(f"being-written-{os.urandom(8).hex()}")
    mode = stat.S_IRUSR | stat.S_IWUSR
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, mode), "wb") as file:
            if sys.platform != "win32":  # pragma: no branch - a umask may take even our own permissions away
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if sys.platform != "win32":  # pragma: no branch - Windows opens no folder
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # some file systems know this for files alone
                os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed :func:`write_whole` left in a folder of ours."""
    for path in folder.glob(f"being-written-{'[0-9a-f]' * 16}"):
        with suppress(OSError):  # it is gone meanwhile, or it is no file
            if abs(time.time() - path.lstat().st_mtime) > _ABANDONED_AFTER:
                path.unlink()


def read_private(path: Path) -> bytes | None:
    """Return the file's content; None if it does not exist. If other users can read it, close it to them."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _SAFELY)) as file:
            _check_file(path, file.fileno())
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:  # FreeBSD reports the second
            raise _failed(_('"{path}" is a symbolic link', path=path)) from None
        raise _failed(_('"{path}" cannot be read ({why})', path=path, why=error.strerror)) from None
    if len(content) > MOST_BYTES:
        raise _failed(_('"{path}" is too long for a file of oauth-helper', path=path))
    return content


def unsafe_reason(path: Path) -> Text | None:
    """Return why another user could change or replace this file or folder; None if only we and root can.

    The path, every folder above it and every link on the way to it belongs to us or to root, is not writable by
    everyone, and is writable by a group only if no one else is in that group: it is our primary group and has our login
    name or no name ("user private group"), or it is root's group, and it lists no other members. A folder above the
    path may be writable by others if it is sticky, as /tmp is: they cannot replace what is ours in it. What does not
    exist yet is not checked. On Windows, where owners and modes say nothing, the answer is None.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows
        return None
    return _unsafe_step(path.absolute(), set(), is_parent=False)


def _unsafe_step(path: Path, seen: set[Path], *, is_parent: bool) -> Text | None:
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
            return _('"{path}" belongs to another user', path=step)
        if stat.S_ISLNK(found.st_mode):
            if reason := _unsafe_step(step.parent / step.readlink(), seen, is_parent=is_above):
                return reason
        elif is_above and found.st_mode & stat.S_ISVTX:
            continue
        elif found.st_mode & stat.S_IWOTH:
            return _('every user can write to "{path}"', path=step)
        elif found.st_mode & stat.S_IWGRP and not _is_group_ours(found.st_gid):
            return _('a group of other users can write to "{path}"', path=step)
    return None


def _is_group_ours(group_id: int) -> bool:
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
    _check_owner(path, found)
    if not stat.S_ISDIR(found.st_mode):
        raise _failed(_('"{path}" is not a folder', path=path))
    if reason := unsafe_reason(path):
        raise _failed(reason)
    if sys.platform != "win32" and found.st_mode & _OTHERS:
        path.chmod(stat.S_IRWXU)


def _check_file(path: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _failed(_('"{path}" is not a regular file', path=path))
    if found.st_nlink > 1:  # 0 is fine: the file was replaced just now, and what we have opened is still complete
        raise _failed(_('"{path}" has a second name (a hard link) elsewhere', path=path))
    _check_owner(path, found)
    if sys.platform != "win32":  # pragma: no branch - Windows: modes say nothing
        if found.st_mode & _OTHERS_WRITE:
            raise _failed(_('other users can write to "{path}"', path=path))
        if found.st_mode & _OTHERS:
            with suppress(OSError):  # a read-only file system is no reason to ignore the file
                os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _failed(_('"{path}" is a symbolic link', path=path))
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise _failed(_('"{path}" belongs to another user', path=path))


def _failed(why: Text) -> MachineError:
    """Return the error; its hint is about the file or folder that ``why`` names."""
    path = Path(str(why.sentences[0].values["path"]))
    hint = _("Change its owner or its permissions, or use a folder that only you can change.")
    with suppress(OSError):
        found = path.lstat()
        is_open = not stat.S_ISLNK(found.st_mode) and found.st_mode & _OTHERS_WRITE
        if sys.platform != "win32" and is_open and found.st_uid == os.geteuid():
            hint = _("Run `{command}`, or move it away.", command=shlex.join(["chmod", "go-w", str(path)]))
    return MachineError(why, hint=hint)
