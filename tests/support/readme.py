"""Read the READMEs and run the commands in them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRANSLATED = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_VARIES = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
    (r"until \d\d:\d\d:\d\d", "until WHEN"),
    (r"\bgithub-[A-Za-z0-9._-]+?(?=[.`\s])", "github-LOGIN"),
)


def section(title: str) -> str:
    """The text below a heading, with its subsections."""
    marks, _, _ = title.partition(" ")
    _, found, rest = README.partition(f"\n{title}\n")
    assert found, title
    return re.split(rf"^#{{2,{len(marks)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[set[str]]:
    """The quoted words in the first column of the tables."""
    return [set(re.findall(r"`(.+?)`", cell)) for cell in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def help_of(command: str) -> str:
    """The output of the command on the first line of a block."""
    arguments = command.removeprefix("$ oauth-helper ").split()
    return subprocess.run(
        [sys.executable, "-m", "oauth_helper", *arguments], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def words_of_help(text: str) -> list[str]:
    """The words of a help text: releases of click differ in line breaks and in how they write ranges."""
    return re.sub(r"\[?\s*\d+<=x<=[\d.]+\s*\]?|;|\[|\]", "", text).split()


def without_what_varies(text: str) -> str:
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text
