"""What is in a wheel and in an sdist, and what has to be: the source files, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Final

from release.checklist import RefusalError
from release.checkout import files_of, version_of

PACKAGE: Final = "oauth_helper/"
_COMPILED: Final = ".mo"
_TO_COMPILE: Final = ".po"
_INFO: Final = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
NEEDED: Final = (
    *("__main__.py", "py.typed", "schema/output.schema.json"),
    *("listener/templates/start.html", "locale/zh_CN/LC_MESSAGES/oauth_helper.mo"),
)
"""Of the package, one of each kind that is no module: should all of a kind be gone from the sources too."""


def wheel_in(folder: Path) -> Path:
    """Return the one wheel there."""
    return _only(folder, "oauth_helper-*.whl")


def sdist_in(folder: Path) -> Path:
    """Return the one sdist there."""
    return _only(folder, "oauth_helper-*.tar.gz")


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise RefusalError(f"{folder.name}/ has {len(found)} files {pattern}, not one.", "Build it: `make package`.")
    return found[0]


def read_wheel(path: Path) -> dict[str, bytes]:
    """Return every file by its name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_sdist(path: Path) -> dict[str, bytes]:
    """Return every file by its name below the one folder in it; what is no plain file is refused."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix(path.name.removesuffix(".tar.gz") + "/")
            if not (content := archive.extractfile(member)) or not member.isreg():
                raise RefusalError(
                    f"{path.name} has {member.name}, which is no plain file.", "Take it out of the sources."
                )
            found[name] = content.read()
    return found


def wheel_is_complete(root: Path) -> str:
    """The package's source files byte for byte, compiled catalogs in place of catalogs, metadata: no more, no less."""
    wheel = wheel_in(root / "dist")
    info = f"oauth_helper-{version_of(root)}.dist-info/"
    needed = {info + name for name in _INFO} | {PACKAGE + name for name in NEEDED}
    sources = {name for name in files_of(root) if name.startswith(PACKAGE)}
    compiled = {name.removesuffix(_TO_COMPILE) + _COMPILED for name in sources if name.endswith(_TO_COMPILE)}
    plain = {name for name in sources if not name.endswith(_TO_COMPILE)}
    return _compare(wheel.name, read_wheel(wheel), root, plain, needed | compiled)


def sdist_is_complete(root: Path) -> str:
    """All the source files byte for byte and the metadata: no more, no less."""
    sdist = sdist_in(root / "dist")
    return _compare(sdist.name, read_sdist(sdist), root, files_of(root), {"PKG-INFO"})


def _compare(archive: str, found: dict[str, bytes], root: Path, plain: set[str], made: set[str]) -> str:
    _must_have_none(
        found.keys() - plain - made, f"{archive} has {{}}", "Add it to git, or have pyproject.toml leave it out."
    )
    _must_have_none(
        (plain | made) - found.keys(), f"{archive} has no {{}}", "Have pyproject.toml take it in ([tool.hatch.build])."
    )
    changed = {name for name in plain if found[name] != (root / name).read_bytes()}
    _must_have_none(changed, f"{archive} has another {{}} than the sources", "Build it again: `make package`.")
    return f"{len(found)} files"


def _must_have_none(names: set[str], wrong: str, remedy: str) -> None:
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise RefusalError(f"{wrong.format(min(names))}{more}.", remedy)
