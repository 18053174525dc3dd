"""What the user's variable BROWSER says is done, and nothing else where that fails."""

import shlex
import traceback

import pytest
from recording_machine import ADDRESS, DISPLAY, Machine, machine

from oauth_helper.browsers.launch import open_default_browser
from oauth_helper.errors import NoBrowserError

__all__ = ["machine"]


async def test_a_browser_of_the_users_choice_sees_the_choice_as_it_is(machine: Machine) -> None:
    machine.install("mine")
    await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "mine --new"})
    assert machine.record("mine")["browser"] == "mine --new"


@pytest.mark.parametrize(
    ("chosen", "arguments"),
    [
        ("mine", [ADDRESS]),
        ("mine --new-window", ["--new-window", ADDRESS]),
        ("mine --new-window %s", ["--new-window", ADDRESS]),
        ("mine --app=%s --then", [f"--app={ADDRESS}", "--then"]),
        ("mine %s %s", [ADDRESS, ADDRESS]),
        ("mine -P 'the work profile' %s", ["-P", "the work profile", ADDRESS]),
        ("mine %s &", [ADDRESS]),
        ("mine &", [ADDRESS]),
        ("  mine  ", [ADDRESS]),
    ],
)
async def test_browser_is_read_as_webbrowser_reads_it(machine: Machine, chosen: str, arguments: list[str]) -> None:
    machine.install("mine")
    assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": chosen}) == "mine"
    assert machine.record("mine")["arguments"] == arguments


@pytest.mark.parametrize("quoted", [True, False])
async def test_browser_may_be_a_path_with_spaces(machine: Machine, quoted: bool) -> None:
    program = machine.install("my own browser")
    chosen = shlex.quote(str(program)) if quoted else str(program)
    assert await open_default_browser(ADDRESS, environ={"BROWSER": chosen}) == "my own browser"
    assert machine.record("my own browser")["arguments"] == [ADDRESS]


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ("absent --token=planted-value", "absent was not found"),
        ("fails", "fails ended with status 3"),
        ("lynx", "lynx is a text-mode browser"),
        ("env TERM=dumb lynx %s", "lynx is a text-mode browser"),
        ("disguised", "disguised is a text-mode browser"),
        ("fails 'open", "the quotes in it do not match"),
        ("&", "it names no program"),
        ("plain.txt", "plain.txt could not be started (Exec format error)"),
    ],
)
async def test_where_nothing_in_browser_works_the_error_names_it_and_no_secret(
    machine: Machine, chosen: str, complaint: str
) -> None:
    machine.install("fails", status=3)
    lynx = machine.install("lynx")
    (lynx.parent / "disguised").symlink_to(lynx)
    machine.install("plain.txt").write_text("no program", encoding="utf-8")
    machine.install("xdg-open")
    environ = machine.environ | DISPLAY | {"BROWSER": chosen}
    with pytest.raises(NoBrowserError) as caught:
        await open_default_browser(ADDRESS, environ=environ)
    assert caught.value.message == f"No browser was opened: BROWSER is set, but {complaint}"
    assert "BROWSER" in caught.value.hint
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert not machine.started("lynx")
    assert not machine.started("xdg-open")


async def test_a_chosen_browser_needs_no_display(machine: Machine) -> None:
    machine.install("forwarder.sh")
    assert await open_default_browser(ADDRESS, environ=machine.environ | {"BROWSER": "forwarder.sh"}) == "forwarder.sh"
