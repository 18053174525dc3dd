"""The README is true: its commands, its transcript, its help texts, its tables."""

import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args

import pytest
from command import surroundings
from promised_json import read_event
from support.fault_table import COLUMNS, cells

from oauth_helper import errors, events
from oauth_helper.cli.output import EventLines
from oauth_helper.exchange import TIMING
from oauth_helper.i18n import _
from oauth_helper.models import CODE_LIFETIME, Authorization, RepoType
from oauth_helper.sandbox.faults import CALLS, DURATION, KINDS
from oauth_helper.settings import ENVIRONMENT
from oauth_helper.version import VERSION

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_VARIES = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
    (r"until \d\d:\d\d:\d\d", "until WHEN"),
    (r"\bgithub-[A-Za-z0-9._-]+?(?=[.`\s])", "github-LOGIN"),
)
_NOW: Final = datetime.now(UTC)
_AUTHORIZATION: Final = Authorization.from_json(
    {"name": "my-auth", "repo_type": "github", "token_type": "oauth", "create_time": 1, "update_time": 1, "status": 0}
)
EVENTS: Final[tuple[events.Event, ...]] = (
    events.Warned(_("a word")),
    events.Checked("my-auth", RepoType.GITHUB),
    events.Resumed("my-auth", _NOW),
    events.Joined("my-auth"),
    events.Waiting("http://127.0.0.1:1/start?k=KEY", "https://github.com/login/oauth/authorize", _NOW),
    events.Opened("Firefox"),
    events.NotOpened(),
    events.Visited(),
    events.OpenedTwice("http://127.0.0.1:1/start?k=KEY"),
    events.Advised(events.Guidance.UNREACHED),
    events.Ignored("foreign-state", 1),
    events.Captured(events.Way.PAGE),
    events.Exchanging(),
    events.Looking("my-auth"),
    events.Refused(),
    events.Deleting("my-auth"),
    events.Deleted("my-auth"),
    events.Linked(_AUTHORIZATION),
    events.Failed(errors.DeadlineError(_("late"))),
)
"""One of each kind."""


def section(title: str) -> str:
    """What stands below a heading, up to the next one that is not below it."""
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
    """What is printed by a command that a block begins with."""
    arguments = command.removeprefix("$ oauth-helper ").split()
    return subprocess.run(
        [sys.executable, "-m", "oauth_helper", *arguments], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def words_of_help(text: str) -> list[str]:
    """Releases of click wrap lines and write ranges each in their own way; the words are what is promised."""
    return re.sub(r"\[?\s*\d+<=x<=[\d.]+\s*\]?|;|\[|\]", "", text).split()


def without_what_varies(text: str) -> str:
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text


def test_the_transcript_is_what_the_demo_prints() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$ make demo" in README
    assert "oauth-helper link github --sandbox" in makefile.partition("demo:")[2].splitlines()[1]
    # As a terminal has it: what is said and what is printed in one stream.
    end = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "link", "github", "--sandbox"],
        env=surroundings(BROWSER=""),
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
def test_help_texts_are_what_the_command_prints(block: str) -> None:
    command, _, printed = block.partition("\n")
    assert words_of_help(help_of(command)) == words_of_help(printed)


def test_every_git_host_that_is_linked_in_a_browser_is_named_at_once() -> None:
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


def test_every_event_stands_in_the_table_with_its_fields_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert {type(event) for event in EVENTS} == set(get_args(events.Event))
    table = section("### Events")
    printed = set()
    for event in EVENTS:
        lines = EventLines()  # a new one each time, because each ends with its first end
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
    (browser_options,) = re.findall(r"^\| `captured` \| `way`: (.*) \|$", table, re.MULTILINE)
    assert re.findall(r"`(.+?)`", browser_options) == list(events.Way)


def test_whatever_the_sandbox_can_do_wrong_stands_in_its_section() -> None:
    told = section("### The sandbox")
    named = [word for words in first_cells(told) for word in words]
    assert sorted(named) == sorted(KINDS)
    what = told.partition("WHAT is")[2].partition("\n\n")[0]
    assert re.findall(r"`([a-z-]+)`", what) == list(CALLS)
    assert f"{DURATION:g} seconds" in told


def test_the_table_of_faults_is_the_one_that_is_tested_in_short() -> None:
    ends = defaultdict(list)
    for trouble, _unused, cell in cells():
        ends[trouble].append(str(cell))
    alike = defaultdict(list)
    for trouble, row in ends.items():
        alike[tuple(row)].append(trouble)
    head = f"| what goes wrong | {' | '.join(f'`{call}`' for call in COLUMNS)} |\n| --- |{' --- |' * len(COLUMNS)}\n"
    rows = (f"| {'; '.join(troubles)} | {' | '.join(row)} |\n" for row, troubles in alike.items())
    assert head + "".join(rows) in section("## The redirect is not wasted")


def test_the_rules_of_sending_again_are_told_with_the_numbers_they_have() -> None:
    told = section("## The redirect is not wasted")
    *first, last = (f"{after:g}" for after in TIMING.verify_after)
    assert f"{', '.join(first)} and {last} seconds after" in told
    assert f"after those {TIMING.lost_after:g} seconds" in told
    assert f"ends {TIMING.total:g} seconds after the redirect came" in told
    assert f"{CODE_LIFETIME.total_seconds() / 60:g} minutes after the redirect came" in told


def test_every_setting_stands_in_the_table_with_its_variables_in_order() -> None:
    for key, variables in ENVIRONMENT.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `--{key.replace('_', '-')}` |"))
        positions = [row.index(f"`{variable}`") for variable in variables]
        assert positions == sorted(positions)
        assert f"| `{key}` |" in row


def test_every_runtime_dependency_is_explained_and_its_lower_bound_is_the_one_tested() -> None:
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


def test_the_version_stands_in_one_place() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert shown.stdout == f"oauth-helper {VERSION}\n"
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "oauth_helper/version.py"
    assert version("oauth-helper") == VERSION
    assert not re.search(r"\d+\.\d+\.\d+", (ROOT / "oauth_helper" / "__init__.py").read_text(encoding="utf-8"))
