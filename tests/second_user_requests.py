"""What the second user of a machine sends to the first one's ports; see ``second_user.py``. Standard library alone."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

FOREIGN = "https://console.example/servicestage/oauth?repo_type=github&code=evil-code&state=%242a%2410%24" + "e" * 53
DENIAL = "error=access_denied&error_description=no"
NO_ANSWER = "(no answer)"
_MASK = b"mask"


def ask(port: int, request: str, patience: float) -> str:
    """Return the whole answer to ``request``: a line, which headers, and after an empty line a body, may follow."""
    head, _, body = request.partition("\n\n")
    line, *parts = head.splitlines()
    headers = dict(part.split(": ", 1) for part in parts)
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | headers
    if body:
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), patience) as connection:
        connection.sendall("\r\n".join(lines).encode())
        while not is_whole(answer) and (part := connection.recv(65536)):
            answer += part
    return answer.decode(errors="replace") or NO_ANSWER


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]))


def requests(port: int, key: str) -> Iterator[str]:
    """All that might be had with a KEY, or in its place."""
    form = FOREIGN.replace("%", "%25").replace("&", "%26").replace("?", "%3F")
    document = "Accept: application/json"
    yield f"GET /start?k={key}"
    yield f"GET /start?k={key}\nHost: localhost:{port}"
    for cookie in (key, "x", ""):
        yield f"GET /start?k={key}\nCookie: oauth-helper-{port}={cookie}; oauth-helper={key}"
    yield f"POST /redirect?k={key}\n\nredirect={form}"
    yield f"POST /redirect?k={key}\n{document}\n\nway=deliver&redirect={form}"
    yield f"POST /redirect?k={key}\nOrigin: null\nCookie: oauth-helper-{port}={key}\n\nredirect=%3F{DENIAL}"
    yield f"GET /outcome?k={key}"
    yield f"GET /outcome?k={key}\n{document}\nCookie: oauth-helper-{port}={key}"
    yield f"GET /done?k={key}"


def without_a_key(port: int) -> Iterator[str]:
    yield f"GET /servicestage/oauth?{FOREIGN.partition('?')[2]}"
    yield f"GET /servicestage/oauth?{DENIAL}"
    yield f"GET /servicestage/oauth?{DENIAL}&state=\nHost: localhost:{port}"
    yield from ("GET /start", "GET /outcome", "GET /done", "GET /", "GET /json", "GET /json/version", "GET /json/list")


def drive(port: int, patience: float) -> str:
    """Ask for a session of WebDriver BiDi, as who would take a browser over."""
    upgrade = f"Host: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    command = json.dumps({"id": 1, "method": "session.new", "params": {"capabilities": {}}}).encode()
    try:
        with socket.create_connection(("127.0.0.1", port), patience) as connection:
            connection.sendall(f"GET /session HTTP/1.1\r\n{upgrade}{key}".encode())
            answer = connection.recv(65536).decode(errors="replace")
            if " 101 " not in answer.partition("\r\n")[0]:
                return answer or NO_ANSWER
            # RFC 6455 section 5.2: a whole text, shorter than 126 bytes. A mask of zeros is refused by Firefox (tried).
            masked = bytes(byte ^ _MASK[number % len(_MASK)] for number, byte in enumerate(command))
            connection.sendall(bytes([0x81, 0x80 | len(command)]) + _MASK + masked)
            return answer + connection.recv(65536).decode(errors="replace")
    except OSError:
        return NO_ANSWER
