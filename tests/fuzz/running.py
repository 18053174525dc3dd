"""Run targets one after another, each in a process of its own, and tell what came of them."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.target import Target

_TESTS: Final = Path(__file__).parents[1]
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units: ([0-9]+)$|^#([0-9]+)\t", re.MULTILINE)
_COVERED: Final = re.compile(r"^#[0-9]+\t.* cov: ([0-9]+) ft: ([0-9]+)", re.MULTILINE)
_MOST_MEMORY: Final = 2048
_GRACE: Final = 120.0
"""Seconds that a process may take beyond its time: to start, and for its last input."""
_LONGEST_RUN: Final = 3600.0
"""Seconds that a number of executions may take."""
_SHOWN: Final = 400


@dataclass(frozen=True)
class Result:
    """What came of one target."""

    name: str
    executed: int
    seconds: float
    covered: str
    status: int | None
    """Of the process; None where it had to be killed."""
    found: tuple[Path, ...]
    """Files with an input each: what crashed, hung, or took too much memory."""
    log: Path

    @property
    def is_good(self) -> bool:
        """Whether it ran to its end and every property held."""
        return self.status == 0 and not self.found


def main(arguments: Sequence[str]) -> int:
    """Run the targets that are named, or all; return 0 where nothing crashed or hung."""
    asked = _parser().parse_args(arguments)
    targets: Mapping[str, Target] = importlib.import_module(asked.module).TARGETS
    unknown = set(asked.targets) - set(targets)
    if unknown:
        _say(f"There is no target {', '.join(sorted(unknown))}. There are: {', '.join(targets)}.")
        return 2
    kept = asked.folder is not None
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="oauth-helper-fuzz-"))).absolute()
    results: list[Result] = []
    for name in asked.targets or targets:
        results.append(_run(folder / name, name, targets[name], asked))
        _tell(results[-1])
    failed = [result.name for result in results if not result.is_good]
    _say(
        f"total: {sum(result.executed for result in results)} executions of {len(results)} targets "
        f"in {sum(result.seconds for result in results):.0f} s; failed: {', '.join(failed) or 'none'}"
    )
    if failed:
        _say(f"What was found is kept in {folder}.")
    elif not kept:
        shutil.rmtree(folder)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them, where none is named")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=int, help="how long to fuzz each target")
    length.add_argument("--runs", type=int, help="how many inputs to give each target")
    parser.add_argument("--seed", type=int, default=0, help="the same seed and runs give the same inputs; 0 is any")
    parser.add_argument("--folder", type=Path, help="keeps inputs for the next time; a temporary one where not given")
    parser.add_argument("--slowest", type=int, default=20, help="seconds; an input that takes longer is a hang")
    parser.add_argument("--module", default="fuzz.targets", help="holds the targets as TARGETS")
    return parser


def _run(folder: Path, name: str, target: Target, asked: argparse.Namespace) -> Result:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
    length = f"-max_total_time={asked.seconds}" if asked.runs is None else f"-runs={asked.runs}"
    options = [
        *(length, f"-seed={asked.seed}", f"-max_len={target.longest}", f"-dict={words}"),
        *(f"-timeout={asked.slowest}", f"-rss_limit_mb={_MOST_MEMORY}", f"-artifact_prefix={folder}/"),
        *("-print_final_stats=1", "-verbosity=1", str(corpus)),
    ]
    began = time.monotonic()
    log = folder / "log"
    limit = _GRACE + (_LONGEST_RUN if asked.seconds is None else asked.seconds)
    status = _end_of([sys.executable, "-m", "fuzz.child", target.check.__module__, name, *options], log, limit)
    text = log.read_text(errors="replace")
    executed = [int(one or other) for one, other in _EXECUTED.findall(text)]
    covered = _COVERED.findall(text)
    return Result(
        name=name,
        executed=max(executed, default=0),
        seconds=time.monotonic() - began,
        covered="cov: {} ft: {}".format(*covered[-1]) if covered else "cov: none",
        status=status,
        found=tuple(path for kind in ("crash", "timeout", "oom") for path in sorted(folder.glob(f"{kind}-*"))),
        log=log,
    )


def _end_of(command: list[str], log: Path, limit: float) -> int | None:
    """Return the process's exit status; None where it had to be killed. Its files lie in memory where that is had."""
    memory = Path("/dev/shm")  # noqa: S108 - the place, not a file
    paths = (str(_TESTS), str(_TESTS.parent), os.environ.get("PYTHONPATH", ""))
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None) as scratch,
        log.open("wb") as output,
    ):
        surroundings = {
            # Coverage would count each branch a second time, and slowly.
            **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONHASHSEED": "0",
            "TMPDIR": scratch,
        }
        with subprocess.Popen(command, stdout=output, stderr=output, env=surroundings) as process:
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                process.kill()
                return None
            except BaseException:
                process.kill()
                raise


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"\\x{byte:02x}" for byte in word)


def _tell(result: Result) -> None:
    rate = result.executed / max(result.seconds, 0.001)
    state = "no crash" if result.is_good else "FAILED"
    _say(f"{result.name:<20}{result.executed:>10} executions {rate:>8.0f}/s  {result.covered:<22} {state}")
    if result.is_good:
        return
    _say(f"  exit status {result.status}; the log is {result.log}, and ends:")
    for line in result.log.read_text(errors="replace").splitlines()[-40:]:
        _say(f"    {line[:_SHOWN]}")
    for path in result.found:
        _say(f"  {path}: {path.read_bytes()[:_SHOWN]!a}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output
