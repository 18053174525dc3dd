"""Draw the house in the READMEs; the one in another language keeps the words that it has."""

from __future__ import annotations

from pathlib import Path

from marked_part import read_part, write_part

from house.drawing import NAME, drawing, words_of

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Write both."""
    write_part(ROOT / "README.md", NAME, drawing())
    translated = ROOT / "README.zh-CN.md"
    write_part(translated, NAME, drawing(words_of(read_part(translated, NAME))))


if __name__ == "__main__":
    main()
