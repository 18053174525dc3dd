"""MSAL: the client and receiver behind PublicClientApplication.acquire_token_interactive.

That method itself takes https authorities alone. MSAL listens on 0.0.0.0 where it takes the machine for a container;
here it is told that it is in none, since users are not, and we listen on loopback only.
"""

from __future__ import annotations

from msal.oauth2cli import Client, authcode

from torture.victims.telling import run


def login(provider: str) -> str | None:
    authcode._is_inside_docker = lambda: False
    configuration = {"authorization_endpoint": f"{provider}/authorize", "token_endpoint": f"{provider}/token"}
    result = Client(configuration, "client").obtain_token_by_browser(redirect_uri="http://localhost:0", scope=["any"])
    return None if "access_token" in result else str(result)


if __name__ == "__main__":
    run(login)
