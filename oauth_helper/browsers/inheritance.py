"""What a browser, or a tool that is asked about browsers, inherits of our environment: all but its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from oauth_helper.credential_chain import SECRET_VARIABLES

_PROXIES: Final = frozenset({"all_proxy", "ftp_proxy", "http_proxy", "https_proxy"})
_USER_AND_PASSWORD: Final = re.compile(r"^([a-z0-9+.-]+://)?[^/]*@", re.IGNORECASE)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without our credentials, and with proxies without their users and passwords."""
    return {
        name: _USER_AND_PASSWORD.sub(r"\1", value) if name.casefold() in _PROXIES else value
        for name, value in environ.items()
        if name not in SECRET_VARIABLES
    }
