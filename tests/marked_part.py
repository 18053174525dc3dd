"""The part of a document that a program writes, between two marks: ``<!-- NAME -->`` and ``<!-- /NAME -->``."""

from __future__ import annotations

from pathlib import Path


def read_part(document: Path, name: str) -> str:
    """What stands between the marks."""
    return _parts(document, name)[1].strip()


def write_part(document: Path, name: str, text: str) -> None:
    """Put a text between the marks, in place of what stands there."""
    before, _, after = _parts(document, name)
    document.write_text(f"{before}{_begin(name)}\n\n{text}\n\n{_end(name)}{after}", encoding="utf-8")


def _parts(document: Path, name: str) -> tuple[str, str, str]:
    before, begun, rest = document.read_text(encoding="utf-8").partition(_begin(name))
    inside, ended, after = rest.partition(_end(name))
    if not begun or not ended:
        raise ValueError(f"{document} lacks the lines {_begin(name)} and {_end(name)}")
    return before, inside, after


def _begin(name: str) -> str:
    return f"<!-- {name} -->"


def _end(name: str) -> str:
    return f"<!-- /{name} -->"
