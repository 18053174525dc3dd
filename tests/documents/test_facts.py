"""Tables, numbers and examples in the documents agree with the package."""

import asyncio
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from documents.documents import ROOT, blocks, section, text_of
from models.examples import EVENTS
from support.command_runner import commands
from support.promised_json import read_event

from oauth_helper import errors, events
from oauth_helper.apply_file import Method, parse_entries
from oauth_helper.cli.output import EventLines
from oauth_helper.credential_sources import CHAIN_VARIABLES, SOURCE_NAMES
from oauth_helper.exchange import TIMING
from oauth_helper.models import CODE_LIFETIME, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.faults import DURATION, Call, Kind
from oauth_helper.settings import ENVIRONMENT, REGIONS
from oauth_helper.version import VERSION

DOCS = ROOT / "docs"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "oauth_helper").rglob("*"))
    if path.suffix in {".py", ".html"}
)
in_both_languages = pytest.mark.parametrize("docs", [DOCS, DOCS / "zh-CN"], ids=["en", "zh"])


def first_cells(text: str) -> list[str]:
    """The quoted words in the first column of the tables."""
    return [word for cell in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE) for word in re.findall(r"`(.+?)`", cell)]


def test_the_introduction_names_every_git_host_that_is_linked_in_a_browser() -> None:
    hosts = f"({', '.join(one.display_name for one in RepoType if one.has_oauth)})"
    assert hosts in text_of(ROOT / "README.md").partition("\n## ")[0]


@in_both_languages
def test_every_exit_status_is_explained(docs: Path) -> None:
    cells = re.findall(r"^\| (\d[\d, 、]*) \|.*\|.*\|$", text_of(docs / "scripting.md"), re.MULTILINE)
    raised = {
        value.exit_status
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.OAuthHelperError)
    }
    assert {int(number) for cell in cells for number in re.findall(r"\d+", cell)} == raised | {0, 129, 143}


@in_both_languages
def test_the_table_of_events_has_every_field_in_order(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {type(event) for event in EVENTS} == set(events.Event.__subclasses__())
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", text_of(docs / "scripting.md"), re.MULTILINE))
    printed = set()
    for event in EVENTS:
        lines = EventLines()
        lines.tell(event)
        for line in capsys.readouterr().out.splitlines():
            name, at, *fields = read_event(line)
            assert (name, at) == ("event", "at")
            word = read_event(line)["event"]
            printed.add(word)
            positions = [rows[word].index(f"`{field}`") for field in fields]
            assert positions == sorted(positions)
    assert rows.keys() == printed
    assert re.findall(r"`(.+?)`", rows["captured"])[: len(events.Way) + 1] == ["way", *events.Way]


@in_both_languages
def test_the_table_of_settings_has_every_variable_in_order(docs: Path) -> None:
    text = text_of(docs / "settings.md")
    for key, variables in ENVIRONMENT.items():
        (row,) = (line for line in text.splitlines() if line.startswith("| ") and f" | `{key}` | " in line)
        positions = [row.index(f"`{variable}`") for variable in variables]
        assert positions == sorted(positions)


@in_both_languages
def test_the_table_of_credentials_has_every_variable_and_the_sources_in_order(docs: Path) -> None:
    text = text_of(docs / "settings.md")
    assert {name for name in CHAIN_VARIABLES if f"`{name}`" not in text} == set()
    names = re.findall(r"^\| \d+ \|.*\| `([a-z]+)` \|$", text, re.MULTILINE)
    assert tuple(dict.fromkeys(names)) == SOURCE_NAMES


def test_the_sandbox_page_has_every_fault() -> None:
    text = section(text_of(DOCS / "sandbox.md"), "## Faults")
    assert sorted(first_cells(text)) == sorted(Kind)
    what = text.partition("WHAT is")[2].partition("\n\n")[0]
    assert re.findall(r"`([a-z-]+)`", what) == list(Call)
    assert f"{DURATION:g} seconds" in text


def test_the_rules_for_sending_again_have_the_numbers_of_the_code() -> None:
    text = " ".join(text_of(DOCS / "interrupted-links.md").split())
    *first, last = (f"{after:g}" for after in TIMING.verify_after)
    assert f"{', '.join(first)} and {last} seconds after" in text
    assert f"after those {TIMING.lost_after:g} seconds" in text
    assert f"ends {TIMING.total:g} seconds after the redirect was captured" in text
    assert f"{CODE_LIFETIME.total_seconds() / 60:g} minutes after the redirect was captured" in text


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "troubleshooting.md"], ids=lambda page: page.name)
def test_quoted_messages_exist(page: Path) -> None:
    messages = first_cells(text_of(page))
    assert len(messages) >= 10
    for piece in (piece.strip() for message in messages for piece in re.split(r"…|600", message)):
        assert piece in SOURCE, piece


def test_the_options_that_documents_name_exist() -> None:
    for page in (ROOT / "README.md", *DOCS.glob("*.md")):
        for option in set(re.findall(r"`(--[a-z-]+)", text_of(page))):
            assert f'"{option}"' in SOURCE, (page.name, option)


def test_the_version_is_in_one_place() -> None:
    command = [sys.executable, "-m", "oauth_helper", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert shown.stdout == f"oauth-helper {VERSION}\n"
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "oauth_helper/version.py"
    assert version("oauth-helper") == VERSION


def test_the_lowest_version_of_every_dependency_is_tested() -> None:
    tested = dict(line.split("==") for line in (ROOT / "tests" / "lowest-versions.txt").read_text().split())
    for requirement in PYPROJECT["project"]["dependencies"]:
        name, bound = requirement.split(">=")
        assert tested[name].startswith(bound)
        assert tested[name].removeprefix(bound) in {"", ".0"}


async def test_the_python_example_links() -> None:
    (example,) = blocks("python", text_of(DOCS / "python.md"))
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


@in_both_languages
def test_the_apply_file_has_every_method(docs: Path) -> None:
    (example,) = blocks("toml", text_of(docs / "scripting.md"))
    assert [entry.method for entry in parse_entries(example, origin="scripting.md")] == list(Method)


@in_both_languages
def test_the_settings_file_has_known_keys(docs: Path) -> None:
    (example,) = blocks("toml", text_of(docs / "settings.md"))
    assert tomllib.loads(example).keys() <= ENVIRONMENT.keys()


@in_both_languages
def test_the_regions_are_those_that_the_command_offers(docs: Path) -> None:
    (listed,) = re.findall(r"ServiceStage[:：]([^.。]*)[.。]", text_of(docs / "settings.md"))
    assert re.findall(r"[\w-]+", listed) == list(REGIONS)
