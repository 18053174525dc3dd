"""Attack ``oauth-helper link`` while it waits, then bring the genuine redirect; fail if one attack succeeds.

``make torture`` attacks ours, ``make torture PEERS=1`` three other tools as well, and prints the table for
docs/security-results.md. ``PYTHONPATH=tests .venv/bin/python -m tools.torture favicon`` runs the attacks of that name.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import urlsplit

from security.attacks import ATTACKS, SCRIPT, Answer, Attack, Attacker, Callback, connect, read_answer
from tools.torture_victims import OURS, PEERS, Victim, Waiting, our_link, peer, provider

LIMIT = 5.0
"""Seconds from the genuine redirect to the end of the login."""
OK, NOT_HOSTILE = "ok", "n/a"


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
