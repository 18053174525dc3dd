"""Measure, and print the table; which limits are not met stands in it, and with ``--strict`` in the exit status.

``make bench`` measures everything; ``PYTHONPATH=tests .venv-bench/bin/python -m benchmarks start window`` a part.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import commands, crowd, exchange, growth, own_cost, start, waiting, weight, window
from benchmarks.environments import has_own_environment, version_of
from benchmarks.rows import Row
from benchmarks.table import table, write
from benchmarks.turns import Plan, progress

PARTS: dict[str, Callable[[Plan], Awaitable[list[Row]]]] = {
    "start": start.measure,
    "exchange": exchange.measure,
    "own-cost": own_cost.measure,
    "window": window.measure,
    "commands": commands.measure,
    "waiting": waiting.measure,
    "weight": weight.measure,
    "growth": growth.measure,
    "crowd": crowd.measure,
}
_PACKAGES = ("oauth-helper", "huaweicloudsdkservicestage", "google-auth-oauthlib", "msal")


def main() -> int:
    """Do what the command line asks for."""
    options = _options()
    began = time.perf_counter()
    load = f"load before {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    rows, broken = asyncio.run(_measured(options.parts or list(PARTS), Plan(options.runs, is_quick=options.quick)))
    sys.stdout.write(f"{table(rows)}\n")
    sys.stdout.write(f"\nMedians of {1 if options.quick else options.runs} runs or more, {_versions()}; {load}.\n")
    progress(f"{time.perf_counter() - began:.0f} seconds")
    if options.write_readme and not broken:
        write(options.write_readme, table([row for row in rows if row.limit]))
    missed = [row for row in rows if not row.is_met]
    for row in missed:
        sys.stdout.write(f"NOT MET: {', '.join(filter(None, row.cells)).replace('**', '')}\n")
    return 1 if broken or (missed and options.strict) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; without any: all")
    parser.add_argument("--runs", type=int, default=15, help="of each")
    parser.add_argument("--quick", action="store_true", help="one of each, in a few seconds, to see that it runs")
    parser.add_argument("--strict", action="store_true", help="status 1 where a limit is not met")
    parser.add_argument("--write-readme", type=Path, metavar="FILE", help="put the rows with a limit into that file")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.write_readme and (options.parts or options.quick):
        parser.error("the README's table is of a whole run")
    return options


async def _measured(parts: list[str], plan: Plan) -> tuple[list[Row], bool]:
    """The rows of all parts, and whether one of them could not be measured, which does not end the others."""
    rows: list[Row] = []
    is_broken = False
    for part in parts:
        try:
            found = await PARTS[part](plan)
        except Exception:  # noqa: BLE001 - whatever it is, what was measured before is worth having
            progress(f"{part} could not be measured:\n{traceback.format_exc()}")
            is_broken = True
        else:
            progress(table(found))
            rows += found
    return rows, is_broken


def _versions() -> str:
    packages = [f"{package} {version_of(package)}" for package in _PACKAGES if has_own_environment(package)]
    return ", ".join([*packages, f"Python {sys.version.split()[0]}"])


if __name__ == "__main__":
    sys.exit(main())
