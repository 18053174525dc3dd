"""This machine: the browsers installed on it, and the desktop's tools, be they ever so unhelpful."""

import asyncio
import os
import select
import shutil
import time
from pathlib import Path

import pytest
from paper_machine import brief

from oauth_helper.browsers.discovery import (
    Family,
    FoundBrowser,
    Machine,
    Packaging,
    choose,
    choose_here,
    find_browsers,
    look_around,
    read_file,
)


def _install(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


async def _look(folder: Path) -> Machine:
    return await look_around({"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}, "linux")


@pytest.mark.skipif(
    not (Path("/usr/bin/chromium").exists() and Path("/usr/bin/firefox-esr").exists()),
    reason="Debian's chromium and firefox-esr are not installed",
)
async def test_debians_browsers_are_found_with_the_default_first(tmp_path: Path) -> None:
    _install(tmp_path / "bin", "xdg-settings", "echo firefox-esr.desktop")
    _install(tmp_path / "bin", "xdg-mime", "echo chromium.desktop")
    here = await _look(tmp_path / "bin")
    assert here.default_entries == ("firefox-esr.desktop", "chromium.desktop")
    assert find_browsers(here) == [
        FoundBrowser(
            Family.FIREFOX, ("/usr/lib/firefox-esr/firefox-esr",), "Firefox", Packaging.PLAIN, is_default=True
        ),
        FoundBrowser(Family.CHROMIUM, ("/usr/bin/chromium",), "Chromium", Packaging.PLAIN, is_default=False),
    ]
    # Debian's alternative is a link to firefox-esr, and known by that.
    (alternative,) = choose("/usr/bin/x-www-browser", here)
    assert alternative.family is Family.FIREFOX


def _desktop_that_notes_its_being_asked(folder: Path, entry: str) -> dict[str, str]:
    _install(folder, "xdg-settings", f"echo {entry}; echo >> {folder}/asked")
    return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}


@pytest.mark.parametrize(("wanted", "asks"), [("chromium", False), ("vivaldi", False), ("auto", True)])
async def test_the_desktop_is_asked_only_where_its_answer_may_change_the_choice(
    tmp_path: Path, wanted: str, asks: bool
) -> None:
    environ = _desktop_that_notes_its_being_asked(tmp_path, "brave.desktop") | {"PATH": str(tmp_path)}
    _install(tmp_path, "vivaldi", "")
    assert [browser.name for browser in await choose_here(wanted, environ, "linux")] == ["Vivaldi"]
    assert (tmp_path / "asked").exists() is asks


async def test_of_two_that_would_do_the_desktop_says_which(tmp_path: Path) -> None:
    environ = _desktop_that_notes_its_being_asked(tmp_path, "vivaldi.desktop")
    for name in ("brave-browser", "vivaldi"):
        _install(tmp_path, name, "")
    (tmp_path / "applications").mkdir()
    (tmp_path / "applications" / "vivaldi.desktop").write_text(f"[Desktop Entry]\nExec={tmp_path}/vivaldi %U\n")
    first, *_ = await choose_here("chromium", environ, "linux")
    assert (first.name, first.is_default) == ("Vivaldi", True)


async def test_one_of_which_the_desktop_alone_knows_is_found(tmp_path: Path) -> None:
    environ = _desktop_that_notes_its_being_asked(tmp_path, "mine.desktop") | {"PATH": str(tmp_path)}
    _install(tmp_path / "elsewhere", "vivaldi", "")
    (tmp_path / "applications").mkdir()
    (tmp_path / "applications" / "mine.desktop").write_text(f"[Desktop Entry]\nExec={tmp_path}/elsewhere/vivaldi %U\n")
    found = await choose_here("chromium", environ, "linux")
    assert [browser.command for browser in found] == [(f"{tmp_path}/elsewhere/vivaldi",)]


@pytest.mark.skipif(
    not (shutil.which("xdg-settings", path="/usr/bin") and Path("/usr/bin/chromium").exists()),
    reason="xdg-utils or Debian's chromium are not installed",
)
async def test_the_desktops_own_tools_are_understood(tmp_path: Path) -> None:
    for tool in ("xdg-settings", "xdg-mime"):
        assert shutil.which(tool, path="/usr/bin")
    applications = tmp_path / "data" / "applications"
    applications.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mimeapps.list").write_text(
        "[Default Applications]\nx-scheme-handler/http=mine.desktop\nx-scheme-handler/https=mine.desktop\n"
        "text/html=mine.desktop\n",
        encoding="utf-8",
    )
    (applications / "mine.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=Mine\nExec=/usr/bin/chromium --incognito %U\n"
        "MimeType=x-scheme-handler/https;\n",
        encoding="utf-8",
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    here = await look_around(environ | {"XDG_DATA_HOME": str(tmp_path / "data")}, "linux")
    assert here.default_entries[0] == "mine.desktop"
    assert brief(find_browsers(here))[0] == "/usr/bin/chromium default"


@pytest.mark.parametrize(
    "script",
    ["exit 4", "echo 'no idea'", "echo", "kill -9 $$", "printf '\\377\\376\\000'", "echo ../../etc/passwd"],
)
async def test_a_tool_that_answers_nothing_useful_leads_to_the_next(tmp_path: Path, script: str) -> None:
    _install(tmp_path / "bin", "xdg-settings", script)
    _install(tmp_path / "bin", "xdg-mime", "echo 'chromium.desktop;other.desktop;'")
    here = await _look(tmp_path / "bin")
    assert here.default_entries == ("chromium.desktop", "other.desktop")
    assert brief(find_browsers(here))[0] == "/usr/bin/chromium default"


async def test_a_tool_that_cannot_start_leads_to_the_next(tmp_path: Path) -> None:
    _install(tmp_path / "bin", "xdg-settings", "")
    (tmp_path / "bin" / "xdg-settings").write_text("#!/nowhere/at/all\n", encoding="utf-8")
    _install(tmp_path / "bin", "xdg-mime", "echo firefox-esr.desktop")
    assert (await _look(tmp_path / "bin")).default_entries == ("firefox-esr.desktop",)


async def test_without_the_tools_browsers_are_found_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    _install(folder, "chromium", "exit 0")
    here = await look_around({"PATH": str(folder), "HOME": str(tmp_path)}, "linux")
    assert here.default_entries == ()
    assert brief(find_browsers(here)) == [str(folder / "chromium")]


async def test_a_tool_that_hangs_ends_with_all_it_started_and_the_other_is_heard(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "never")
    _install(tmp_path / "bin", "xdg-settings", f"cat {tmp_path}/never &\necho $$ $! >{pids}\necho a.desktop\nwait")
    _install(tmp_path / "bin", "xdg-mime", "echo firefox-esr.desktop")
    began = time.monotonic()
    here = await _look(tmp_path / "bin")
    assert time.monotonic() - began < 6
    assert here.default_entries == ("firefox-esr.desktop",)
    _assert_ended(pids)


async def test_a_cancelled_look_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(tmp_path / "never")
    os.mkfifo(tmp_path / "started")
    started = os.open(tmp_path / "started", os.O_RDWR)
    _install(
        tmp_path / "bin",
        "xdg-settings",
        f"cat {tmp_path}/never &\necho $$ $! >{pids}\necho x >{tmp_path}/started\nwait",
    )
    looking = asyncio.create_task(_look(tmp_path / "bin"))
    try:
        async with asyncio.timeout(10):
            await asyncio.to_thread(os.read, started, 1)
    finally:
        os.close(started)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert asyncio.all_tasks() == {asyncio.current_task()}, "none of the tools is still being ended"
    _assert_ended(pids)


def _assert_ended(pids: Path) -> None:
    for pid in pids.read_text(encoding="utf-8").split():
        try:
            process = os.pidfd_open(int(pid))
        except ProcessLookupError:
            continue
        # A grandchild may stay a zombie where nobody reaps it: that is an end too, and makes this readable.
        ended, _, _ = select.select([process], [], [], 5)
        os.close(process)
        assert ended


@pytest.mark.parametrize("platform", ["darwin", "win32"])
async def test_the_tools_of_linux_are_asked_nowhere_else(tmp_path: Path, platform: str) -> None:
    _install(tmp_path / "bin", "xdg-settings", f"echo asked >{tmp_path}/asked\necho chromium.desktop")
    here = await look_around({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, platform)
    assert here.default_entries == ()
    assert not (tmp_path / "asked").exists()


def test_only_plain_files_are_read_and_only_their_beginning(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * (3 << 20))
    assert read_file(str(tmp_path / "fifo")) == b""
    assert read_file(str(tmp_path / "absent")) == b""
    assert read_file(str(tmp_path / ("n" * 300))) == b""
    assert len(read_file(str(tmp_path / "large"))) == 1 << 20
