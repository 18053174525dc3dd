"""What `make bench` compares us with, started as ``python benchmark_peers.py vendor ENDPOINT PROJECT_ID NAME``."""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import parse_qs, urlsplit


def vendor(endpoint: str, project_id: str, name: str) -> None:
    """Do the vendor's manual procedure with the vendor's SDK: ask for the URL, read the pasted address, POST."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - only its own environment has it
    from huaweicloudsdkservicestage.v2 import (  # noqa: PLC0415 - as above
        CreateOAuthRequest,
        OAuth,
        ServiceStageClient,
        ShowRedirectUrlRequest,
    )

    key = BasicCredentials(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"], project_id)
    client = ServiceStageClient.new_builder().with_credentials(key).with_endpoint(endpoint).build()
    shown = client.show_redirect_url(ShowRedirectUrlRequest(repo_type="github"))
    print(json.dumps({"authorization_url": shown.url}), flush=True)  # noqa: T201 - it tells what happens
    response = parse_qs(urlsplit(sys.stdin.readline().strip()).query)
    body = OAuth(name=name, code=response["code"][0], state=response["state"][0])
    created = client.create_o_auth(CreateOAuthRequest(repo_type="github", body=body))
    print(json.dumps({"linked": created.authorization.name}), flush=True)  # noqa: T201 - as above


def click() -> None:
    """Show the help of a click application that does nothing."""
    from click import Command, Group, Option  # noqa: PLC0415 - only this program needs it

    Group("click", {"nothing": Command("nothing", params=[Option(["--name"])])}, help="Do nothing.")(["--help"])


if __name__ == "__main__":
    vendor(*sys.argv[2:]) if sys.argv[1:2] == ["vendor"] else click()
