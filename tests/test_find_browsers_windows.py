"""Browsers on Windows: all of them by the registry, the default one by the user's choice there."""

import sys

import pytest
from paper_machine import brief, machine

from oauth_helper.browsers.discovery import Machine, Packaging, find_browsers, read_registry

CHOICE = r"HKEY_CURRENT_USER\Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice"
PATHS = r"Software\Microsoft\Windows\CurrentVersion\App Paths"
EDGE = r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe"
CHROME = r"C:\Program Files\Google\Chrome\Application\chrome.exe"
FIREFOX = r"C:\Users\me\Mozilla Firefox\firefox.exe"


def _windows(program_id: str = "", command: str = "", **paths: str) -> Machine:
    registry = {
        (CHOICE, "ProgId"): program_id,
        (rf"HKEY_CLASSES_ROOT\{program_id}\shell\open\command", ""): command,
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\msedge.exe", ""): EDGE,
        (rf"HKEY_LOCAL_MACHINE\{PATHS}\chrome.exe", ""): f'"{CHROME}"',
        (rf"HKEY_CURRENT_USER\{PATHS}\firefox.exe", ""): FIREFOX,
        (rf"HKEY_CURRENT_USER\{PATHS}\brave.exe", ""): r"C:\removed\brave.exe",
    }
    return machine(EDGE, CHROME, FIREFOX, r"C:\My Opera\OPERA.EXE", platform="win32", environ={}, registry=registry)


@pytest.mark.parametrize(
    ("program_id", "command", "expected"),
    [
        ("ChromeHTML", f'"{CHROME}" --single-argument %1', [f"{CHROME} default", EDGE, FIREFOX]),
        ("MSEdgeHTM", f"{EDGE} --single-argument %1", [f"{EDGE} default", CHROME, FIREFOX]),
        ("FirefoxURL-308046B0AF4A39CB", f'"{FIREFOX}" -osint -url "%1"', [f"{FIREFOX} default", CHROME, EDGE]),
        ("OperaStable", r"C:\My Opera\OPERA.EXE %1", [r"C:\My Opera\OPERA.EXE default", CHROME, EDGE, FIREFOX]),
        ("BraveHTML", r'"C:\removed\brave.exe" -- "%1"', [CHROME, EDGE, FIREFOX]),
        ("AppXq0fevzme2pys62n3e0fbqa7peapykr8v", "", [CHROME, EDGE, FIREFOX]),
        ("", "", [CHROME, EDGE, FIREFOX]),
    ],
)
def test_windows_names_its_browsers_in_the_registry(program_id: str, command: str, expected: list[str]) -> None:
    assert brief(find_browsers(_windows(program_id, command))) == expected


def test_windows_browsers_have_their_names_and_no_packaging() -> None:
    names = [(browser.name, browser.packaging) for browser in find_browsers(_windows())]
    assert names == [(name, Packaging.PLAIN) for name in ("Google Chrome", "Microsoft Edge", "Firefox")]


@pytest.mark.skipif(sys.platform == "win32", reason="there it has one")
def test_without_windows_there_is_no_registry() -> None:
    assert read_registry(CHOICE, "ProgId") == ""
