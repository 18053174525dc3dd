"""Build the wheel and the sdist as a release does; and once more elsewhere, to see that nothing of here is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from release.archives import read_sdist, read_wheel, sdist_in, wheel_in
from release.checklist import RefusalError
from release.checkout import files_of
from release.commands import output_of, surroundings

DIST: Final = "dist"
_LONG_AGO: Final = 946_684_800
"""Seconds since the epoch: when the files of the other folder were last changed, as they tell."""


def are_built(root: Path) -> str:
    """Build both into ``dist/``, the wheel out of the sdist, with build tools in an environment of their own."""
    dist = root / DIST
    for old in dist.glob("oauth_helper-*"):
        old.unlink()
    with TemporaryDirectory() as home:
        build(root, dist, surroundings(Path(home)))
    built = (wheel_in(dist), sdist_in(dist))
    return ", ".join(f"{path.name} {path.stat().st_size / 1000:.0f} KB" for path in built)


def build(root: Path, into: Path, environ: Mapping[str, str], *options: str, umask: int = -1) -> None:
    """Build what ``options`` say: both, the wheel out of the sdist, unless told otherwise."""
    output_of(
        *(sys.executable, "-m", "build", *options, "--outdir", into, root),
        cwd=root,
        environ=environ,
        umask=umask,
        remedy="Look at what the build says.",
    )


def are_reproducible(root: Path) -> str:
    """Built again elsewhere, each is the same to the byte.

    In another folder without a repository, of files with other times and modes, in another time zone and language,
    and the wheel straight from the sources: so the one in ``dist/``, which is made of the sdist, is that one too.
    """
    dist = root / DIST
    with TemporaryDirectory() as name:
        elsewhere = Path(name, "another place")
        copy_sources(root, elsewhere)
        environ = surroundings(Path(name), TZ="Pacific/Kiritimati", LANG="zh_CN.UTF-8", USER="somebody")
        build(elsewhere, elsewhere / DIST, environ, "--sdist", "--wheel", umask=0o077)
        must_be_alike(wheel_in(dist), wheel_in(elsewhere / DIST), read_wheel)
        must_be_alike(sdist_in(dist), sdist_in(elsewhere / DIST), read_sdist)
    return ", ".join(f"{path.suffix} {_digest(path)[:12]}" for path in (wheel_in(dist), sdist_in(dist)))


def copy_sources(root: Path, into: Path) -> None:
    """Copy the source files, the last first, with a time and modes of their own."""
    for name in sorted(files_of(root), reverse=True):
        copied = into / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, copied)
        copied.chmod(0o700 if os.access(root / name, os.X_OK) else 0o600)
        os.utime(copied, (_LONG_AGO, _LONG_AGO))


def must_be_alike(here: Path, there: Path, read: Callable[[Path], dict[str, bytes]]) -> None:
    """Refuse two archives that are not the same to the byte; say which files are not."""
    if _digest(here) == _digest(there):
        return
    ours, others = read(here), read(there)
    other = sorted(name for name in ours.keys() | others.keys() if ours.get(name) != others.get(name))
    what = f"Look at {', '.join(other[:5])}" if other else "All files in it are the same: look at their times"
    raise RefusalError(f"{here.name} is not what is built elsewhere.", f"{what}.")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
