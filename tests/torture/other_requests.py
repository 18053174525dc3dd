"""Requests that are not the navigation of a tab to the callback, most of them with the genuine state."""

from __future__ import annotations

import gzip
from functools import cache

from torture.attacker import Attacker

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
_FRAME = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
_PREFETCH = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Dest": "empty",
    "Sec-Purpose": "prefetch",
}


async def favicon(attacker: Attacker) -> None:
    await attacker.say(attacker.callback.raw("GET", "/favicon.ico", headers=_IMAGE))


async def head(attacker: Attacker) -> None:
    """RFC 9110 section 9.2.1: safe methods change nothing; link checkers send this one."""
    callback = attacker.callback
    await attacker.say(callback.raw("HEAD", f"{callback.path}?{callback.stolen}"), has_body=False)


async def options(attacker: Attacker) -> None:
    await _by_method(attacker, "OPTIONS")


async def post(attacker: Attacker) -> None:
    await _by_method(attacker, "POST" if attacker.callback.method == "GET" else "GET")


async def put(attacker: Attacker) -> None:
    await _by_method(attacker, "PUT")


async def _by_method(attacker: Attacker, method: str) -> None:
    callback = attacker.callback
    body = b"" if method == "GET" else callback.stolen.encode()
    headers = _FORM if body else {}
    await attacker.say(callback.raw(method, f"{callback.path}?{callback.stolen}", headers=headers, body=body))


async def foreign_host(attacker: Attacker) -> None:
    """A name that was rebound to 127.0.0.1 makes another site's script our neighbour."""
    await _with_host(attacker, f"evil.example:{attacker.callback.port}")


async def localhost_host(attacker: Attacker) -> None:
    """RFC 8252 section 8.3: the redirect URI of a tool that follows it says 127.0.0.1, so no redirect says this."""
    await _with_host(attacker, f"localhost:{attacker.callback.port}")


async def missing_host(attacker: Attacker) -> None:
    """RFC 9112 section 3.2: a server must answer 400."""
    await _with_host(attacker, None)


async def _with_host(attacker: Attacker, host: str | None) -> None:
    said = attacker.callback.request(attacker.callback.stolen)
    own = f"Host: {attacker.callback.authority}\r\n".encode()
    await attacker.say(said.replace(own, f"Host: {host}\r\n".encode() if host else b"", 1))


async def absolute_form(attacker: Attacker) -> None:
    """RFC 9112 section 3.2.2: it names the server that is meant, whatever Host says: another one."""
    callback = attacker.callback
    await attacker.say(callback.request(callback.stolen, path=f"http://evil.example{callback.path}"))


async def cross_site_origin(attacker: Attacker) -> None:
    callback = attacker.callback
    await attacker.say(callback.request(callback.stolen, headers={"Origin": "https://evil.example"}))


async def image(attacker: Attacker) -> None:
    """As `<img>` does it: with GET, whatever the callback takes."""
    callback = attacker.callback
    await attacker.say(callback.raw("GET", f"{callback.path}?{callback.stolen}", headers=_IMAGE))


async def frame(attacker: Attacker) -> None:
    await attacker.say(attacker.callback.request(attacker.callback.stolen, headers=_FRAME))


async def prefetch(attacker: Attacker) -> None:
    callback = attacker.callback
    await attacker.say(callback.raw("GET", f"{callback.path}?{callback.stolen}", headers=_PREFETCH))


async def wrong_path(attacker: Attacker) -> None:
    callback = attacker.callback
    await attacker.say(callback.request(callback.stolen, path=f"{callback.path.rstrip('/')}/wrong"))


async def long_query(attacker: Attacker) -> None:
    callback = attacker.callback
    await attacker.say(callback.raw("GET", f"{callback.path}?{callback.forged}&more={'a' * 100_000}"))


async def long_body(attacker: Attacker) -> None:
    callback = attacker.callback
    body = f"{callback.forged}&more=".encode() + b"a" * 1_000_000
    await attacker.say(callback.raw("POST", callback.path, headers=_FORM, body=body))


async def chunked(attacker: Attacker) -> None:
    """A whole body in chunks, then one whose last chunk never comes."""
    callback = attacker.callback
    forged = callback.forged.encode()
    chunk = b"%x\r\n%s\r\n" % (len(forged), forged)
    head = callback.raw("POST", callback.path, headers=_FORM | {"Transfer-Encoding": "chunked"})
    await attacker.say(head + chunk + b"0\r\n\r\n")
    await attacker.hold(head + chunk)


async def gzip_bomb(attacker: Attacker) -> None:
    callback = attacker.callback
    headers = _FORM | {"Content-Encoding": "gzip"}
    await attacker.say(callback.raw("POST", callback.path, headers=headers, body=_bomb()))


@cache
def _bomb() -> bytes:
    """100 MB of zeros."""
    return gzip.compress(bytes(100_000_000), compresslevel=9)
