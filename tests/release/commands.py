"""Run what is not ours, and the product as its users do: nothing of the developer's own settings takes part."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from release.checklist import RefusalError

_NOT_INHERITED: Final = ("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_", "PYTHON", "LC_", "COVERAGE_", "VIRTUAL_ENV")
_NOR: Final = frozenset(
    {"BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "LANGUAGE", "SOURCE_DATE_EPOCH", "MAKEFLAGS"}
)
_LONGEST: Final = 300
"""Seconds that a command may take."""


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody without a screen or settings, who keeps what runs write below ``home``.

    Where indexes and proxies are is inherited, for those who install; and so is ``HOME``, where that may stand.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED) and name not in _NOR
    }
    folders = {name: str(home / name.lower()) for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
    config = home / "config.toml"
    config.touch()
    return inherited | folders | {"LANG": "C.UTF-8", "OAUTH_HELPER_CONFIG": str(config)} | more


def output_of(
    *command: object, remedy: str, cwd: Path, environ: Mapping[str, str] | None = None, umask: int = -1
) -> str:
    """Return what a command prints.

    Raises:
        RefusalError: It is not there, fails, or does not end.
    """
    words = [str(word) for word in command]
    name = " ".join([Path(words[0]).name, *words[1:3]])
    try:
        ended = subprocess.run(
            words, cwd=cwd, env=environ, umask=umask, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
    except FileNotFoundError:
        raise RefusalError(f"`{name}` cannot be run: there is no {words[0]}.", remedy) from None
    except subprocess.TimeoutExpired:
        raise RefusalError(f"`{name}` did not end within {_LONGEST} seconds.", remedy) from None
    if ended.returncode != 0:
        raise RefusalError(f"`{name}` ended with status {ended.returncode}.", remedy, ended.stdout + ended.stderr)
    return ended.stdout
