"""What must hold before a release holds in a checkout that is ready; one thing broken is one refusal."""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.version import Version
from release.__main__ import PARTS
from release.building import copy_sources
from release.changelog import is_in_order, is_ready, sections_of
from release.checklist import Check, RefusalError, go_through
from release.checkout import is_clean, is_on_main, version_is_new
from release.commands import output_of
from release.documents import catalogs_are_complete, schema_is_told

from oauth_helper.version import VERSION

ROOT = Path(__file__).parent.parent
TODAY = datetime.now(UTC).date()
NEXT = "9.1.0"
READY = f"## {NEXT} - {TODAY}\n\n### Added\n\n- Something.\n\n"


def git(folder: Path, *words: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, env=environ, check=True, capture_output=True, timeout=30)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(old, text, re.MULTILINE), old
    path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE), encoding="utf-8")


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change something")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of these sources that may be released, one version after another."""
    folder = tmp_path_factory.mktemp("ready") / "checkout"
    copy_sources(ROOT, folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "tag", "v9.0.0")
    git(folder, "tag", "v9.0.0-notes")
    edit(folder / "oauth_helper" / "version.py", f'"{re.escape(VERSION)}"', f'"{NEXT}"')
    changelog = folder / "CHANGELOG.md"
    if "## Unreleased\n" in changelog.read_text(encoding="utf-8"):
        edit(changelog, "^## Unreleased$", f"## {NEXT} - {TODAY}")
    else:
        edit(changelog, "^## ", f"{READY}## ")
    commit(folder)
    return folder


@pytest.fixture
def checkout(ready: Path, tmp_path: Path) -> Path:
    """The same, to be broken."""
    shutil.copytree(ready, tmp_path / "checkout")
    return tmp_path / "checkout"


def refusal(look: Callable[[Path], str], folder: Path) -> str:
    """What is said is wrong, and what to do; both in whole sentences."""
    with pytest.raises(RefusalError) as refused:
        look(folder)
    assert refused.value.wrong.endswith(".")
    assert refused.value.remedy.endswith(".")
    return f"{refused.value.wrong} {refused.value.remedy}"


def test_a_checkout_that_is_ready_is_not_refused(ready: Path) -> None:
    assert is_clean(ready)
    assert is_on_main(ready) == "main"
    assert version_is_new(ready) == f"{NEXT} after 9.0.0"
    assert is_ready(ready) == f"{NEXT} of {TODAY}"


def test_our_own_changelog_is_in_order_and_not_ahead_of_the_version() -> None:
    assert is_in_order(ROOT)
    released = [section.title for section in sections_of((ROOT / "CHANGELOG.md").read_text("utf-8")) if section.day]
    assert all(Version(title) <= Version(VERSION) for title in released)


@pytest.mark.parametrize("name", ["README.md", "something-new"])
def test_what_is_not_committed_is_refused(checkout: Path, name: str) -> None:
    with (checkout / name).open("a") as file:
        file.write("more\n")
    assert f"Not committed: {name}. " in refusal(is_clean, checkout)


def test_another_branch_and_none_are_refused(checkout: Path) -> None:
    git(checkout, "switch", "--quiet", "--create", "my-change")
    assert "This is my-change, not main" in refusal(is_on_main, checkout)
    git(checkout, "switch", "--quiet", "--detach")
    assert "This is no branch, not main" in refusal(is_on_main, checkout)


