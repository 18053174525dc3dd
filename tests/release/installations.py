"""The built package runs wherever people put it: each place is made anew, empty but for what pip and its kin bring."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from release.archives import wheel_in
from release.checklist import RefusalError
from release.checkout import version_of
from release.commands import output_of, surroundings

_REMEDY: Final = "Install dist/*.whl the same way, and look."
_CHINESE: Final = {"LANG": "zh_CN.UTF-8"}
_AS_A_USER: Final = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all")
"""Permissions bind root too without these (capabilities(7)). setpriv is part of util-linux."""


def by_pip(root: Path) -> str:
    """In an environment of its own, by both of its names, without a cache of pip's and from another folder."""
    with _environment(root) as (folder, python):
        for command in ((python.with_name("oauth-helper"),), (python, "-m", "oauth_helper")):
            _must_work(command, root, folder)
        schema = "from oauth_helper.schema import schema_of; print(schema_of('event')['$id'])"
        return f"oauth-helper, python -m oauth_helper; {_said(folder, python, '-c', schema).strip()}"


def read_only(root: Path) -> str:
    """Where nobody may write into site-packages, nothing is written, and everything works."""
    with _environment(root) as (folder, python):
        site = Path(_said(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        user = _AS_A_USER if os.geteuid() == 0 else ()
        with _nobody_may_write(site):
            control = f"import os; print(os.access({str(site)!r}, os.W_OK))"
            if _said(folder, *user, python, "-c", control).strip() != "False":
                raise RefusalError(f"{site} can still be written to.", "Run this where permissions hold.")
            before = sorted(site.rglob("*"))
            _must_work((*user, python, "-m", "oauth_helper"), root, folder)
            if added := set(site.rglob("*")) - set(before):
                raise RefusalError(f"{min(added)} was written.", _REMEDY)
    return f"{len(before)} files as they were"


def from_a_zip_archive(root: Path) -> str:
    """As a zip application, with all that it needs in it. It speaks English there: gettext reads files alone."""
    with TemporaryDirectory() as name:
        folder, application = Path(name), Path(name, "oauth-helper.pyz")
        _pip(folder, sys.executable, "--target", folder / "unpacked", wheel_in(root / "dist"))
        _said(
            *(folder, sys.executable, "-m", "zipapp", folder / "unpacked"),
            *("--main", "oauth_helper.cli:main", "--output", application),
        )
        _must_work((sys.executable, application), root, folder, speaks_chinese=False)
        return f"{application.stat().st_size / 1e6:.0f} MB"


def by_pipx(root: Path) -> str:
    """``pipx run``."""
    with TemporaryDirectory() as name:
        folders = {f"PIPX_{each}": str(Path(name, each)) for each in ("HOME", "BIN_DIR", "MAN_DIR")}
        environ = {**folders, "PIPX_DEFAULT_PYTHON": sys.executable}
        command = (sys.executable, "-m", "pipx", "run", "--spec", wheel_in(root / "dist"), "oauth-helper")
        _must_work(command, root, Path(name), environ)
    return "pipx run --spec"


def by_uvx(root: Path) -> str:
    """``uvx``, with the Python that runs this."""
    with TemporaryDirectory() as name:
        folders = {"UV_CACHE_DIR": str(Path(name, "cache")), "UV_TOOL_DIR": str(Path(name, "tools"))}
        environ = {**folders, "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        command = (Path(sys.executable).with_name("uvx"), "--from", wheel_in(root / "dist"), "oauth-helper")
        _must_work(command, root, Path(name), environ)
    return "uvx --from"


def _must_work(
    command: Sequence[object],
    root: Path,
    folder: Path,
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    speaks_chinese: bool = True,
) -> None:
    """It tells its version, links an account in its sandbox, and speaks Chinese."""
    version = _said(folder, *command, "--version", **environ)
    _must_be(version == f"oauth-helper {version_of(root)}\n", "--version", version)
    record = _said(folder, *command, "link", "github", "--sandbox", "--json", **environ)
    _must_be(json.loads(record)["repo_type"] == "github", "link", record)
    in_chinese = _said(folder, *command, "link", "github", "--sandbox", **{**environ, **_CHINESE})
    _must_be(in_chinese.startswith("名称" if speaks_chinese else "Name"), "link in Chinese", in_chinese)
    help_text = _said(folder, *command, "link", "--help", **{**environ, **_CHINESE})
    _must_be(help_text.startswith("用法" if speaks_chinese else "Usage"), "--help in Chinese", help_text)


def _must_be(holds: bool, what: str, shown: str) -> None:
    if not holds:
        raise RefusalError(f"`{what}` does not print what it should.", _REMEDY, shown)


def _said(folder: Path, *command: object, **environ: str) -> str:
    return output_of(*command, cwd=folder, environ=surroundings(folder, **environ), remedy=_REMEDY)


def _pip(folder: Path, python: object, *words: object) -> None:
    _said(folder, python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", *words)


@contextmanager
def _environment(root: Path) -> Iterator[tuple[Path, Path]]:
    """An environment with the wheel and what it needs, and nothing else: its folder, and its Python."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _said(folder, sys.executable, "-m", "venv", folder / "environment")
        python = folder / "environment" / "bin" / "python"
        _pip(folder, python, wheel_in(root / "dist"))
        yield folder, python


@contextmanager
def _nobody_may_write(site: Path) -> Iterator[None]:
    """Take the right to write from a folder and all in it; give its owner's back at the end."""
    found = [site, *(path for path in site.rglob("*") if not path.is_symlink())]
    for path in found:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o555)
    try:
        yield
    finally:
        for path in found:
            path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)
