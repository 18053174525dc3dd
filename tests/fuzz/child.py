"""One target in a process of its own: libFuzzer ends the process when it is done, or when a property does not hold."""

from __future__ import annotations

import importlib
import random
import sys
import warnings

import atheris

from fuzz.mutation import mutated
from fuzz.target import Target

READERS = ["oauth_helper", "configparser", "tomllib", "yarl"]
"""Packages whose branches guide the fuzzer: ours, and those written in Python that read for us."""


def fuzz(module: str, name: str, options: list[str]) -> None:
    """Fuzz one target of a module by libFuzzer's rules, which are its ``options``."""
    with atheris.instrument_imports(include=READERS):
        target: Target = importlib.import_module(module).TARGETS[name]
    warnings.simplefilter("error")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        changed = atheris.Mutate(data, most) if chance.random() < 0.4 else mutated(data, target.words, chance)
        return bytes(changed[:most])

    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2], sys.argv[3:])
