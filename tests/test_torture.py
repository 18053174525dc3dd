"""Every case of the torture suite ends with the genuine redirect taken; `make torture` runs them for peers as well."""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from thoroughness import IS_THOROUGH
from torture.attacks import ATTACKS, Attack
from torture.callback import Callback
from torture.cell import OK, suffer, torment
from torture.forgeries import ESCAPE, LINE_BREAK, LONG, SCRIPT
from torture.latency import measure
from torture.programs import program
from torture.table import differences, verdict_table, write
from torture.tools import OURS, Victim, next_story, our_command
from torture.wire import connect, read_answer

PATIENCE = 30.0
"""Seconds; how long ours takes is printed by `make torture`, and held against it there alone."""


BY_THE_COMMAND = [one for number, one in enumerate(ATTACKS) if IS_THOROUGH or one.is_loud or number % 8 == 0]
"""What meets a whole command by default; all that is quiet meets the listener in the test behind this one."""


@pytest.mark.parametrize("attack", BY_THE_COMMAND, ids=lambda attack: attack.name.replace(" ", "-"))
async def test_the_genuine_redirect_is_taken_in_the_face_of(attack: Attack) -> None:
    verdict = await suffer(attack, our_command, limit=PATIENCE)
    assert verdict.word == OK, verdict.why


async def test_every_case_can_be_suffered_by_one_listener_after_the_other_in_one_process() -> None:
    async with program("torture.victims.oauth_helper_waiting") as running:
        earlier = (await next_story(running)).callback
        await _settle(earlier)
        for attack in ATTACKS:
            if not attack.is_loud:
                verdict = await torment(attack, await next_story(running), earlier.query, limit=PATIENCE)
                assert verdict.word == OK, f"{attack.name}: {verdict}"


async def _settle(callback: Callback) -> None:
    reader, writer = await connect(callback.port)
    writer.write(callback.genuine)
    answer = await read_answer(reader)
    assert answer
    writer.write(callback.raw("GET", answer.header("location") or ""))
    assert await read_answer(reader)
    writer.close()


@pytest.mark.parametrize(
    "text", [SCRIPT, LINE_BREAK, ESCAPE, LONG[:15_000]], ids=["script", "crlf", "escape-codes", "15-kb"]
)
async def test_a_denial_that_is_genuine_and_hostile_ends_the_wait_and_is_but_text(text: str) -> None:
    async with our_command() as victim:
        callback = victim.callback
        response = {"error": text, "error_description": text, "error_uri": text}
        said = callback.raw("GET", f"{callback.path}?{callback.query}&{urlencode(response, quote_via=quote)}")
        reader, writer = await connect(callback.port)
        writer.write(said)
        answer = await read_answer(reader)
        assert answer
        writer.write(callback.raw("GET", answer.header("location") or ""))
        page = await read_answer(reader)
        writer.close()
        assert page
        assert await victim.ended()
        printed = b"".join(victim.program.said)
    assert SCRIPT.encode() not in page.body
    assert "x-injected" not in (answer.head + page.head).lower()
    assert b"\x1b" not in printed
    assert len(page.body) < 20_000
    assert len(printed) < 20_000


@contextmanager
def few_files(most: int) -> Iterator[None]:
    """Let what is started meanwhile have no more files open than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("most", [128, 256, 300])
async def test_the_genuine_redirect_is_taken_where_few_files_may_be_open(most: int) -> None:
    [crowded] = [attack for attack in ATTACKS if attack.name == "500 silent connections"]
    async with AsyncExitStack() as stack:
        with few_files(most):
            victim = await stack.enter_async_context(our_command())
        verdict = await torment(crowded, victim, limit=PATIENCE)
        assert verdict.word == OK, verdict.why
        assert b"Too many open files" not in b"".join(victim.program.said)


@pytest.mark.parametrize("most", [64, 128, 256, 1024])
async def test_a_redirect_is_read_that_stands_in_the_middle_of_a_long_queue(most: int) -> None:
    async with AsyncExitStack() as stack:
        with few_files(most):
            victim = await stack.enter_async_context(our_command())
        process = victim.program.process
        process.send_signal(signal.SIGSTOP)
        try:
            await silent(stack, victim.callback, 100)
            reader, writer = await connect(victim.callback.port)
            stack.callback(writer.close)
            writer.write(victim.callback.genuine)
            await silent(stack, victim.callback, 400)
        finally:
            process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            assert await read_answer(reader)


async def silent(stack: AsyncExitStack, callback: Callback, connections: int) -> None:
    """Open connections one after the other, on which nothing is said."""
    for _ in range(connections):
        _, writer = await connect(callback.port)
        stack.callback(writer.close)


async def test_a_flood_is_measured_to_the_verdict() -> None:
    latency = await measure(1, is_flooded=True)
    assert len(latency.took) == 1
    assert latency.took[0] > 0
    assert min(latency.rates) > 0


@asynccontextmanager
async def gullible() -> AsyncIterator[Victim]:
    async with program("torture.victims.gullible") as running:
        yield await next_story(running)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("no attack", OK),
        ("HEAD", "taken"),
        ("wrong path", "taken"),
        ("foreign Host", "taken"),
        ("three genuine at once", "1 of 3 answered"),
        ("CRLF in every provider field", "header injected"),
        ("script in every provider field", "script in a page"),
        ("escape codes in every provider field", "escape codes printed"),
        ("one silent connection", "HANG"),
    ],
)
async def test_a_tool_that_has_a_fault_is_found_out(name: str, word: str) -> None:
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert (await suffer(attack, gullible, limit=2.0)).word == word


async def test_a_table_in_the_readme_that_is_not_what_was_measured_is_found_out(tmp_path: Path) -> None:
    verdicts = {}
    for attack in ATTACKS[:2]:
        verdicts[attack.name, OURS.package] = await suffer(attack, our_command, limit=PATIENCE)
    table = verdict_table([OURS], verdicts)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- torture -->\n<!-- /torture -->\nafter\n")
    assert differences(readme, table)
    write(readme, table)
    assert differences(readme, table) == []
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("after\n")
    readme.write_text(readme.read_text().replace("| ok |", "| HANG |"))
    assert len(differences(readme, table)) == 2
