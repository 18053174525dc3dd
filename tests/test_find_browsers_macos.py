"""Browsers on macOS: applications by their place, the default one by the https handler."""

import plistlib

import pytest
from paper_machine import brief, machine

from oauth_helper.browsers.discovery import Family, FoundBrowser, Machine, Packaging, choose, find_browsers

APPS = "/Applications"
HANDLERS = "/home/me/Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist"
CHROME_APP = f"{APPS}/Google Chrome.app/Contents/MacOS/Google Chrome"
FIREFOX_APP = f"{APPS}/Firefox.app/Contents/MacOS/firefox"
BRAVE_APP = "/home/me/Applications/Brave Browser.app/Contents/MacOS/Brave Browser"


def _handlers(*handlers: object) -> bytes:
    return plistlib.dumps({"LSHandlers": list(handlers)}, fmt=plistlib.FMT_BINARY)


def _mac(handlers: bytes = b"", *programs: str) -> Machine:
    programs = programs or (CHROME_APP, FIREFOX_APP, BRAVE_APP)
    return machine(*programs, platform="darwin", files={HANDLERS: handlers})


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ("com.google.Chrome", [f"{CHROME_APP} default", BRAVE_APP, FIREFOX_APP]),
        ("com.brave.browser", [f"{BRAVE_APP} default", CHROME_APP, FIREFOX_APP]),
        ("org.mozilla.firefox", [f"{FIREFOX_APP} default", CHROME_APP, BRAVE_APP]),
        ("com.vivaldi.vivaldi", [CHROME_APP, BRAVE_APP, FIREFOX_APP]),
        ("com.apple.safari", [CHROME_APP, BRAVE_APP, FIREFOX_APP]),
    ],
)
def test_macos_names_its_default_browser_by_the_https_handler(bundle: str, expected: list[str]) -> None:
    handlers = _handlers(
        {"LSHandlerContentType": "public.html", "LSHandlerRoleAll": "org.chromium.chromium"},
        {"LSHandlerURLScheme": "http", "LSHandlerRoleAll": "com.microsoft.edgemac"},
        {"LSHandlerURLScheme": "https", "LSHandlerRoleAll": bundle},
    )
    assert brief(find_browsers(_mac(handlers))) == expected


@pytest.mark.parametrize(
    "handlers",
    [
        b"",
        b"not a property list",
        b'<?xml version="1.0"?><plist><dict>',
        _handlers(),
        _handlers({"LSHandlerURLScheme": "https"}),
        _handlers("https"),
        plistlib.dumps([]),
        plistlib.dumps({"LSHandlers": 1}),
    ],
)
def test_a_handler_list_that_cannot_be_read_leaves_the_order_as_it_is(handlers: bytes) -> None:
    assert brief(find_browsers(_mac(handlers))) == [CHROME_APP, BRAVE_APP, FIREFOX_APP]


@pytest.mark.parametrize("wanted", [f"{APPS}/Google Chrome.app", f"{APPS}/Google Chrome.app/", CHROME_APP])
def test_on_macos_an_application_can_be_named_by_its_folder(wanted: str) -> None:
    (chosen,) = choose(wanted, _mac())
    assert chosen == FoundBrowser(Family.CHROMIUM, (CHROME_APP,), "Google Chrome", Packaging.PLAIN, is_default=False)
