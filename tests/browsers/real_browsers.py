"""The installed browsers, as a window finds them, in which pages may open and close windows without a user's click."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from oauth_helper.browsers.discovery import Family, InstalledBrowser, Packaging

if TYPE_CHECKING:
    from pathlib import Path


def installed(which: str, folder: Path) -> InstalledBrowser:
    """``chromium`` over the pipe, ``chromium-over-port`` as if it came from a snap, or ``firefox``."""
    if which == "firefox":
        if not (shutil.which("firefox") or shutil.which("firefox-esr")):
            pytest.skip("Firefox is not installed")
        return InstalledBrowser(Family.FIREFOX, (_permissive_firefox(folder),), "Firefox", Packaging.PLAIN, True)
    return chromium() if which == "chromium" else replace(chromium(), packaging=Packaging.SNAP)


def chromium() -> InstalledBrowser:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("Chromium is not installed")
    return InstalledBrowser(Family.CHROMIUM, (program, "--disable-popup-blocking"), "Chromium", Packaging.PLAIN, True)


def _permissive_firefox(folder: Path) -> str:
    program = shutil.which("firefox") or shutil.which("firefox-esr") or "firefox"
    wrapper = folder / "firefox"
    wrapper.write_text(f"""#!/bin/sh
for word; do
    [ "$before" = --profile ] && cat >> "$word/user.js" <<-END
user_pref("dom.disable_open_during_load", false);
user_pref("dom.allow_scripts_to_close_windows", true);
END
    before=$word
done
exec {program} "$@"
""")
    wrapper.chmod(0o755)
    return str(wrapper)
