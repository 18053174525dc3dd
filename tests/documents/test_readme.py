"""The README agrees with the commands, messages, settings and tables of the package."""

import ast
import asyncio
import re
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from typing import get_args

import pytest
from link.fault_table import COLUMNS, cells
from support.command_runner import commands
from support.examples import EVENTS
from support.promised_json import read_event
from support.readme import (
    PYPROJECT,
    README,
    ROOT,
    blocks,
    first_cells,
    help_of,
    section,
    without_what_varies,
    words_of_help,
)

import oauth_helper
from oauth_helper import errors, events
from oauth_helper.apply_file import Method, parse_declaration
from oauth_helper.cli.output import EventLines
from oauth_helper.exchange import TIMING
from oauth_helper.models import CODE_LIFETIME, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import CALLS, DURATION, KINDS
from oauth_helper.settings import ENVIRONMENT
from oauth_helper.version import VERSION


def test_the_transcript_is_the_output_of_the_demo() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$ make demo" in README
    assert "oauth-helper link github --sandbox" in makefile.partition("demo:")[2].splitlines()[1]
    end = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "link", "github", "--sandbox"],
        env=commands.environ(BROWSER=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=30,
    )
    assert without_what_varies(blocks("text")[0]) == without_what_varies(end.stdout)


@pytest.mark.parametrize(
    "block", [block for block in blocks("text") if block.startswith("$ ")], ids=lambda block: block.splitlines()[0]
)
def test_help_texts_are_the_output_of_the_command(block: str) -> None:
    command, _, printed = block.partition("\n")
    assert words_of_help(help_of(command)) == words_of_help(printed)


def test_the_introduction_names_every_git_host_that_is_linked_in_a_browser() -> None:
    beginning = README.partition("## Commands")[0]
    assert f"({', '.join(one.display_name for one in RepoType if one.has_oauth)})" in beginning


def test_every_exit_status_is_explained() -> None:
    table = section("## Exit statuses")
    explained = {
        int(number) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for number in cell.split(",")
    }
    raised = {
        value.exit_status
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.OAuthHelperError)
    }
    assert explained == raised | {0, 129, 143}


def test_the_table_of_events_has_every_field_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert {type(event) for event in EVENTS} == set(get_args(events.Event))
    table = section("### Events")
    printed = set()
    for event in EVENTS:
        lines = EventLines()
        lines.tell(event)
        for line in capsys.readouterr().out.splitlines():
            told = read_event(line)
            name, at, *fields = told
            assert (name, at) == ("event", "at")
            printed.add(word := told["event"])
            (row,) = re.findall(rf"^\| `{word}` \| (.*) \|$", table, re.MULTILINE)
            positions = [row.index(f"`{field}`") for field in fields]
            assert positions == sorted(positions)
    assert set().union(*first_cells(table)) == printed
    (captured,) = re.findall(r"^\| `captured` \| `way`: (.*) \|$", table, re.MULTILINE)
    assert re.findall(r"`(.+?)`", captured) == list(events.Way)


def test_the_section_about_the_sandbox_has_every_fault() -> None:
    told = section("### The sandbox")
    named = [word for words in first_cells(told) for word in words]
    assert sorted(named) == sorted(KINDS)
    what = told.partition("WHAT is")[2].partition("\n\n")[0]
    assert re.findall(r"`([a-z-]+)`", what) == list(CALLS)
    assert f"{DURATION:g} seconds" in told


def test_the_table_of_faults_agrees_with_the_tests() -> None:
    ends = defaultdict(list)
    for cause, _call, cell in cells():
        ends[cause].append(str(cell))
    alike = defaultdict(list)
    for cause, row in ends.items():
        alike[tuple(row)].append(cause)
    head = f"| what goes wrong | {' | '.join(f'`{call}`' for call in COLUMNS)} |\n| --- |{' --- |' * len(COLUMNS)}\n"
    rows = (f"| {'; '.join(causes)} | {' | '.join(row)} |\n" for row, causes in alike.items())
    assert head + "".join(rows) in section("## The redirect is not wasted")


def test_the_rules_for_sending_again_have_the_numbers_of_the_code() -> None:
    told = section("## The redirect is not wasted")
    *first, last = (f"{after:g}" for after in TIMING.verify_after)
    assert f"{', '.join(first)} and {last} seconds after" in told
    assert f"after those {TIMING.lost_after:g} seconds" in told
    assert f"ends {TIMING.total:g} seconds after the redirect came" in told
    assert f"{CODE_LIFETIME.total_seconds() / 60:g} minutes after the redirect came" in told


def test_the_table_of_settings_has_every_variable_in_order() -> None:
    for key, variables in ENVIRONMENT.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `--{key.replace('_', '-')}` |"))
        positions = [row.index(f"`{variable}`") for variable in variables]
        assert positions == sorted(positions)
        assert f"| `{key}` |" in row


def test_every_dependency_is_explained_and_its_lowest_version_is_tested() -> None:
    tested = dict(line.split("==") for line in (ROOT / "tests" / "lowest-versions.txt").read_text().split())
    for requirement in PYPROJECT["project"]["dependencies"]:
        name, bound = requirement.split(">=")
        assert f"| {name} | " in README
        assert tested[name].startswith(bound)
        assert tested[name].removeprefix(bound) in {"", ".0"}


def test_quoted_messages_and_options_exist() -> None:
    sources = [path for kind in ("*.py", "*.html") for path in (ROOT / "oauth_helper").rglob(kind)]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    troubleshooting = section("## Troubleshooting")
    for cell in re.findall(r"^\| (`.*?`) \|", troubleshooting, re.MULTILINE):
        for message in re.findall(r"`(.*?)`", cell):
            for piece in re.split(r"…|600", message):
                assert piece.strip() in source, piece
    options = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "link", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in options or f'"{option}"' in source, option


def test_the_version_is_in_one_place() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert shown.stdout == f"oauth-helper {VERSION}\n"
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "oauth_helper/version.py"
    assert version("oauth-helper") == VERSION
    assert not re.search(r"\d+\.\d+\.\d+", (ROOT / "oauth_helper" / "__init__.py").read_text(encoding="utf-8"))


def test_the_python_example_imports_public_names() -> None:
    (example,) = blocks("python")
    tree = ast.parse(example)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for alias in imported.names} <= set(oauth_helper.__all__)


async def test_the_python_example_links() -> None:
    (example,) = blocks("python")
    async with Sandbox() as sandbox:
        key = sandbox.access_key
        for shown, real in (
            ("https://servicestage.cn-north-4.myhuaweicloud.com", sandbox.endpoint),
            ('project_id="…"', f"project_id={sandbox.project_id!r}"),
            ('AccessKey("…", "…")', f"AccessKey({key.access_key!r}, {key.secret_key.reveal()!r})"),
        ):
            assert shown in example
            example = example.replace(shown, real)
        command = (sys.executable, "-c", example)
        process = await asyncio.create_subprocess_exec(*command, env=commands.environ(), stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"octocat\n")


def test_the_apply_file_is_valid() -> None:
    (example,) = blocks("toml")
    assert [entry.method for entry in parse_declaration(example, origin="README.md")] == list(Method)
