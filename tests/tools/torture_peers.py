"""Log in with another tool, for `make torture` and `make bench`: ``python torture_peers.py TOOL PROVIDER``.

It tells by JSON lines which address the tool opens in a browser, and how the login ends.
"""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from urllib.request import urlopen


def tell(**told: object) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class ToldBrowser(webbrowser.BaseBrowser):
    """Tells the address that it is to open."""

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        """Tell it."""
        tell(opened=url)
        return True


def google_auth_oauthlib(provider: str) -> None:
    """InstalledAppFlow.run_local_server, as its manual shows it."""
    from google_auth_oauthlib.flow import InstalledAppFlow  # noqa: PLC0415 - each tool has an environment of its own

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the provider is on loopback
    addresses = {"auth_uri": f"{provider}/authorize", "token_uri": f"{provider}/token"}
    config = {"installed": {"client_id": "client", "client_secret": "secret"} | addresses}
    flow = InstalledAppFlow.from_client_config(config, scopes=["profile"])
    flow.run_local_server(port=0, authorization_prompt_message="")


def msal(provider: str) -> None:
    """The client behind acquire_token_interactive, which itself takes only https authorities."""
    from msal.oauth2cli import Client, authcode  # noqa: PLC0415 - as above

    authcode._is_inside_docker = lambda: False  # else it listens on 0.0.0.0
    addresses = {"authorization_endpoint": f"{provider}/authorize", "token_endpoint": f"{provider}/token"}
    result = Client(addresses, "client").obtain_token_by_browser(redirect_uri="http://localhost:0", scope=["any"])
    if "access_token" not in result:
        raise RuntimeError(str(result))


def sigstore(provider: str) -> None:
    """Issuer.identity_token, as `sigstore sign` calls it."""
    from sigstore.oidc import Issuer  # noqa: PLC0415 - as above

    Issuer(provider).identity_token()


class _Gullible(BaseHTTPRequestHandler):
    code = ""

    def do_GET(self) -> None:
        """Repeat whatever was sent wherever that is possible; look at nothing but the state."""
        path = unquote(self.path)
        sys.stdout.write(f"{path}\n")
        self.wfile.write(f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nX-Said: {path}\r\n\r\n{path}".encode())
        query = parse_qs(urlsplit(self.path).query)
        if query.get("state") == ["the-state"]:
            _Gullible.code = query["code"][0]

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is named there
        """Say nothing."""


def gullible(provider: str) -> None:
    """A tool with most faults at once; it shows that the torture finds them."""
    with HTTPServer(("127.0.0.1", 0), _Gullible) as server:
        query = {"redirect_uri": f"http://127.0.0.1:{server.server_port}/callback", "state": "the-state"}
        tell(opened=f"{provider}/authorize?{urlencode(query)}")
        while not _Gullible.code:
            server.handle_request()
    urlopen(f"{provider}/token", urlencode({"code": _Gullible.code}).encode()).close()  # noqa: S310 - of the tests


TOOLS: dict[str, Callable[[str], None]] = {
    "google-auth-oauthlib": google_auth_oauthlib,
    "msal": msal,
    "sigstore": sigstore,
    "gullible": gullible,
}

if __name__ == "__main__":
    webbrowser.register("told", None, ToldBrowser(), preferred=True)
    try:
        TOOLS[sys.argv[1]](sys.argv[2])
    except Exception as error:  # noqa: BLE001 - however a tool fails, that is the result
        tell(ended=repr(error))
    else:
        tell(ended="")
