"""What a browser, or a tool that is asked about browsers, inherits of our environment: all but its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from oauth_helper.credential_chain import SECRET_VARIABLES

_PROXIES: Final = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy"})
_USER_AND_PASSWORD: Final = re.compile(r"^([a-z0-9+.-]+://)?[^/]*@", re.IGNORECASE)


_OF_TEST_MACHINES: Final = re.compile(
    # No window comes up.
    "MOZ_HEADLESS.*|(CHROME|CHROMIUM|GOOGLE_CHROME)_HEADLESS"
    # Firefox behaves as in a test, is driven by another program, or refuses the network or a second start.
    "|MOZ_(IN_)?AUTOMATION|MOZ_DISABLE_NONLOCAL_CONNECTIONS|MOZ_MARIONETTE|MOZ_REMOTE_.*|MOZ_NO_REMOTE|MOZ_NEW_INSTANCE"
    # It uses another profile than the one that it is started with.
    "|XRE_PROFILE(_LOCAL)?_PATH"
)
"""Variables of test images and CI containers, by which a browser does not do what a user in front of it needs."""
_INVISIBLE: Final[Mapping[str, str]] = {
    "GDK_BACKEND": "broadway",
    "OZONE_PLATFORM": "headless",
    "OZONE_PLATFORM_HINT": "headless",
    "QT_QPA_PLATFORM": "minimal|offscreen|vnc",
}
"""Variables with which no window comes up if they have such a value."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without our credentials, and with proxies without their users and passwords.

    Also without what makes a browser run as in a test, or where it cannot be seen.
    """
    return {
        name: _USER_AND_PASSWORD.sub(r"\1", value) if name.casefold() in _PROXIES else value
        for name, value in environ.items()
        if name not in SECRET_VARIABLES and not _OF_TEST_MACHINES.fullmatch(name) and not _is_invisible(name, value)
    }


def _is_invisible(name: str, value: str) -> bool:
    return name in _INVISIBLE and bool(re.match(_INVISIBLE[name], value))
