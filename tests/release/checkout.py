"""The checkout: what belongs to it, which version it is, and where it stands in git."""

from __future__ import annotations

import os
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from packaging.version import Version

from release.checklist import RefusalError
from release.commands import output_of

MAIN = "main"


def version_of(root: Path) -> str:
    """Return the version as the build finds it."""
    where = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["version"]
    found = re.search(where["pattern"], (root / where["path"]).read_text(encoding="utf-8"))
    if not found:
        raise RefusalError(f"{where['path']} has no line like {where['pattern']}.", "Write the version there.")
    return str(found["version"])


def files_of(root: Path) -> set[str]:
    """Return the source files, by their names from the root: those that git knows; of an unpacked sdist, all."""
    if (root / ".git").exists():
        known = _git(root, "ls-files", "-z").split("\0")
        return {name for name in known if name and (root / name).is_file()}
    ignored = [line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").split()]
    names = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {
        name.as_posix()
        for name in names
        if not any(fnmatch(part, pattern) for part in name.parts for pattern in ignored)
    } - {"PKG-INFO"}


def is_clean(root: Path) -> str:
    """Everything is committed: what is released is what the tag will name."""
    if changed := _git(root, "status", "--porcelain").splitlines():
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RefusalError(f"Not committed: {changed[0][3:]}{more}.", "Commit it, or take it back.")
    return _git(root, "rev-parse", "--short", "HEAD").strip()


def is_on_main(root: Path) -> str:
    """Releases are made of what everybody has."""
    branch = _git(root, "branch", "--show-current").strip() or "no branch"
    if branch != MAIN:
        raise RefusalError(f"This is {branch}, not {MAIN}.", f"Merge it, and run this on {MAIN}: `git switch {MAIN}`.")
    return branch


def version_is_new(root: Path) -> str:
    """No tag has this version, nor a greater one."""
    version = Version(version_of(root))
    names = _git(root, "tag", "--list").split()
    tags = {Version(tag[1:]): tag for tag in names if re.fullmatch(r"v\d+\.\d+\.\d+", tag)}
    if not tags:
        return f"{version}, the first"
    last = max(tags)
    remedy = f"Raise VERSION in oauth_helper/version.py above {last}, and name it in CHANGELOG.md."
    if version in tags:
        raise RefusalError(f"{version} is released: there is a tag {tags[version]}.", remedy)
    if version < last:
        raise RefusalError(f"{version} is less than {last}, which is released.", remedy)
    return f"{version} after {last}"


def _git(root: Path, *words: str) -> str:
    # A hook of git's, in which tests may run, names another repository; and a build service may own the folder.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return output_of(
        *("git", "-c", f"safe.directory={root.resolve()}", *words),
        cwd=root,
        environ=environ,
        remedy="Run this in a git checkout, with git installed.",
    )