def test_a_folder_that_is_no_checkout_is_refused(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    assert "Run this in a git checkout" in refusal(is_clean, checkout)


def test_a_version_that_is_released_or_older_is_refused(checkout: Path) -> None:
    git(checkout, "tag", "v10.0.0")
    assert f"{NEXT} is less than 10.0.0" in refusal(version_is_new, checkout)
    git(checkout, "tag", "--delete", "v10.0.0")
    git(checkout, "tag", f"v{NEXT}")
    said = refusal(version_is_new, checkout)
    assert f"there is a tag v{NEXT}" in said
    assert "oauth_helper/version.py" in said


def test_a_version_that_cannot_be_found_is_refused(checkout: Path) -> None:
    edit(checkout / "oauth_helper" / "version.py", "^VERSION", "RELEASE")
    assert "oauth_helper/version.py has no line" in refusal(version_is_new, checkout)


@pytest.mark.parametrize(
    ("heading", "wrong"),
    [
        ("## Unreleased", "has a section Unreleased"),
        (f"## Unreleased\n\n### Fixed\n\n- More.\n\n## {NEXT} - {TODAY}", "has a section Unreleased"),
        (f"## Unreleased\n\n## {NEXT} - {TODAY}", "says nothing below Unreleased"),
        (f"## 9.0.9 - {TODAY}", "begins with 9.0.9, and the version is 9.1.0"),
        (f"## {NEXT}", "has a section `## 9.1.0`"),
        (f"## {NEXT} - 2026-02-30", "day that there is"),
        (f"## {NEXT} - {TODAY + timedelta(days=3)}", "which has not come"),
        (f"{READY}## {NEXT} - {TODAY}", f"has {NEXT} above {NEXT}"),
        (f"{READY}## {NEXT}1 - {TODAY}", f"has {NEXT} above {NEXT}1"),
        (f"{READY}## 9.0.0 - {TODAY + timedelta(days=1)}", "above 9.0.0"),
        (f"{READY}## Unreleased", "above Unreleased"),
        (f"## {NEXT} - {TODAY}\n\n### Improved\n\n- It.", "has `### Improved`"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(checkout: Path, heading: str, wrong: str) -> None:
    edit(checkout / "CHANGELOG.md", rf"^## {re.escape(NEXT)} .*$", heading)
    assert wrong in refusal(is_ready, checkout)


def test_a_schema_that_the_changelog_does_not_tell_is_refused(checkout: Path) -> None:
    edit(checkout / "CHANGELOG.md", r"fingerprint [0-9a-f]{12}", "fingerprint 000000000000")
    said = refusal(schema_is_told, checkout)
    assert "test_schema.py::test_a_change_of_the_schema_is_told_in_the_changelog" in said
    assert "Tell the change in CHANGELOG.md" in said


def test_a_phrase_that_is_not_translated_is_refused(checkout: Path) -> None:
    edit(
        checkout / "oauth_helper" / "locale" / "zh_CN" / "LC_MESSAGES" / "oauth_helper.po",
        '^msgstr "用法:"$',
        'msgstr ""',
    )
    said = refusal(catalogs_are_complete, checkout)
    assert "test_catalogs.py::" in said
    assert " more. `make catalogs`" in said


def test_a_command_that_is_not_there_fails_or_does_not_end_is_refused(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        return refusal(lambda folder: output_of(*command, cwd=folder, remedy="Install it."), tmp_path)

    assert "there is no no-such-command. Install it." in run("no-such-command")
    assert "`false` ended with status 1. Install it." in run("false")


def test_each_check_is_one_line_and_one_refusal_does_not_end_the_others() -> None:
    def is_not(root: Path) -> str:
        raise RefusalError("It is not.", "Make it so.", shown="line 1\nline 2")

    out, err = io.StringIO(), io.StringIO()
    checks = (Check("first", is_not), Check("second", str))
    assert go_through(checks, Path("here"), out, err) == 1
    refused, held = out.getvalue().splitlines()
    assert refused.startswith("REFUSED  first: It is not. Make it so. (")
    assert held.startswith("ok       second: here (")
    assert err.getvalue() == "         | line 1\n         | line 2\n"


def test_every_check_says_what_must_hold_in_words_of_its_own() -> None:
    checks = [check for part in PARTS.values() for check in part]
    assert len({check.name for check in checks}) == len({check.look for check in checks}) == len(checks)
    assert all(check.look.__doc__ for check in checks)


def test_the_targets_go_through_parts_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = re.findall(r"-m release(.*)$", makefile, re.MULTILINE)
    assert sorted(called) == ["", " package"]
    assert "make package\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    environ = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "release", "no-such-part"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert "no such part: no-such-part; there are checkout, package, types" in ended.stderr
