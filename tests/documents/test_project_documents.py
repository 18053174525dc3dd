"""CONTRIBUTING.md is short and complete; what it and SECURITY.md name exists."""

import re

import pytest
from documents.documents import ROOT, text_of

CONTRIBUTING, SECURITY = text_of(ROOT / "CONTRIBUTING.md"), text_of(ROOT / "SECURITY.md")
QUOTED = re.findall(r"`([^`]+)`", CONTRIBUTING)
NAMED_TESTS = sorted(set(re.findall(r"`(test_\w+\.py): (test_\w+)`", SECURITY)))


def test_contributing_fits_on_one_screen_and_names_every_module() -> None:
    assert len(CONTRIBUTING.splitlines()) <= 75
    for path in (ROOT / "oauth_helper").rglob("*.py"):
        module = path.relative_to(ROOT / "oauth_helper")
        assert module.name == "__init__.py" or str(module) in QUOTED


def test_the_make_targets_are_few_and_those_that_documents_name_exist() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)", text_of(ROOT / "Makefile"), re.MULTILINE)
    targets = set(phony.split())
    assert len(targets) <= 14
    for document in (CONTRIBUTING, text_of(ROOT / "README.md"), text_of(ROOT / "README.zh-CN.md")):
        assert set(re.findall(r"`make ([\w-]+)`", document)) <= targets


def test_the_files_that_contributing_names_exist() -> None:
    words = {word for quoted in QUOTED for word in quoted.split() if re.search(r"/|\.(py|md|txt|toml)$", word)}
    for path in words - {"dist/", ".venv/bin/python"}:
        places = (path, f"oauth_helper/{path}", f"tests/**/{path}")
        assert any(any(ROOT.glob(place.rstrip("/"))) for place in places), path


def test_the_tools_that_contributing_requires_are_those_of_the_run_that_decides() -> None:
    (needed,) = re.findall(r"tests also need ([^.]+)\.", CONTRIBUTING)
    for tool in re.split(r", | and ", needed.lower()):
        assert re.search(rf"^        .*\b{tool}", text_of(ROOT / ".ci" / "run"), re.MULTILINE), tool


def test_security_names_more_than_20_tests_and_each_row_of_an_rfc_one() -> None:
    assert len(NAMED_TESTS) > 20
    assert len(re.findall(r"test_\w+\.py", SECURITY)) == len(re.findall(r"`test_\w+\.py: test_\w+`", SECURITY))
    for rfc in ("8252", "9700", "9207"):
        table = SECURITY.partition(f"## RFC {rfc}")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (?!section|---).*", table, re.MULTILINE)
        assert rows
        assert all(re.search(r"`test_\w+\.py: test_\w+` \|$", row) for row in rows)


@pytest.mark.parametrize(("file", "name"), NAMED_TESTS)
def test_every_test_that_security_names_exists(file: str, name: str) -> None:
    [path] = (ROOT / "tests").rglob(file)
    assert re.search(rf"^(async )?def {name}\(", text_of(path), re.MULTILINE)
