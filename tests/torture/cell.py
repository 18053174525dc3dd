"""One case against one tool: the hostile traffic, the genuine redirect, and the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit

from torture.attacker import attacking
from torture.attacks import Attack, Moment
from torture.callback import Callback
from torture.forgeries import SCRIPT
from torture.tools import Victim
from torture.wire import Answer, connect_and_say, read_answer

LIMIT = 5.0
"""Seconds from the genuine redirect to the end of the login. No case lies near it: the slowest that come to an end
take 1 second or 6, those being sigstore's with one silent connection and with six."""

OK = "ok"
NOT_HOSTILE = "n/a"

Waiting = Callable[[], AbstractAsyncContextManager[Victim]]


@dataclass(frozen=True)
class Verdict:
    """One cell of the table."""

    word: str
    why: str = ""
    milliseconds: float | None = None
    """From the genuine redirect's sending to the end of its answer."""

    @property
    def applies(self) -> bool:
        """Whether the case is hostile to that tool at all."""
        return self.word != NOT_HOSTILE

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong with that."""
        return self.word == OK or not self.applies


@dataclass(frozen=True)
class _Brought:
    answer: Answer | None
    milliseconds: float


async def suffer(attack: Attack, waiting: Waiting, *, limit: float = LIMIT) -> Verdict:
    """Start the tool and attack it."""
    earlier = await _response_of_another_run(waiting) if attack.needs_earlier else ""
    async with waiting() as victim:
        return await torment(attack, victim, earlier, limit=limit)


async def torment(attack: Attack, victim: Victim, earlier: str = "", *, limit: float = LIMIT) -> Verdict:
    """Attack a tool that waits."""
    if not attack.applies(victim.callback):
        return Verdict(NOT_HOSTILE)
    async with attacking(victim.callback, earlier) as attacker:
        if attack.moment is not Moment.AFTER:
            await attack.run(attacker)
        times = 3 if attack.moment is Moment.THREE_GENUINE else 1
        deadline = asyncio.get_running_loop().time() + limit
        brought = await asyncio.gather(*(_bring(victim.callback, deadline) for _ in range(times)))
        if attack.moment is Moment.AFTER:
            await attack.run(attacker)
        problem = await _end(victim, deadline)
        answers = attacker.answers
    return _judge(victim, problem, brought, answers)


async def _end(victim: Victim, deadline: float) -> str | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await victim.ended()
    except TimeoutError:
        return None
    except EOFError as error:
        return f"ended without a word: {error}"


async def _response_of_another_run(waiting: Waiting) -> str:
    async with waiting() as victim:
        return victim.callback.query


async def _bring(callback: Callback, deadline: float) -> _Brought:
    """Bring the genuine redirect as a browser does, and go where the answer leads on the same host."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout_at(deadline):
            answer = await _ask(callback.port, callback.genuine)
            took = (time.perf_counter() - began) * 1000
            onward = urlsplit((answer and answer.header("location")) or "")
            if onward.path and onward.netloc in {"", callback.authority}:
                answer = await _ask(callback.port, callback.raw("GET", f"{onward.path}?{onward.query}"))
    except (OSError, TimeoutError):
        return _Brought(None, (time.perf_counter() - began) * 1000)
    return _Brought(answer, took)


async def _ask(port: int, said: bytes) -> Answer | None:
    reader, writer = await connect_and_say(port, said)
    try:
        return await read_answer(reader)
    finally:
        writer.close()


def _judge(victim: Victim, problem: str | None, brought: list[_Brought], answers: list[Answer]) -> Verdict:
    if any(code != victim.callback.code for code in victim.codes):
        return Verdict("taken", f"it exchanged {victim.codes}")
    if problem is None:
        return Verdict("HANG", "not over in time")
    if problem:
        return Verdict("FAIL", problem)
    if len(victim.codes) != 1:
        return Verdict("FAIL", f"it exchanged {victim.codes}")
    answered = sum(one.answer is not None and one.answer.status < 400 for one in brought)
    if answered < len(brought):
        return Verdict(f"{answered} of {len(brought)} answered" if len(brought) > 1 else "no page")
    leaked = _leaks([*answers, *(one.answer for one in brought if one.answer)], b"".join(victim.program.said))
    if leaked:
        return Verdict(leaked)
    return Verdict(OK, "", max(one.milliseconds for one in brought))


def _leaks(answers: list[Answer], said: bytes) -> str:
    """Whether hostile text got somewhere as more than text: into a header, a page or the terminal."""
    if any(answer.header("x-injected") for answer in answers):
        return "header injected"
    pages = [answer for answer in answers if "html" in (answer.header("content-type") or "html")]
    if any(SCRIPT.encode() in page.body for page in pages):
        return "script in a page"
    return "escape codes printed" if b"\x1b" in said else ""
