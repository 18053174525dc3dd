"""What an installation brings along: bytes and packages of fresh environments, and our wheel."""

from __future__ import annotations

from benchmarks.environments import ALONE, OURS, has_own_environment
from benchmarks.rows import GOOGLE, MSAL, SDK, Row
from benchmarks.turns import Plan, progress

_PEERS = {SDK: "huaweicloudsdkservicestage", GOOGLE: GOOGLE, MSAL: MSAL}
_NOT_COUNTED = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence.pth")
"""What a fresh environment has in it."""
_MEGABYTE = 1e6


async def measure(_plan: Plan) -> list[Row]:
    """Look; there is nothing to repeat."""
    if not has_own_environment(OURS):
        progress("weight: `make bench` makes the environments that are weighed")
        return []
    bytes_, bare, packages = _weighed(OURS)
    rows = []
    for name, package in _PEERS.items():
        others_bytes, others_bare, others_packages = _weighed(package)
        rows.append(Row("installed", bytes_, "MB", name, others_bytes))
        rows.append(Row("installed, not compiled", bare, "MB", name, others_bare))
        rows.append(Row("packages installed", packages, "", name, others_packages))
    wheel = next((ALONE.parent / "wheel").glob("oauth_helper-*.whl"))
    return [*sorted(rows, key=lambda row: row.what), Row("our wheel", wheel.stat().st_size / 1000, "KB")]


def _weighed(package: str) -> tuple[float, float, int]:
    """Megabytes of all that pip has put into site-packages, without what it has compiled, and number of packages."""
    (folder,) = (ALONE / package).glob("lib/python3*/site-packages")
    installed = [path for path in folder.iterdir() if not path.name.startswith(_NOT_COUNTED)]
    files = [file for path in installed for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    sizes = {file: file.stat().st_size / _MEGABYTE for file in files}
    bare = sum(size for file, size in sizes.items() if file.suffix != ".pyc")
    return sum(sizes.values()), bare, sum(path.suffix == ".dist-info" for path in installed)
