"""Where each tool is installed, and the surroundings it is started in."""

from __future__ import annotations

import importlib.util
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from torture.programs import Program

TESTS = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "programs"
ALONE = Path(sys.prefix) / "alone"
"""Environments with one tool and its dependencies each, which ``make bench`` makes."""
OURS = "oauth-helper"
_MODULES = {
    OURS: "oauth_helper",
    "huaweicloudsdkservicestage": "huaweicloudsdkservicestage",
    "google-auth-oauthlib": "google_auth_oauthlib",
    "msal": "msal",
}
_LINE = 2**22
_NOT_INHERITED = ("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_", "XDG_", "COVERAGE_")
_NOT_INHERITED_EITHER = {"BROWSER", "CI", "SSL_CERT_FILE", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"}


def has_own_environment(package: str) -> bool:
    """Whether the package has an environment to itself."""
    return (ALONE / package).exists()


def python_of(package: str) -> str | None:
    """The interpreter that has the package: its own environment's, else this one; None where neither has it."""
    if has_own_environment(package):
        return str(ALONE / package / "bin" / "python")
    return sys.executable if importlib.util.find_spec(_MODULES[package]) else None


def version_of(package: str) -> str:
    """The version in the package's own environment."""
    (found,) = (ALONE / package).glob(f"lib/python3*/site-packages/{package.replace('-', '_')}-*.dist-info")
    return found.stem.rpartition("-")[2]


def our_command() -> list[str]:
    """``oauth-helper``, as it is installed."""
    if has_own_environment(OURS):
        return [str(ALONE / OURS / "bin" / "oauth-helper")]
    return [sys.executable, "-m", "oauth_helper"]


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment variables of a user with an empty home folder and no display."""
    folders = {"HOME": home, "XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
    kept = {name: value for name, value in os.environ.items() if _is_inherited(name)}
    return kept | {name: str(folder) for name, folder in folders.items()} | {"PYTHONUNBUFFERED": "1"} | more


def _is_inherited(name: str) -> bool:
    if name == "PYTHONPATH":
        return not has_own_environment(OURS)
    is_of_the_user = name.startswith(_NOT_INHERITED) or name in _NOT_INHERITED_EITHER
    return not is_of_the_user and not name.upper().endswith("_PROXY")


@contextmanager
def empty_folder(parent: str | None = None) -> Iterator[Path]:
    """A folder that nobody else can read, for the time of a measurement."""
    with TemporaryDirectory(prefix="oauth-helper-bench-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@asynccontextmanager
async def program(*command: str, environ: dict[str, str]) -> AsyncIterator[Program]:
    """Start a process whose JSON lines are read; kill it at the end."""
    process = await create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=environ, limit=_LINE, cwd=environ["HOME"]
    )
    running = Program(process)
    try:
        yield running
    finally:
        await running.end()
