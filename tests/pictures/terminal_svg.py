"""Draw a run in a terminal as SVG, with nothing in it that moves or is fetched from elsewhere.

Each piece of a line is stretched to the columns it had, so the columns agree whatever monospace font a reader has, and
a Chinese character takes two, and is a little larger so as to fill them. What the screen showed while the window was
open stands above the rule; what stood in the place of its last line at the end, below it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final
from xml.sax.saxutils import escape

import pyte
from screen import COLUMNS

from oauth_helper.cli.fitting import width_of
from pictures.fixed import fixed, refuse_secrets
from pictures.terminal_run import TerminalRun

_CELL, _LINE, _PADDING, _BAR, _RULE = 8.4, 21, 22, 34, 25
"""Units: a column, a line, the margin, the window's upper edge, the room for the rule."""
_COLOURS: Final = {
    "red": ("#b3261e", "#ff8f87"),
    "green": ("#17703c", "#74d197"),
    "brown": ("#7d5200", "#f0c060"),
    "blue": ("#0b5cad", "#86bdf7"),
    "magenta": ("#8a2f8f", "#e39be8"),
    "cyan": ("#0b6a75", "#6fd3dd"),
}
"""On light and on dark ground, with a contrast of at least 4.5 to it (WCAG 2.2, 1.4.3). Brown is pyte's yellow."""
_FONTS: Final = (
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', 'Noto Sans Mono CJK SC', "
    "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', monospace"
)
_WIDE: Final = r"[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]"
_PARTS: Final = re.compile(rf" {{2,}}|{_WIDE}+|(?:(?! {{2}}|{_WIDE}).)+")
"""Blanks between columns, characters of two cells, and everything else."""


@dataclass(frozen=True)
class Language:
    """A language of the picture."""

    name: str
    """In the picture's own."""
    tag: str
    """BCP 47; fonts draw some characters otherwise in Japanese."""
    locale: str
    title: str


LANGUAGES: Final = (
    Language("en", "en", "en_US.UTF-8", "oauth-helper links a GitHub account, in a terminal"),
    Language("zh", "zh-CN", "zh_CN.UTF-8", "在终端中用 oauth-helper 关联 GitHub 账号"),
)


@dataclass(frozen=True)
class Piece:
    """Text in one style, from a column on."""

    column: int
    text: str
    style: tuple[str, ...] = ()


Line = tuple[Piece, ...]


def drawing(run: TerminalRun, language: Language) -> str:
    """Return the picture.

    Raises:
        ValueError: Something in it looks like a secret.
    """
    waiting, ended = lines_of(run.waiting), lines_of(run.ended)
    rest = ended[len(list(takewhile(lambda pair: pair[0] == pair[1], zip(waiting, ended, strict=False)))) :]
    text = "\n".join(map(text_of, [*waiting, *rest]))
    refuse_secrets(text)
    rule = _BAR + _PADDING + len(waiting) * _LINE + _RULE // 2
    height = rule + _RULE // 2 + len(rest) * _LINE + _PADDING
    width = round(COLUMNS * _CELL + 2 * _PADDING)
    body = [
        *_frame(width, height, rule),
        *_drawn(waiting, _BAR + _PADDING),
        *_drawn(rest, rule + _RULE // 2),
    ]
    return _document(width, height, language, text, body)


def lines_of(screen: pyte.Screen) -> list[Line]:
    """Return the screen's lines down to the last that is not empty, as every run has them."""
    lines = [_line(screen, row) for row in range(screen.lines)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def text_of(line: Line) -> str:
    """Return a line's text with the blanks between its pieces."""
    text = ""
    for piece in line:
        text += " " * (piece.column - width_of(text)) + piece.text
    return text


def _line(screen: pyte.Screen, row: int) -> Line:
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    pieces: list[Piece] = []
    column = 0
    for style, group in groupby(cells, key=_style):
        for part in _PARTS.findall(fixed("".join(cell.data for cell in group))):
            if part.strip():
                start = column + len(part) - len(part.lstrip())
                wide = ("wide",) if width_of(part) == 2 * len(part) else ()
                pieces.append(Piece(start, part.strip(), style + wide))
            column += width_of(part)
    return tuple(pieces)


def _style(cell: pyte.screens.Char) -> tuple[str, ...]:
    colour = cell.fg.removeprefix("bright")
    return ((colour,) if colour in _COLOURS else ()) + (("bold",) if cell.bold else ())


def _drawn(lines: Sequence[Line], top: int) -> list[str]:
    return [
        f'<g class="said" transform="translate({_PADDING} {top + row * _LINE + 15})">{"".join(map(_piece, line))}</g>'
        for row, line in enumerate(lines)
        if line
    ]


def _piece(piece: Piece) -> str:
    style = f' class="{" ".join(piece.style)}"' if piece.style else ""
    # Firefox knows textLength on no other element.
    place = f'x="{piece.column * _CELL:g}" textLength="{width_of(piece.text) * _CELL:g}"'
    return f"<text {place}{style}>{escape(piece.text)}</text>"


def _frame(width: int, height: int, rule: int) -> list[str]:
    dots = (f'<circle cx="{x}" cy="{_BAR // 2 + 1}" r="5.5"/>' for x in (22, 41, 60))
    return [
        f'<rect class="ground" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9"/>',
        f'<path class="bar" d="M.5 {_BAR}V9.5a9 9 0 0 1 9-9H{width - 9.5:g}a9 9 0 0 1 9 9V{_BAR}z"/>',
        f'<g class="dots">{"".join(dots)}</g>',
        f'<path class="rule" d="M{_PADDING} {rule + 0.5:g}H{width - _PADDING}"/>',
    ]


def _document(width: int, height: int, language: Language, text: str, body: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    role = f'lang="{language.tag}" role="img" aria-labelledby="title text"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {role}>',
            f'<title id="title">{escape(language.title)}</title>',
            f'<desc id="text">{escape(text)}</desc>',
            f"<style>{_style_sheet()}</style>",
            *body,
            "</svg>\n",
        ]
    )


def _style_sheet() -> str:
    grounds = {"ground": ("#ffffff", "#12171d"), "bar": ("#eef1f4", "#1c232b"), "line": ("#d0d7de", "#333d49")}
    inks = {"dots": ("#b9c2cc", "#4a5663"), "ink": ("#16202b", "#e8ecf1")}
    themes = grounds | inks | _COLOURS
    light, dark = ("".join(f"--{name}:{pair[at]};" for name, pair in themes.items()) for at in (0, 1))
    return f"""
svg{{{light}}}
@media (prefers-color-scheme:dark){{svg{{{dark}}}}}
text{{font:14px {_FONTS};fill:var(--ink);white-space:pre;text-spacing-trim:space-all}}
.ground{{fill:var(--ground);stroke:var(--line)}}
.bar{{fill:var(--bar);stroke:var(--line)}}
.dots{{fill:var(--dots)}}
.rule{{stroke:var(--line);stroke-dasharray:4 4}}
.bold{{font-weight:700}}
.wide{{font-size:15.5px}}
{"".join(f".{name}{{fill:var(--{name})}}" for name in _COLOURS)}
"""
