"""Attack ``oauth-helper link`` while it waits, then bring the genuine redirect; fail if one attack succeeds.

``make torture`` attacks ours, ``make torture PEERS=1`` three other tools as well, and prints the table for
docs/security-results.md. ``PYTHONPATH=tests .venv/bin/python -m tools.torture favicon`` runs the attacks of that name.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from security.attacks import ATTACKS, SCRIPT, STOLEN, Answer, Attack, Attacker, Callback, connect, read_answer
from support.command_runner import commands
from support.json_process import JsonProcess, json_process
from support.link_script import consent

from oauth_helper.sandbox import Sandbox

LIMIT = 5.0
"""Seconds from the genuine redirect to the end of the login."""
OURS = "oauth-helper"
PEERS = {"google-auth-oauthlib": "GET", "msal": "POST", "sigstore": "GET"}
"""Other tools, and how their genuine redirect comes."""
OK, NOT_HOSTILE = "ok", "n/a"


@dataclass
class Victim:
    """A tool that waits for its redirect."""

    callback: Callback
    process: JsonProcess
    codes: list[str] = field(default_factory=list)
    """The codes that it has exchanged."""

    async def ended(self) -> str:
        """Wait for the end; return what went wrong, or nothing."""
        return str((await self.process.told("ended"))["ended"])


class OurLink(Victim):
    """``oauth-helper link``; the sandbox refuses every code but the one that it has given out."""

    async def ended(self) -> str:
        is_captured = False
        while (told := await self.process.told("event"))["event"] not in {"linked", "failed"}:
            is_captured |= told["event"] == "captured"
        if told["event"] == "linked":
            self.codes.append(self.callback.code)
            return ""
        self.codes += [STOLEN] * is_captured
        return str(told["error"]["message"])


Waiting = Callable[[], AbstractAsyncContextManager[Victim]]


@asynccontextmanager
async def our_link() -> AsyncIterator[Victim]:
    """Start a link in a sandbox, with the page as the only way."""
    with TemporaryDirectory() as home:
        folders = {"HOME": home, "XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home}
        async with Sandbox() as sandbox:
            environ = commands.environ(sandbox, **folders, CI="true", BROWSER="")
            link = ("link", "github", "--name", "my-auth", "--events", "--browser", "none")
            async with json_process(sys.executable, "-m", "oauth_helper", *link, environ=environ) as process:
                waiting = await process.told("authorization_url")
                query = urlsplit(await consent(waiting["authorization_url"])).query
                origin = waiting["listener"].partition("/start")[0]
                yield OurLink(Callback.at(f"{origin}/servicestage/oauth", query), process)


@dataclass
class Provider:
    """A provider for the other tools: its configuration, and a token endpoint that notes the codes of each client."""

    origin: str = ""
    codes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def configuration(self, request: web.Request) -> web.Response:
        """OpenID discovery, with a folder for each client."""
        folder = f"{self.origin}/{request.match_info['client']}"
        addresses = {"authorization_endpoint": f"{folder}/authorize", "token_endpoint": f"{folder}/token"}
        return web.json_response(addresses | {"issuer": folder})

    async def token(self, request: web.Request) -> web.Response:
        """Take any code; the identity token is one that sigstore can read."""
        self.codes[request.match_info["client"]] += map(str, (await request.post()).getall("code", []))
        now = int(time.time())
        payload = {"iss": "http://127.0.0.1", "sub": "ada", "aud": "sigstore", "iat": now, "exp": now + 600}
        parts = (json.dumps(part).encode() for part in ({"alg": "none"}, payload))
        identity = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (*parts, b"none")).decode()
        return web.json_response({"access_token": identity, "token_type": "Bearer", "expires_in": 600})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Serve on a free port of 127.0.0.1."""
    serving, application = Provider(), web.Application()
    application.router.add_get("/{client}/.well-known/openid-configuration", serving.configuration)
    application.router.add_post("/{client}/token", serving.token)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.origin = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield serving
    finally:
        await runner.cleanup()


def peer(name: str, serving: Provider, method: str = "GET") -> Waiting:
    """How to start another tool."""

    @asynccontextmanager
    async def waiting() -> AsyncIterator[Victim]:
        client = f"client-{time.monotonic_ns()}"
        script = str(Path(__file__).with_name("torture_peers.py"))
        async with json_process(sys.executable, script, name, f"{serving.origin}/{client}") as process:
            url = str((await process.told("opened"))["opened"])
            while not url.startswith(serving.origin):  # the tool's own page, which leads to the provider
                callback = Callback.at(url, "")
                reader, writer = await connect(callback.port, callback.raw("GET", callback.path))
                answer = await read_answer(reader)
                writer.close()
                url = answer.header("location") if answer else ""
            query = parse_qs(urlsplit(url).query)
            response = urlencode({"code": "genuine-code", "state": query["state"][0]})
            yield Victim(Callback.at(query["redirect_uri"][0], response, method), process, serving.codes[client])

    return waiting


