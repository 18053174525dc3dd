"""Which window is planned where Chromium is a snap, whose window every user of the machine could drive."""

from pathlib import Path

import pytest

from oauth_helper.errors import NoBrowserError
from oauth_helper.session import BrowserOptions, How, Plan, plan_opening


async def planned(folder: Path, browser: str = "auto") -> Plan:
    path = f"{folder}:/usr/bin" if browser == "default" else str(folder)
    environ = {"PATH": path, "DISPLAY": ":of-nobody", "HOME": str(folder)}
    return await plan_opening(BrowserOptions(browser=browser, environ=environ))


@pytest.fixture
def snap(tmp_path: Path) -> Path:
    """As /snap/bin/chromium is a link to /usr/bin/snap."""
    (program := tmp_path / "snap").write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "chromium").symlink_to(program)
    return tmp_path


async def test_a_snaps_chromium_shows_the_page_but_is_no_window_by_itself(snap: Path) -> None:
    plan = await planned(snap)
    assert plan.how is How.DEFAULT
    assert "other users of this machine could drive one in Chromium, as it is a snap or flatpak" in plan.warning
    assert plan.windows == ()


async def test_who_demands_that_window_gets_it_and_is_warned(snap: Path) -> None:
    plan = await planned(snap, "chromium")
    assert (plan.how, plan.windows[0].name) == (How.WINDOW, "Chromium")
    assert plan.warning.startswith("Other users of this machine can drive a window of Chromium")


async def test_a_snaps_firefox_is_a_window_as_one_program_alone_can_drive_it(snap: Path) -> None:
    (snap / "firefox").symlink_to(snap / "snap")
    plan = await planned(snap)
    assert [browser.name for browser in plan.windows] == ["Firefox"]
    assert not plan.warning


async def test_on_a_build_service_where_nobody_could_authorize_no_state_is_spent(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "CI": "true"}
    with pytest.raises(NoBrowserError, match="Nobody could authorize"):
        await plan_opening(BrowserOptions(environ=environ))
    assert (await plan_opening(BrowserOptions(environ=environ, has_script=True))).how is How.BY_HAND
