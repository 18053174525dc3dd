"""CONTRIBUTING.md fits a screen, and whatever it names is there: commands, files, limits, marks."""

import re
from pathlib import Path

import pytest
from catalogs.messages import KEYWORDS

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`]+)`", DOCUMENT)
TARGETS = sorted({word.removeprefix("make ") for word in QUOTED if word.startswith("make ")})
PATHS = sorted({word for quoted in QUOTED for word in quoted.split() if re.fullmatch(r"[\w.*-]*(/[\w.*-]*)+", word)})
DOCUMENTS = sorted({word for word in QUOTED if re.fullmatch(r"[\w.-]+\.md", word)})
MADE = ("dist/", ".venv/bin/python")
"""By the commands themselves."""


def test_it_fits_a_screen() -> None:
    lines = DOCUMENT.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100


def test_it_names_something_of_each_kind() -> None:
    assert len(TARGETS) >= 10
    assert len(PATHS) >= 10
    assert len(DOCUMENTS) >= 4


@pytest.mark.parametrize("target", TARGETS)
def test_every_command_is_a_target(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    assert target in re.findall(r"[\w-]+", MAKEFILE.partition(".PHONY:")[2].partition("\n")[0])


@pytest.mark.parametrize("path", [path for path in PATHS if path not in MADE])
def test_every_path_is_there(path: str) -> None:
    folders = (ROOT, ROOT / "oauth_helper")
    assert any(list(folder.glob(path.rstrip("/"))) for folder in folders)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_what_is_said_of_phrases_is_how_they_are_found() -> None:
    assert "phrase" in KEYWORDS
    assert 'phrase("…")' in QUOTED
    assert "[[…]]" in QUOTED
    assert "VERSION" in QUOTED
    assert 'VERSION: Final = "' in (ROOT / "oauth_helper" / "version.py").read_text(encoding="utf-8")


def test_the_tools_that_all_tests_need_are_those_of_the_run_that_decides() -> None:
    (told,) = re.findall(r"for all of the tests ([^.]+)\.", DOCUMENT)
    installed = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for tool in re.split(r", | and ", told.lower()):
        assert re.search(rf"install .*\b{tool}", installed), tool


def test_both_readmes_lead_here() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert "(CONTRIBUTING.md)" in (ROOT / name).read_text(encoding="utf-8")
