"""Run the torture suite and print its tables; status 1 where oauth-helper does not hold what it promises.

``make torture`` runs all of it; ``PYTHONPATH=tests .venv-torture/bin/python -m torture --case favicon`` a part.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from torture.attacks import ATTACKS, Attack
from torture.cell import Verdict, suffer
from torture.latency import Latency, measure, memory_growth
from torture.table import differences, reasons, time_table, verdict_table, write
from torture.token_endpoint import TokenEndpoint, token_endpoint
from torture.tools import OURS, TOOLS, Tool

_IDLE_LIMIT, _FLOOD_LIMIT, _MEMORY_LIMIT = 5.0, 50.0, 10.0
"""Milliseconds to the verdict at the 99th percentile, twice, and megabytes."""
_AT_ONCE = 2


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    _forget_the_users_settings()
    attacks = [attack for attack in ATTACKS if options.case.casefold() in attack.name.casefold()]
    tools = TOOLS if options.only == "all" else [tool for tool in TOOLS if options.only in (tool.package, _name(tool))]
    verdicts = asyncio.run(_all_verdicts(attacks, tools))
    table = verdict_table(tools, verdicts)
    _say(table, time_table(tools, verdicts), reasons(verdicts))
    broken = [f"{case}: {verdict.word}" for (case, tool), verdict in verdicts.items() if _is_ours(tool, verdict)]
    if not options.case and OURS in tools:
        broken += asyncio.run(_broken_limits(options.runs))
    if options.write_readme:
        write(options.readme, table)
    elif options.readme:
        broken += [f"{options.readme}: {difference}" for difference in differences(options.readme, table)]
    _say("\n".join(f"BROKEN: {one}" for one in broken) or "Everything holds.")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="all", choices=["all", "ours", *(tool.package for tool in TOOLS)])
    parser.add_argument("--case", default="", help="the cases whose name holds this; nothing is measured then")
    parser.add_argument("--runs", type=int, default=100, help="for each latency")
    parser.add_argument("--readme", type=Path, help="compare the table in this file with the verdicts")
    parser.add_argument("--write-readme", action="store_true", help="write it there instead")
    options = parser.parse_args()
    if options.write_readme and not options.readme:
        parser.error("--write-readme needs --readme")
    if options.readme and (options.case or options.only != "all"):
        parser.error("the table in the README is whole: neither --case nor --only")
    return options


def _name(tool: Tool) -> str:
    return "ours" if tool is OURS else tool.package


def _is_ours(package: str, verdict: Verdict) -> bool:
    return package == OURS.package and not verdict.is_fine


def _forget_the_users_settings() -> None:
    for name in os.environ:
        if name.upper().endswith("_PROXY") or name.startswith(("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_")):
            del os.environ[name]


async def _all_verdicts(attacks: Sequence[Attack], tools: Sequence[Tool]) -> dict[tuple[str, str], Verdict]:
    """Two at a time, and after those one at a time what needs the machine for itself."""
    verdicts: dict[tuple[str, str], Verdict] = {}
    async with token_endpoint() as endpoint:
        for at_once, loud in ((_AT_ONCE, False), (1, True)):
            places = asyncio.Semaphore(at_once)
            cells = [(attack, tool) for attack in attacks if attack.is_loud == loud for tool in tools]
            found = await asyncio.gather(*(_verdict(attack, tool, endpoint, places) for attack, tool in cells))
            verdicts |= {(attack.name, tool.package): one for (attack, tool), one in zip(cells, found, strict=True)}
    return {(attack.name, tool.package): verdicts[attack.name, tool.package] for attack in attacks for tool in tools}


async def _verdict(attack: Attack, tool: Tool, endpoint: TokenEndpoint, places: asyncio.Semaphore) -> Verdict:
    async with places:
        verdict = await suffer(attack, lambda: tool.waiting(endpoint))
    sys.stderr.write(f"{tool.package}, {attack.name}: {verdict.word}\n")
    return verdict


async def _broken_limits(runs: int) -> list[str]:
    """Measure; return what is over its limit."""
    idle = await measure(runs, is_flooded=False)
    flooded = await measure(runs, is_flooded=True)
    growth = await memory_growth()
    rate = sum(flooded.rates) / len(flooded.rates)
    _say(
        f"From the genuine redirect's sending to the judge's verdict, {runs} runs each:",
        _line("idle", idle) + "\n" + _line("flood", flooded),
        f"flood: 50 connections of forged redirects, {rate:,.0f} answered a second, beside 500 silent connections.",
        f"memory: {growth:.1f} MB more at the peak of every case and a flood, suffered by one process in turn.",
    )
    limits = [
        (idle.percentile(99), _IDLE_LIMIT, "ms idle, p99"),
        (flooded.percentile(99), _FLOOD_LIMIT, "ms under a flood, p99"),
        (growth, _MEMORY_LIMIT, "MB"),
    ]
    return [f"{found:.1f} {what}, not below {limit:.0f}" for found, limit, what in limits if found >= limit]


def _line(name: str, latency: Latency) -> str:
    p50, p99, most = (latency.percentile(percent) for percent in (50, 99, 100))
    return f"{name:<6} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   max {most:6.2f} ms"


def _say(*paragraphs: str) -> None:
    sys.stdout.write("".join(f"{paragraph}\n\n" for paragraph in paragraphs if paragraph))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
