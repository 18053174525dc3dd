"""The benchmarks run, and the README has what they measure; how long anything takes is held against it by nobody."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from benchmarks.distance import distance
from benchmarks.rows import BARE_CLICK, LIMITS, NOTHING, SDK, Row
from benchmarks.table import HEAD, table, write, written
from command import Ended

ROOT = Path(__file__).parent.parent


async def benchmarks(*arguments: str) -> Ended:
    path = os.pathsep.join(filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def test_the_quick_mode_prints_the_table_of_the_parts_that_are_named() -> None:
    end = await benchmarks("--quick", "commands", "crowd")
    assert end.status == 0, end.err
    assert end.out.startswith(f"| {' | '.join(HEAD)} |\n")
    found = [line.split(" | ")[0].removeprefix("| ") for line in end.out.splitlines() if line.startswith("| ")]
    assert {
        "`oauth-helper --help`",
        "`oauth-helper --version`",
        "usage error",
        "redirect → verdict, 1000 connections open",
    } <= set(found)


async def test_a_part_that_there_is_not_is_refused() -> None:
    end = await benchmarks("no-such-part")
    assert end.status == 2
    assert "no-such-part" in end.err


@pytest.mark.parametrize(
    ("row", "is_met"),
    [
        (Row("`oauth-helper --help`", 125.0, "ms", BARE_CLICK, 100.0), True),
        (Row("`oauth-helper --help`", 126.0, "ms", BARE_CLICK, 100.0), False),
        (Row("`oauth-helper --help`", 1000.0, "ms", SDK, 1.0), True),
        (Row("own cost, p50", 2.0, "ms"), True),
        (Row("own cost, p50", 2.1, "ms"), False),
        (Row("CPU while waiting", 0.2, "%", SDK, 0.0), True),
        (Row("CPU while waiting", 0.3, "%", SDK, 9.0), False),
    ],
    ids=str,
)
def test_a_limit_is_held_against_the_ratio_or_our_own_figure(row: Row, is_met: bool) -> None:
    assert row.is_met is is_met
    assert ("not met" in row.cells[-1]) is not is_met


def test_every_limit_stands_in_the_readme() -> None:
    _, _, *lines = written(ROOT / "README.md").splitlines()
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    told = {(what, _name_in(beside)): limit.removesuffix(", **not met**") for what, _, beside, _, limit in rows}
    assert told == {key: str(limit) for key, limit in LIMITS.items()}


def _name_in(cell: str) -> str:
    return next((beside for _, beside in LIMITS if beside and cell.startswith(beside)), NOTHING)


def test_a_table_is_put_between_the_readmes_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    text = table([Row("own cost, p50", 1.5, "ms")])
    write(readme, text)
    assert written(readme) == text
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("after\n")


async def test_a_distance_carries_everything_in_order_and_both_ends() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    said = os.urandom(300_000)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, distance(server.sockets[0].getsockname()[1], 0.02) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for start in range(0, len(said), 1000):
            writer.write(said[start : start + 1000])
        writer.write_eof()
        assert await reader.read() == said
        writer.close()