async def verdict(attack: Attack, waiting: Waiting, *, limit: float = LIMIT) -> tuple[str, str]:
    """Start the tool and attack it; return the word for the table, and why."""
    earlier = ""
    if "earlier" in attack.name:
        async with waiting() as other:
            earlier = other.callback.query
    async with waiting() as victim:
        callback, attacker = victim.callback, Attacker(victim.callback, earlier)
        if attack.only_ip_literal and callback.authority.startswith("localhost"):
            return NOT_HOSTILE, ""
        try:
            if not attack.is_after:
                await attack.run(attacker)
            deadline = asyncio.get_running_loop().time() + limit
            brought = await asyncio.gather(*(bring(callback, deadline) for _ in range(attack.genuine)))
            if attack.is_after:
                await attack.run(attacker)
            try:
                async with asyncio.timeout_at(deadline):
                    problem = await victim.ended()
            except TimeoutError:
                problem = "HANG"
            except EOFError as error:
                problem = f"it ended without a word: {error}"
        finally:
            await attacker.leave()
        return judge(victim, problem, brought, attacker.answers)


async def bring(callback: Callback, deadline: float) -> Answer | None:
    """Bring the genuine redirect as a browser does, and follow the answer on the same host."""
    request = callback.genuine
    answer = None
    try:
        async with asyncio.timeout_at(deadline):
            for _ in range(2):
                reader, writer = await connect(callback.port, request)
                try:
                    answer = await read_answer(reader)
                finally:
                    writer.close()
                onward = urlsplit(answer.header("location") if answer else "")
                if not onward.path or onward.netloc not in {"", callback.authority}:
                    break
                request = callback.raw("GET", f"{onward.path}?{onward.query}")
    except (OSError, TimeoutError):
        answer = None
    return answer


def judge(victim: Victim, problem: str, brought: Sequence[Answer | None], answers: Sequence[Answer]) -> tuple[str, str]:
    """What the attack has achieved."""
    genuine = victim.callback.code
    if any(code != genuine for code in victim.codes):
        return "taken", f"it exchanged {victim.codes}"
    if problem == "HANG":
        return "HANG", "it did not end in time"
    if problem or victim.codes != [genuine]:
        return "FAIL", problem or f"it exchanged {victim.codes}"
    whole = [answer for answer in brought if answer and answer.status < 400]
    if len(whole) < len(brought):
        return (f"{len(whole)} of {len(brought)} answered" if len(brought) > 1 else "no page"), ""
    for answer in (*answers, *whole):
        if answer.header("x-injected"):
            return "header injected", ""
        if SCRIPT.encode() in answer.body and "html" in (answer.header("content-type") or "html"):
            return "script in a page", ""
    return ("escape codes printed" if b"\x1b" in b"".join(victim.process.output) else OK), ""


async def torture(words: Sequence[str], *, with_peers: bool) -> int:
    """Run the attacks, two at a time unless they are loud; print the table; return how many have succeeded on ours."""
    attacks = [one for one in ATTACKS if not words or any(word in one.name for word in words)]
    results: dict[tuple[str, str], tuple[str, str]] = {}
    async with provider() as serving:
        tools: dict[str, Waiting] = {OURS: our_link}
        if with_peers:
            tools |= {name: peer(name, serving, method) for name, method in PEERS.items()}

        async def cell(attack: Attack, name: str, places: asyncio.Semaphore) -> None:
            async with places:
                word, why = results[attack.name, name] = await verdict(attack, tools[name])
            sys.stderr.write(f"{name}, {attack.name}: {word} {' '.join(why.split())[:200]}\n")

        for at_once, is_loud in ((2, False), (1, True)):
            places = asyncio.Semaphore(at_once)
            cells = (cell(one, name, places) for one in attacks if one.is_loud == is_loud for name in tools)
            await asyncio.gather(*cells)
    rows = [["case", *(f"{name} {version(name)}" for name in tools)], ["---"] * (len(tools) + 1)]
    rows += [[one.name, *(results[one.name, name][0] for name in tools)] for one in attacks]
    verdicts = {name: [results[one.name, name][0] for one in attacks if one.name != "no attack"] for name in tools}
    scores = {name: [word for word in words if word != NOT_HOSTILE] for name, words in verdicts.items()}
    rows.append(["**score**", *(f"**{score.count(OK)} of {len(score)}**" for score in scores.values())])
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return sum(word not in {OK, NOT_HOSTILE} for (_, name), (word, _) in results.items() if name == OURS)


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("words", nargs="*", help="run the attacks whose name contains one of them; default: all")
    parser.add_argument("--peers", action="store_true", help="attack three other tools as well")
    asked = parser.parse_args()
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_")):
            del os.environ[name]
    return asyncio.run(torture(asked.words, with_peers=asked.peers))


if __name__ == "__main__":
    sys.exit(main())
