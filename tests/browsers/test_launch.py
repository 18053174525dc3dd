"""The throw-away profile: where it lies, who can look into it, and what a sweep removes."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.other_users import NOBODY, acting_as_nobody, folder_of_nobody, needs_root

from oauth_helper.browsers.discovery import Family, InstalledBrowser, Packaging
from oauth_helper.browsers.drivers import Answer, BrowserError
from oauth_helper.browsers.launch import create_profile, driver_for, profile_parent, remove_profile, sweep
from oauth_helper.browsers.window import hop, redirect, rejected


def found(packaging: Packaging, *command: str) -> InstalledBrowser:
    return InstalledBrowser(Family.CHROMIUM, command, "Chromium", packaging, True)


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("browser", "folder"),
    [
        (found(Packaging.SNAP, "/snap/bin/chromium"), "/home/octocat/snap/chromium/common"),
        (
            found(Packaging.FLATPAK, "/usr/bin/flatpak", "run", "org.chromium.Chromium"),
            "/home/octocat/.var/app/org.chromium.Chromium",
        ),
    ],
)
def test_a_packaged_browser_gets_its_profile_where_it_can_see_it(browser: InstalledBrowser, folder: str) -> None:
    assert profile_parent(browser, {"HOME": "/home/octocat"}) == Path(folder)


@needs_root
def test_a_packaged_browser_gets_none_where_another_user_could_replace_it(tmp_path: Path) -> None:
    common = tmp_path / "snap" / "chromium" / "common"
    common.mkdir(parents=True)
    os.chown(common.parent, NOBODY, NOBODY)
    with pytest.raises(BrowserError, match="belongs to another user"):
        profile_parent(found(Packaging.SNAP, "/snap/bin/chromium"), {"HOME": str(tmp_path)})


def test_a_profile_is_private_until_it_is_removed(tmp_path: Path) -> None:
    profile, lock = create_profile(tmp_path / "not" / "yet")
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    assert profile.name.startswith(f"oauth-helper-{os.getpid()}-")
    (profile / "History").touch()
    remove_profile(profile)
    os.close(lock)
    assert not profile.exists()


def test_a_sweep_leaves_all_else_alone(tmp_path: Path, ended: int) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / f"oauth-helper-{ended}-symbolic").symlink_to(precious)
    for name in (f"oauth-helper-{ended}", "oauth-helper-x-abcdefgh"):
        (tmp_path / name).mkdir()
    (tmp_path / f"oauth-helper-{ended}-file").touch()
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_sweep_leaves_the_folders_of_others_alone(tmp_path: Path, ended: int) -> None:
    theirs = tmp_path / f"oauth-helper-{ended}-abcdefgh"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    sweep(tmp_path)
    assert theirs.exists()


def test_a_sweep_spares_a_profile_in_use_whatever_process_numbers_mean_here(tmp_path: Path, ended: int) -> None:
    profile, lock = create_profile(tmp_path)
    elsewhere = profile.rename(tmp_path / f"oauth-helper-{ended}-abcdefgh")
    sweep(tmp_path)
    assert elsewhere.exists()
    os.close(lock)
    sweep(tmp_path)
    assert not elsewhere.exists()


async def test_no_sweep_comes_between_the_making_of_a_profile_and_its_lock(tmp_path: Path) -> None:
    """Another container may share the folder: there our process number means nothing."""
    (folder := tmp_path / "shared").mkdir()
    sweeping = [sys.executable, "-c", SWEEPING, str(folder)]
    process = await asyncio.create_subprocess_exec(*sweeping, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    await process.stdout.readline()
    for _ in range(300):
        profile, lock = create_profile(folder)
        (profile / "History").touch()
        remove_profile(profile)
        os.close(lock)
    await process.communicate(b"")
    assert list(folder.iterdir()) == []


SWEEPING = """
import select, sys
from pathlib import Path
from oauth_helper.browsers.launch import sweep
print("sweeping", flush=True)
while not select.select([0], [], [], 0)[0]:
    sweep(Path(sys.argv[1]))
"""


@needs_root
def test_chromium_gets_its_own_sandbox_wherever_it_takes_it(tmp_path: Path) -> None:
    assert "--no-sandbox" in driver_for(found(Packaging.PLAIN, "chromium")).prepare(tmp_path)
    with folder_of_nobody() as folder, acting_as_nobody():
        assert "--no-sandbox" not in driver_for(found(Packaging.PLAIN, "chromium")).prepare(folder)


def test_an_address_cannot_end_the_script_of_a_hop() -> None:
    html = hop("http://127.0.0.1/</script><img src=x>\"'").html
    assert html.count("<script>") == html.count("</script>") == 1
    assert "<img" not in html


PAGES = (hop("http://127.0.0.1/done?k=DONEKEY"), rejected())


@pytest.mark.parametrize("answer", [*PAGES, redirect("https://github.com/login?state=STATE")])
def test_an_answer_sends_no_referrer_and_is_not_kept_nor_shown(answer: Answer) -> None:
    assert "DONEKEY" not in repr(answer)
    assert "STATE" not in repr(answer)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.status == 302 or 'rel="icon" href="data:,"' in answer.html


@pytest.mark.parametrize(
    ("platform", "switch"), [("linux", None), ("win32", "--wait-for-browser"), ("darwin", "-foreground")]
)
def test_firefox_is_started_as_each_system_wants_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, switch: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    firefox = InstalledBrowser(Family.FIREFOX, ("firefox",), "Firefox", Packaging.PLAIN, True)
    usual = ["--no-remote", "--profile", str(tmp_path), "--remote-debugging-port=0"]
    assert driver_for(firefox).prepare(tmp_path) == [*usual, *([switch] if switch else [])]
