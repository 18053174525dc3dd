"""A tool with most faults at once, to know that the suite sees them: it repeats what it is sent wherever it can."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from torture.victims.telling import tell

_STATE = "the-state"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = unquote(self.path)
        sys.stdout.write(f"{said}\n")
        page = f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nX-Said: {said}\r\n\r\n{said}"
        self.wfile.write(page.encode())
        query = parse_qs(urlsplit(self.path).query)
        if query.get("state") == [_STATE] and isinstance(self.server, _Server):
            self.server.code = query["code"][0]

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is named there
        """Say nothing."""


class _Server(HTTPServer):
    code = ""


def main() -> None:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        redirect_uri = f"http://127.0.0.1:{server.server_port}/callback"
        tell(opened="http://127.0.0.1/authorize?" + urlencode({"redirect_uri": redirect_uri, "state": _STATE}))
        while not server.code:
            server.handle_request()
    tell(code=server.code)
    tell(ended="")


if __name__ == "__main__":
    main()
