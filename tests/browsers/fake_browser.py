"""A browser that is of no use, in the way its first argument names. It opens the address at the end of its command."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from aiohttp import ClientSession, web

POLICY = "DevTools remote debugging is disallowed by the system admin."
BIDI = "WebDriver BiDi listening on ws://127.0.0.1:"
SECRETS = f"http://127.0.0.1:1/start?k=KEYKEYKEY#x '{'K' * 43}' $2a$10$saltsaltsalt /usr/lib/x"
TALK = f"""[71:71:1130/201500.123456:ERROR:ui/x11.cc:256] Missing X server
[71:71:1130/201500.123999:ERROR:content/main.cc(9)] Giving up on \x1b[31m{SECRETS}"""
PAGE = {"targetId": "1", "type": "page"}
OPENED = {"method": "Target.targetCreated", "params": {"targetInfo": PAGE}}
CLOSED = {"method": "Target.targetDestroyed", "params": PAGE}


def address() -> str:
    """Return where the file goes on to that the command ends with."""
    found = re.search(r'content="\d+;url=(.*?)"', Path(urlsplit(sys.argv[-1]).path).read_text(encoding="utf-8"))
    return found[1] if found else ""


async def browse() -> str:
    """Open the address, and return where its page goes on to."""
    async with ClientSession() as session, session.get(address()) as response:
        found = re.search(r"location\.replace\('(.*?)'\)", await response.text())
    return found[1] if found else ""


async def reach(milestone: str) -> None:
    """Tell the test of it."""
    async with ClientSession() as session, session.get(urljoin(address(), f"/reach/{milestone}")):
        pass


async def show_tab() -> None:
    """Follow every page to the next, as a tab does."""
    async with ClientSession() as session, session.get(await browse()):
        await asyncio.Event().wait()


def speak_over_pipe(answer: Callable[[Any], Iterable[dict[str, Any]]]) -> None:
    """Answer each command with messages."""
    heard = b""
    while byte := os.read(3, 1):
        heard += byte
        if byte == b"\0":
            for message in answer(json.loads(heard[:-1])):
                os.write(4, json.dumps(message).encode() + b"\0")
            heard = b""


def speak_to_the_end(answer: Callable[[Any], Iterable[dict[str, Any]]]) -> None:
    """Answer each command, and show no tab afterwards either."""
    speak_over_pipe(answer)
    signal.pause()


def agree(command: Any) -> list[dict[str, Any]]:
    """Do as asked; of a tab nothing is known yet, so it has to find its way by itself."""
    return [{"id": command["id"], "result": {"targetInfos": []} if command["method"] == "Target.getTargets" else {}}]


def refuse(command: Any) -> list[dict[str, Any]]:
    return [{"id": command["id"], "error": {"code": -32601, "message": f"no {command['method']}"}}]


def lose_the_user(command: Any) -> list[dict[str, Any]]:
    told = [OPENED, CLOSED] if command["method"] == "Target.setDiscoverTargets" else []
    return [*agree(command), *told]


def held(number: str) -> dict[str, Any]:
    """Follow the page that waits, whose next request is held."""
    return {"method": "Fetch.requestPaused", "params": {"requestId": number, "request": {"url": asyncio.run(browse())}}}


def hold(command: Any) -> Iterator[dict[str, Any]]:
    yield from agree(command)
    if command["method"] == "Target.getTargets":
        yield held("1")


class Reloading:
    """Its user reloads the tab just when the request of the self-test is held, so that there are two."""

    def __init__(self) -> None:
        self._answered: list[str] = []

    def answer(self, command: Any) -> Iterator[dict[str, Any]]:
        yield from agree(command)
        if command["method"] == "Target.getTargets":
            first = held("1")
            yield first
            yield {**first, "params": {**first["params"], "requestId": "2"}}
        elif command["method"] == "Fetch.fulfillRequest":
            self._answered.append(command["params"]["requestId"])
            if self._answered == ["1", "2"]:
                asyncio.run(reach("both-answered"))


def speak_strangely(command: Any) -> Iterator[dict[str, Any]]:
    """Hold the request of the self-test, then tell what no browser has told so far."""
    yield from hold(command)
    if command["method"] == "Fetch.fulfillRequest":
        yield {"method": "Target.targetDestroyed", "params": {"target": PAGE}}
        asyncio.run(reach("spoke-strangely"))


def answer_strangely(method: str) -> Callable[[Any], Iterator[dict[str, Any]]]:
    """Answer one command in a form that is not known, and tell an event without its parameters."""

    def answer(command: Any) -> Iterator[dict[str, Any]]:
        if command["method"] == method:
            yield {"id": command["id"], "result": {"pages": []}}
        else:
            yield from agree(command)
        if method == "Target.setDiscoverTargets" == command["method"]:
            yield {"method": "Target.targetCreated", "params": {"target": PAGE}}

    return answer


def babble(command: Any) -> list[dict[str, Any]]:
    os.write(4, b"\xff{]\0" * 3)
    return agree(command)


def stop_listening(command: Any) -> Iterator[dict[str, Any]]:
    yield from agree(command)
    if command["method"] == "Target.getTargets":
        event = held("1")
        with socket.socket(fileno=os.dup(3)) as pipe:
            pipe.shutdown(socket.SHUT_RD)
        yield event


def live_on_in_a_child() -> None:
    """Speak from a child that outlives the process which was started, as a wrapper's browser may."""
    if os.fork():
        signal.pause()
    speak_to_the_end(hold)


async def speak_bidi(refused: str, error: str, *, contexts: Any = (), without: str = "") -> None:
    """Hold the request of the self-test, but refuse one command, or leave a key out of what is told of requests."""

    async def speak(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            command = message.json()
            if command["method"] == refused:
                await socket.send_json({"id": command["id"], "type": "error", "error": error})
                continue
            await socket.send_json(
                {"id": command["id"], "type": "success", "result": {"contexts": contexts or [{"context": "1"}]}}
            )
            if command["method"] == "browsingContext.navigate":
                await socket.send_bytes(b"not a message")
                held = {"isBlocked": True, "request": {"request": "1", "url": command["params"]["url"]}}
                held.pop(without, None)
                await socket.send_json({"method": "network.beforeRequestSent", "params": held})
        return socket

    app = web.Application()
    app.router.add_get("/session", speak)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"{BIDI}{runner.addresses[0][1]}", file=sys.stderr, flush=True)  # noqa: T201 as Firefox does
    await asyncio.Event().wait()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 as browsers do


def ignore_requests_to_end() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def hang_up() -> None:
    os.close(3)
    os.close(4)


FAULTS: dict[str, Callable[[], object]] = {
    "ends": lambda: sys.exit(21),
    "is-closed": lambda: sys.exit(0),
    "silent": lambda: None,
    "stubborn": ignore_requests_to_end,
    "forbidden": lambda: say("x" * 100_000 + POLICY),
    "deaf": lambda: say(f"{BIDI}1"),
    "hangs-up": hang_up,
    "refuses": lambda: speak_over_pipe(refuse),
    "does-not-hold": lambda: speak_over_pipe(agree),
    "reloads": lambda: speak_to_the_end(Reloading().answer),
    "stops-listening": lambda: speak_to_the_end(stop_listening),
    "outlives-itself": live_on_in_a_child,
    "loses-the-user": lambda: speak_over_pipe(lose_the_user),
    "speaks-strangely": lambda: speak_to_the_end(speak_strangely),
    "odd-answer": lambda: speak_over_pipe(answer_strangely("Target.getTargets")),
    "odd-event": lambda: speak_over_pipe(answer_strangely("Target.setDiscoverTargets")),
    "odd-bidi-answer": lambda: asyncio.run(speak_bidi("", "", contexts=[{"frame": "1"}])),
    "odd-bidi-event": lambda: asyncio.run(speak_bidi("", "", without="request")),
    "no-json": lambda: speak_over_pipe(babble),
    "talks": lambda: sys.exit(TALK),
    "too-old": lambda: asyncio.run(speak_bidi("network.provideResponse", "unsupported operation")),
    "taken": lambda: asyncio.run(speak_bidi("session.new", "session not created")),
}

FAULTS[sys.argv[1]]()
asyncio.run(show_tab())
