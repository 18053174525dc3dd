"""google-auth-oauthlib: InstalledAppFlow.run_local_server, as its manual shows it."""

from __future__ import annotations

import os

from google_auth_oauthlib.flow import InstalledAppFlow

from torture.victims.telling import run


def login(provider: str) -> None:
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # The provider is on loopback.
    config = {
        "client_id": "client",
        "client_secret": "secret",
        "auth_uri": f"{provider}/authorize",
        "token_uri": f"{provider}/token",
    }
    flow = InstalledAppFlow.from_client_config({"installed": config}, scopes=["profile"])
    flow.run_local_server(port=0, authorization_prompt_message="")


if __name__ == "__main__":
    run(login)
