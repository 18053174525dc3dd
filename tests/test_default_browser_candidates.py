"""Which commands would open the default browser, in which order, and why there are none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recording_machine import DISPLAY

from oauth_helper.browsers.discovery import browser_commands, why_no_browser


def _which(*programs: str) -> Callable[..., str | None]:
    paths = {**{Path(program).name: program for program in programs}, **{program: program for program in programs}}
    return lambda name, path: paths.get(name)


def _commands(
    environ: dict[str, str], *programs: str, platform: str = "linux", is_root: bool = False
) -> list[list[str]]:
    return browser_commands("URL", environ, platform, which=_which(*programs), is_root=is_root)


def test_openers_come_before_browsers_on_a_linux_desktop() -> None:
    programs = ("/bin/firefox", "/bin/gio", "/bin/xdg-open", "/bin/sensible-browser", "/bin/www-browser")
    expected = [["/bin/xdg-open", "URL"], ["/bin/gio", "open", "URL"], ["/bin/firefox", "URL"]]
    assert _commands(DISPLAY, *programs) == expected
    assert _commands({"WAYLAND_DISPLAY": "wayland-0"}, *programs) == expected


def test_as_root_browsers_come_before_openers_and_chromium_gets_its_switch() -> None:
    programs = ("/bin/xdg-open", "/bin/firefox", "/opt/google-chrome-stable", "/bin/chromium")
    assert _commands(DISPLAY, *programs, is_root=True) == [
        ["/bin/firefox", "URL"],
        ["/opt/google-chrome-stable", "--no-sandbox", "URL"],
        ["/bin/chromium", "--no-sandbox", "URL"],
        ["/bin/xdg-open", "URL"],
    ]
    assert ["/bin/chromium", "URL"] in _commands(DISPLAY, *programs)


def test_the_switch_goes_before_the_users_own_arguments_and_to_no_other_program() -> None:
    programs = ("/bin/chromium", "/bin/operate")
    environ = {"BROWSER": "chromium --incognito:operate --incognito"}
    assert _commands(environ, *programs, is_root=True) == [
        ["/bin/chromium", "--no-sandbox", "--incognito", "URL"],
        ["/bin/operate", "--incognito", "URL"],
    ]


def test_a_chromium_behind_an_alternatives_link_is_known(tmp_path: Path) -> None:
    (tmp_path / "chromium").touch(mode=0o755)
    (tmp_path / "x-www-browser").symlink_to(tmp_path / "chromium")
    environ = DISPLAY | {"PATH": str(tmp_path)}
    assert browser_commands("URL", environ, "linux", is_root=True)[0] == [
        str(tmp_path / "x-www-browser"),
        "--no-sandbox",
        "URL",
    ]


def test_a_text_mode_browser_behind_an_alternatives_link_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "w3m").touch(mode=0o755)
    (tmp_path / "x-www-browser").symlink_to(tmp_path / "w3m")
    environ = DISPLAY | {"PATH": str(tmp_path)}
    assert browser_commands("URL", environ, "linux") == []
    assert why_no_browser(environ, "linux") == "x-www-browser is a text-mode browser"


@pytest.mark.parametrize("name", ["lynx", "w3m", "links", "links2", "elinks", "www-browser", "browsh"])
def test_text_mode_browsers_in_browser_are_skipped(name: str) -> None:
    assert _commands({"BROWSER": f"{name} %s:firefox"}, f"/bin/{name}", "/bin/firefox") == [["/bin/firefox", "URL"]]


@pytest.mark.parametrize("unset", ["", " ", ":", " : "])
def test_an_empty_browser_is_no_choice(unset: str) -> None:
    assert _commands({"BROWSER": unset} | DISPLAY, "/bin/xdg-open") == [["/bin/xdg-open", "URL"]]
    assert "BROWSER" not in (why_no_browser({"BROWSER": unset} | DISPLAY, "linux", which=_which()) or "BROWSER")


def test_a_choice_keeps_the_usual_candidates_out() -> None:
    assert _commands({"BROWSER": "firefox"} | DISPLAY, "/bin/xdg-open", "/bin/firefox") == [["/bin/firefox", "URL"]]


def test_wsl_goes_to_windows_first_and_to_a_linux_browser_where_there_is_a_display() -> None:
    programs = ("/usr/bin/wslview", "/mnt/c/Windows/System32/rundll32.exe", "/usr/bin/xdg-open")
    windows = [
        ["/usr/bin/wslview", "URL"],
        ["/mnt/c/Windows/System32/rundll32.exe", "url.dll,FileProtocolHandler", "URL"],
    ]
    assert _commands({"WSL_INTEROP": "/run/WSL/8_interop"}, *programs) == windows
    assert _commands({"WSL_DISTRO_NAME": "Debian"} | DISPLAY, *programs) == [*windows, ["/usr/bin/xdg-open", "URL"]]


def test_macos_uses_open() -> None:
    assert _commands({}, "/usr/bin/open", platform="darwin") == [["/usr/bin/open", "URL"]]


def test_windows_asks_the_url_handler_by_its_whole_path() -> None:
    handler = r"D:\Win\System32\rundll32.exe"
    assert _commands({"SystemRoot": r"D:\Win"}, handler, platform="win32") == [
        [handler, "url.dll,FileProtocolHandler", "URL"]
    ]


def test_browser_on_windows_keeps_its_backslashes_and_takes_semicolons() -> None:
    firefox, edge = r"C:\Program Files\Mozilla Firefox\firefox.exe", r"C:\Edge\msedge.exe"
    environ = {"BROWSER": rf'"{firefox}" -new-tab %s;{edge};{firefox}'}
    assert _commands(environ, firefox, edge, platform="win32") == [
        [firefox, "-new-tab", "URL"],
        [edge, "URL"],
        [firefox, "URL"],
    ]


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "reason"),
    [
        ({}, "linux", ["/bin/xdg-open"], "no display: neither DISPLAY nor WAYLAND_DISPLAY is set"),
        (DISPLAY, "linux", [], "no graphical browser was found on PATH"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, "linux", [], "no graphical browser was found on PATH"),
        ({}, "darwin", [], "no graphical browser was found on PATH"),
        (
            {"BROWSER": "absent:lynx"} | DISPLAY,
            "linux",
            ["/bin/lynx", "/bin/firefox"],
            "BROWSER is set, but absent was not found; lynx is a text-mode browser",
        ),
        (DISPLAY, "linux", ["/bin/firefox"], None),
        ({"BROWSER": "absent:firefox"}, "linux", ["/bin/firefox"], None),
    ],
)
def test_why_no_browser_could_be_opened_is_said(
    environ: dict[str, str], platform: str, programs: list[str], reason: str | None
) -> None:
    assert why_no_browser(environ, platform, which=_which(*programs)) == reason


def test_what_browser_names_cannot_rewrite_the_terminal() -> None:
    reason = why_no_browser({"BROWSER": "\x1b[2Jabsent"}, "linux", which=_which())
    assert reason == "BROWSER is set, but [2Jabsent was not found"
