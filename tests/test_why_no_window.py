"""Whether a window can open at all: it needs a display, and under WSL a Linux browser."""

from paper_machine import PATH, SYSTEM, desktop_entry, machine

from oauth_helper.browsers.discovery import find_browsers, why_no_window

WSL = {"WSL_DISTRO_NAME": "Ubuntu", "DISPLAY": ":0"}


def _reason(environ: dict[str, str], platform: str, *programs: str) -> str | None:
    here = machine(*programs)
    return why_no_window(PATH | environ, platform, which=here.which)


def test_a_window_needs_a_display_on_linux_and_nowhere_else() -> None:
    assert "no display" in str(_reason({}, "linux", "/usr/bin/chromium"))
    assert "no display" in str(_reason({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, "linux", "/usr/bin/chromium"))
    assert _reason({"DISPLAY": ":0"}, "linux") is None
    assert _reason({"WAYLAND_DISPLAY": "wayland-0"}, "linux") is None
    assert _reason({}, "darwin") is None
    assert _reason({}, "win32") is None


def test_wsl_needs_a_linux_browser() -> None:
    assert "WSL" in str(_reason(WSL, "linux", "/mnt/c/Chrome/chrome.exe"))
    assert "WSL" in str(_reason({"WSL_INTEROP": "/run/x", "DISPLAY": ":0"}, "linux"))
    assert _reason(WSL, "linux", "/usr/bin/firefox") is None


def test_a_windows_browser_is_never_found_from_wsl() -> None:
    here = machine(
        "/mnt/c/Chrome/chrome.exe",
        environ=PATH | WSL,
        entries=["chrome.desktop"],
        files={f"{SYSTEM}/chrome.desktop": desktop_entry("/mnt/c/Chrome/chrome.exe %u")},
    )
    assert find_browsers(here) == []
