"""What is told of the version is true of it: the tests that hold it are asked, each for its part."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from release.checklist import RefusalError
from release.commands import output_of, surroundings


def schema_is_told(root: Path) -> str:
    """The changelog has the fingerprint of what scripts read."""
    told = "tests/test_schema.py::test_a_change_of_the_schema_is_told_in_the_changelog"
    return pass_tests(root, told, remedy="Tell the change in CHANGELOG.md, as that test's docstring says.")


def catalogs_are_complete(root: Path) -> str:
    """Everything that is said is translated, and compiled."""
    return pass_tests(root, "tests/test_catalogs.py", remedy="`make catalogs`, and translate what it says is left.")


def documents_are_true(root: Path) -> str:
    """Transcripts, help texts and tables in both languages, and what the other documents name."""
    names = ("readme", "readme_chinese", "readme_examples", "security_document", "contributing_document")
    return pass_tests(
        root, *(f"tests/test_{name}.py" for name in names), remedy="Bring the document up to date with what is so."
    )


def types_are_complete(root: Path) -> str:
    """Everything public has a type that every checker reads alike."""
    with TemporaryDirectory() as home:
        shown = output_of(
            *("make", "--no-print-directory", "completeness", f"PYTHON={sys.executable}"),
            cwd=root,
            environ=surroundings(Path(home)),
            remedy="Give a type to what pyright names. It needs npm.",
        )
    (score,) = re.findall(r"Type completeness score: (\S+)", shown)
    return str(score)


def pass_tests(root: Path, *names: str, remedy: str, python: str | Path = sys.executable) -> str:
    """Run tests of a tree; none may be skipped."""
    workers = 2 if len(names) > 1 else 0
    with TemporaryDirectory() as home:
        command = (python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", f"--numprocesses={workers}", *names)
        environ = surroundings(Path(home), OAUTH_HELPER_TESTS_MAY_NOT_SKIP="1")
        try:
            said = output_of(*command, cwd=root, environ=environ, remedy=remedy)
        except RefusalError as refusal:
            raise _naming_tests(refusal) from None
    return re.sub(r" in [\d.]+s.*", "", said.splitlines()[-1])


def _naming_tests(refusal: RefusalError) -> RefusalError:
    failed = re.findall(r"^(?:FAILED|ERROR|SKIPPED) (.+?)(?: - .*)?$", refusal.shown, re.MULTILINE)
    if not failed:
        return refusal
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return RefusalError(f"Does not pass: {failed[0]}{more}.", refusal.remedy, refusal.shown)
