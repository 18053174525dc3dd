"""Packages of npm, each fetched once into a folder of the clone that git ignores."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

_ENVIRON: Final = dict(os.environ)
"""The environment before any test: npm reads its registry from the user's home folder."""
_SWITCHES: Final = ("--silent", "--no-fund", "--no-audit", "--ignore-scripts")


def npm_package(package: str, *, under: str) -> Path:
    """Return the folder below ``under`` with ``package`` (``NAME@VERSION``); skip the test if it is not available."""
    folder = Path(__file__).parents[2] / under / package
    if not folder.exists():
        _fetch(package, folder)
    return folder / "node_modules" / package.rpartition("@")[0]


def _fetch(package: str, place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, so {package} cannot be fetched")
    place.parent.mkdir(exist_ok=True)
    # Another worker may fetch it at the same time: whoever is first keeps its place.
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        command = [npm, "install", *_SWITCHES, "--prefix", folder, package]
        fetched = subprocess.run(command, env=_ENVIRON, capture_output=True, text=True, check=False, timeout=50)
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch {package}: {fetched.stderr.strip()[-200:]}")
        if not place.exists():
            shutil.copytree(folder, f"{folder}.whole", symlinks=True)
            try:
                Path(f"{folder}.whole").rename(place)
            except OSError:
                shutil.rmtree(f"{folder}.whole")
