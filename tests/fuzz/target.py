"""What a fuzzing target is, and the folder in which one may write files."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECRET_HERE: Final = b"\x7f"
"""In an input: what stands for the planted secret, so that a change beside it never spoils the secret itself."""
PLANTED: Final = "planted-S3cret+/=canary"


@dataclass(frozen=True)
class Target:
    """One reader under test."""

    check: Callable[[bytes], None]
    """Hands any bytes to the reader; raises where a property does not hold."""
    seeds: tuple[bytes, ...]
    """Inputs that get far into the reader; the fuzzer starts from them."""
    words: tuple[bytes, ...] = ()
    """What the reader looks for."""
    longest: int = 4096
    """Bytes of an input."""


def planted(data: bytes) -> bytes:
    """The input with the planted secret in it."""
    return data.replace(SECRET_HERE, PLANTED.encode())


def any_text(data: bytes) -> str:
    """Text as a terminal or the environment gives it: what is not UTF-8 becomes lone surrogates (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


@functools.cache
def scratch(name: str) -> Path:
    """A folder of this process for real files; the runner, or the interpreter's exit, removes it."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def assert_one_line(text: str | None, most: int) -> None:
    """What people are shown has no control characters and a bounded length."""
    assert text is None or (text.isprintable() and len(text) <= most), ascii(text)
