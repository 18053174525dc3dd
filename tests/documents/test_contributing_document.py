"""CONTRIBUTING.md is short, names every module, and everything that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`]+)`", DOCUMENT)
TARGETS = set(re.findall(r"[\w-]+", MAKEFILE.partition(".PHONY:")[2].partition("\n")[0]))


def test_it_fits_on_one_screen() -> None:
    assert len(DOCUMENT.splitlines()) <= 75


def test_it_names_every_module() -> None:
    modules = (path.relative_to(ROOT / "oauth_helper") for path in (ROOT / "oauth_helper").rglob("*.py"))
    for module in modules:
        if module.name != "__init__.py" and module.parts[0] != "sandbox":
            assert str(module) in QUOTED


def test_the_make_targets_are_few_and_those_that_it_names_exist() -> None:
    assert len(TARGETS) <= 14
    for document in (
        DOCUMENT,
        *((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")),
    ):
        assert set(re.findall(r"`make ([\w-]+)`", document)) <= TARGETS


def test_the_files_that_it_names_exist() -> None:
    words = {word for quoted in QUOTED for word in quoted.split() if re.search(r"/|\.(py|md|txt|toml)$", word)}
    for path in words - {"dist/", ".venv/bin/python"}:
        places = (path, f"oauth_helper/{path}", f"tests/**/{path}")
        assert any(any(ROOT.glob(place.rstrip("/"))) for place in places), path


def test_the_tools_that_it_requires_are_those_of_the_run_that_decides() -> None:
    (needed,) = re.findall(r"tests also need ([^.]+)\.", DOCUMENT)
    installed = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for tool in re.split(r", | and ", needed.lower()):
        assert re.search(rf"^        .*\b{tool}", installed, re.MULTILINE), tool
