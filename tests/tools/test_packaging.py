"""What is installed: the locked versions match pyproject.toml, and a wheel with foreign files is refused."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")


def group(name: str) -> list[str]:
    """A dependency group, with the groups that it includes."""
    texts = PROJECT["dependency-groups"][name]
    return [text for each in texts for text in ([each] if isinstance(each, str) else group(each["include-group"]))]


def test_the_locked_versions_are_those_of_the_project() -> None:
    wanted = [Requirement(text) for text in (*PROJECT["project"]["dependencies"], *group("dev"))]
    entries = re.findall(r"^([\w.-]+)==(\S+)(?:(?!^\w).*\n)+", LOCK, re.MULTILINE)
    locked = {canonicalize_name(name): version for name, version in entries}
    for requirement in wanted:
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"
    direct = re.findall(r"^([\w.-]+)==(?:(?!^\w).*\n)*?    #.* oauth-helper \(", LOCK, re.MULTILINE)
    assert {canonicalize_name(name) for name in direct} == {canonicalize_name(each.name) for each in wanted}
    needed = {canonicalize_name(Requirement(text).name) for text in PROJECT["build-system"]["requires"]}
    assert needed < locked.keys(), "the build needs more than the group `test` has"


def test_every_locked_version_has_hashes_and_no_server_is_named() -> None:
    assert "://" not in LOCK
    assert "index" not in LOCK
    pinned = re.findall(r"^[\w.-]+==.*", LOCK, re.MULTILINE)
    assert all(line.endswith("\\") for line in pinned)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("packages", "status"), [('["oauth_helper"]', 0), ('["oauth_helper", "tests"]', 1)])
def test_a_wheel_with_the_tests_in_it_is_refused(packages: str, status: int, tmp_path: Path) -> None:
    for name in ("oauth_helper", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(project.replace('packages = ["oauth_helper"]', f"packages = {packages}"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=50)
    (wheel,) = (tmp_path / "dist").iterdir()
    check = [str(Path(sys.executable).with_name("check-wheel-contents")), str(wheel)]
    ended = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == status, ended.stdout
