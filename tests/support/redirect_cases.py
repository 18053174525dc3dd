"""An authorization request to judge redirects by, and the recorded cases."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oauth_helper.redirect import AuthorizationRequest

STATE = "$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ012./a"
ENCODED_STATE = quote(STATE, safe="")
CONSOLE = "https://console.huaweicloud.com/servicestage/oauth?repo_type=github"
AUTHORIZATION_URL = (
    "https://github.com/login/oauth/authorize?client_id=0123456789abcdef0123"
    f"&redirect_uri={quote(CONSOLE, safe='')}&state={ENCODED_STATE}&scope=read%3Auser%20repo%20write%3Arepo_hook"
)
REQUEST = AuthorizationRequest.parse(AUTHORIZATION_URL, "github")


def redirect(**parameters: str) -> str:
    """An address as the Git host writes it: everything percent-encoded, in the order given."""
    return CONSOLE + "".join(f"&{name}={quote(value, safe='')}" for name, value in parameters.items())


def recorded_cases() -> list[dict[str, Any]]:
    text = (Path(__file__).parents[1] / "data" / "redirects.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(text)
    return cases
