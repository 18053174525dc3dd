"""The README is true: its commands, its transcript, its help texts, its tables."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command import run_command, surroundings

import oauth_helper
from oauth_helper import errors
from oauth_helper.settings import ENVIRONMENT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_VARIES = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
    (r"until \d\d:\d\d:\d\d", "until WHEN"),
    (r"\bgithub-[A-Za-z0-9._-]+?(?=[.\s])", "github-LOGIN"),
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def without_what_varies(text: str) -> str:
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text


async def test_the_transcript_is_what_the_demo_prints() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$ make demo" in README
    assert "oauth-helper link github --sandbox" in makefile.partition("demo:")[2].splitlines()[1]
    end = await run_command("link", "github", "--sandbox", environ=surroundings(BROWSER=""))
    assert end.status == 0
    assert without_what_varies(blocks("text")[0]) == without_what_varies(end.err + end.out)


@pytest.mark.parametrize(
    "block", [block for block in blocks("text") if block.startswith("$ ")], ids=lambda block: block.splitlines()[0]
)
def test_help_texts_are_what_the_command_prints(block: str) -> None:
    command, _, printed = block.partition("\n")
    arguments = command.removeprefix("$ oauth-helper ").split()
    shown = subprocess.run(
        [sys.executable, "-m", "oauth_helper", *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    # Releases of click wrap lines and write ranges each in their own way; the words are what is promised.
    ranges = re.compile(r"\[?\s*\d+<=x<=[\d.]+\s*\]?|;|\[|\]")
    assert ranges.sub("", shown.stdout).split() == ranges.sub("", printed).split()


def test_every_exit_status_is_explained() -> None:
    table = README.partition("## Exit statuses")[2].partition("\n## ")[0]
    explained = {
        int(number) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for number in cell.split(",")
    }
    raised = {
        value.exit_status
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.OAuthHelperError)
    }
    assert explained == raised | {0, 129, 143}


def test_every_setting_stands_in_the_table_with_its_variables_in_order() -> None:
    for key, variables in ENVIRONMENT.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `--{key.replace('_', '-')}` |"))
        positions = [row.index(f"`{variable}`") for variable in variables]
        assert positions == sorted(positions)
        assert f"| `{key}` |" in row


def test_the_python_example_compiles_and_imports_what_there_is() -> None:
    (example,) = blocks("python")
    tree = ast.parse(example)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for alias in imported.names} <= set(oauth_helper.__all__)


def test_the_rooms_that_are_drawn_are_the_rooms_there_are() -> None:
    drawing = README.partition("## How the code is laid out")[2].partition("\n## ")[0]
    package = ROOT / "oauth_helper"
    for name in re.findall(r"\b([a-z_]+\.py|[a-z_]+/)", blocks("text")[-1]):
        assert (package / name).exists(), name
    for path in package.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"{path.name}/" in drawing


def test_every_runtime_dependency_is_explained_and_its_lower_bound_is_the_one_tested() -> None:
    tested = dict(line.split("==") for line in (ROOT / "tests" / "lowest-versions.txt").read_text().split())
    for requirement in PYPROJECT["project"]["dependencies"]:
        name, bound = requirement.split(">=")
        assert f"| {name} | " in README
        assert tested[name].startswith(bound)
        assert tested[name].removeprefix(bound) in {"", ".0"}


def test_quoted_messages_and_options_exist() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "oauth_helper").rglob("*.py"))
    troubleshooting = README.partition("## Troubleshooting")[2].partition("\n## ")[0]
    for cell in re.findall(r"^\| (`.*?`) \|", troubleshooting, re.MULTILINE):
        for message in re.findall(r"`(.*?)`", cell):
            for piece in re.split(r"…|600", message):
                assert piece.strip() in source, piece
    options = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "link", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in options or f'"{option}"' in source, option


def test_the_version_stands_in_one_place() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert shown.stdout == f"oauth-helper {PYPROJECT['project']['version']}\n"
    assert not re.search(r"\d+\.\d+\.\d+", (ROOT / "oauth_helper" / "__init__.py").read_text(encoding="utf-8"))
