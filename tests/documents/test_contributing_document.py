"""CONTRIBUTING.md fits on one screen, and everything that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`]+)`", DOCUMENT)
TARGETS = set(re.findall(r"[\w-]+", MAKEFILE.partition(".PHONY:")[2].partition("\n")[0]))


def test_it_fits_on_one_screen() -> None:
    lines = DOCUMENT.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 110


def test_the_make_targets_are_few_and_those_that_it_names_exist() -> None:
    assert len(TARGETS) <= 14
    for document in (
        DOCUMENT,
        *((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")),
    ):
        assert set(re.findall(r"`make ([\w-]+)`", document)) <= TARGETS


def test_the_files_that_it_names_exist() -> None:
    named = {word for quoted in QUOTED for word in quoted.split() if re.search(r"/|\.(md|txt|toml)$", word)}
    for path in named - {"dist/", ".venv/bin/python"}:
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_the_tools_that_it_requires_are_those_of_the_run_that_decides() -> None:
    (needed,) = re.findall(r"tests also need ([^.]+)\.", DOCUMENT)
    installed = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for tool in re.split(r", | and ", needed.lower()):
        assert re.search(rf"^        .*\b{tool}", installed, re.MULTILINE), tool
