"""Fuzz for long: each test of Hypothesis that needs no fixture, guided by coverage, in a process of its own.

``make fuzz`` runs all of them; ``PYTHONPATH=tests .venv-fuzz/bin/python -m tools.fuzz pasted --seconds 60`` runs those
whose name contains a word. Hypothesis saves a failing input in ``.hypothesis``, so that the test itself fails as well.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def targets() -> Iterator[str]:
    """The name of each target, with its module."""
    for path in sorted(TESTS.rglob("test_*.py")):
        if "@given" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(TESTS).with_suffix("").parts)
            for function, test in vars(importlib.import_module(name)).items():
                if hasattr(test, "hypothesis") and not inspect.signature(test).parameters:
                    yield f"{name}:{function}"


def fuzz(target: str, options: list[str]) -> None:
    """Fuzz one target; libFuzzer, whose options these are, ends the process."""
    import atheris  # noqa: PLC0415 - only this process needs it

    module, _, name = target.partition(":")
    with atheris.instrument_imports(include=["oauth_helper", "configparser", "tomllib", "yarl"]):
        test = getattr(importlib.import_module(module), name)
    atheris.Setup([sys.argv[0], *options], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets that the command line names; return how many have failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("words", nargs="*", help="fuzz the targets whose name contains one of them; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="how long to fuzz each target")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="oauth-helper-fuzz-"))
    failed = []
    for target in targets():
        if not asked.words or any(word in target for word in asked.words):
            sys.stdout.write(f"{target}\n")
            sys.stdout.flush()
            corpus = folder / target.partition(":")[2]
            corpus.mkdir()
            options = [f"-max_total_time={asked.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-verbosity=0"]
            child = [sys.executable, __file__, "--child", target, *options, f"-artifact_prefix={folder}/", str(corpus)]
            if subprocess.run(child, check=False, timeout=asked.seconds + 120).returncode:
                failed.append(target)
    sys.stdout.write(f"The inputs are in {folder}. Failed: {', '.join(failed) or 'none'}.\n")
    return len(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main())
