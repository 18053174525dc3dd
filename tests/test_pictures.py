"""The pictures are there and whole, show no secret, and say what the command says today."""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from string import Formatter
from xml.etree import ElementTree

import pytest
from babel.messages.pofile import read_po
from message_sources import PACKAGE, english_of, translations_of
from pictures.fixed import fixed, refuse_secrets, secrets_in

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DRAWINGS = sorted(DOCS.glob("*.svg"))
PHOTOGRAPHS = sorted(DOCS.glob("*.png"))
NAMED = re.compile(r'\b(?:src|srcset)="([^"]+)"')
SVG = "{http://www.w3.org/2000/svg}"
LONGEST = 3
"""Lines that one message takes on a terminal of 80 columns (test_error_words)."""
FEWEST = 3
"""Letters of a message's own; with fewer it would be found in anything."""


def name(path: Path) -> str:
    return path.name


def drawn(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own


def text_of_picture(path: Path) -> str:
    described = drawn(path).findtext(f"{SVG}desc")
    assert described
    return described


def lines_of(path: Path) -> list[str]:
    return [line for line in text_of_picture(path).splitlines() if line]


def squeezed(text: str) -> str:
    """``text`` without blanks: where a line is broken there may have been one."""
    return "".join(text.split())


@pytest.mark.parametrize("path", sorted(ROOT.glob("README*.md")), ids=name)
def test_every_picture_that_a_readme_names_is_there(path: Path) -> None:
    named = NAMED.findall(path.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= {f"docs/{picture.name}" for picture in [*DRAWINGS, *PHOTOGRAPHS]}


def test_every_photograph_is_there_in_light_and_dark() -> None:
    pages = {path.stem.rpartition("-")[0] for path in PHOTOGRAPHS}
    assert {path.stem for path in PHOTOGRAPHS} == {f"{page}-{scheme}" for page in pages for scheme in ("light", "dark")}


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=name)
def test_a_photograph_is_a_whole_png_of_two_pixels_to_each_of_720(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 60_000
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks = dict(png_chunks(data))
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, depth = struct.unpack(">IIB", chunks[b"IHDR"][:9])
    assert width == 2 * 720
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + width * depth // 8)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        assert data[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(kind + chunk))
        yield kind, chunk
        at += 12 + length


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_a_drawing_is_small_still_and_fetches_nothing(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.encode()) < 30_000
    tags = {element.tag.removeprefix(SVG) for element in drawn(path).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "path", "g", "circle", "text"}
    assert not re.findall(r"href|url\(|@import|@font-face|animation|\son\w+=", source)
    assert "@media (prefers-color-scheme:dark)" in source


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_a_drawing_shows_no_secret_and_nothing_that_differs_from_run_to_run(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not secrets_in(source)
    assert fixed(text_of_picture(path)) == text_of_picture(path)


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_a_drawing_is_described_by_what_it_shows(path: Path) -> None:
    drawing = drawn(path)
    shown = ["".join(line.itertext()) for line in drawing.iterfind(f"{SVG}g[@class='said']")]
    assert [squeezed(line) for line in shown] == [squeezed(line) for line in lines_of(path)]
    for piece in drawing.iter(f"{SVG}text"):
        assert float(piece.attrib["x"]) + float(piece.attrib["textLength"]) < float(drawing.attrib["width"])


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_a_drawing_says_what_the_command_still_says(path: Path) -> None:
    command, *lines = lines_of(path)
    assert command == "$ oauth-helper link github --sandbox --name github-ada"
    assert not unknown(lines), "make pictures makes it anew"


def test_other_words_than_the_commands_are_found() -> None:
    said = [
        "Linked github-ada.",
        "Name      github-ada",
        "Next: in ServiceStage, choose github-ada for the source of a",
    ]
    assert unknown([*said[:2], "Hello."]) == ["Hello."]
    assert unknown(["Nickname  github-ada"]) == ["Nickname  github-ada"]
    assert unknown(said) == said[2:]


def unknown(lines: Sequence[str]) -> list[str]:
    """The lines from the first on that is no part of a message, nor begins with the label of a fact."""
    while lines:
        whole = (count for count in range(1, LONGEST + 1) if is_message(squeezed("".join(lines[:count]))))
        taken = 1 if is_fact(lines[0]) else next(whole, 0)
        if not taken:
            return list(lines)
        lines = lines[taken:]
    return []


def is_fact(line: str) -> bool:
    label, gap, _ = line.partition("  ")
    return bool(gap) and label in messages()


@cache
def is_message(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in patterns())


@cache
def messages() -> frozenset[str]:
    """All that is said, in every language."""
    said: set[str] = set()
    for path in PACKAGE.glob("locale/*/LC_MESSAGES/*.po"):
        with path.open("rb") as file:
            for message in read_po(file):
                said |= {*english_of(message), *translations_of(message)} if message.id else set()
    return frozenset(said)


@cache
def patterns() -> list[re.Pattern[str]]:
    return [pattern for message in messages() if "<" not in message and (pattern := pattern_of(message))]


def pattern_of(message: str) -> re.Pattern[str] | None:
    """What ``message`` looks like with its places filled, without blanks; None if it would be found in anything."""
    try:
        pieces = [(squeezed(literal), field) for literal, field, _, _ in Formatter().parse(message)]
    except ValueError:  # not a template
        return None
    if sum(map(str.isalnum, "".join(literal for literal, _ in pieces))) < FEWEST:
        return None
    return re.compile("".join(re.escape(literal) + ("" if field is None else ".+") for literal, field in pieces))


@pytest.mark.parametrize(
    "secret",
    [
        "http://127.0.0.1:1/start?k=" + "aB3-_" * 8 + "xyz",
        "x" * 43,
        "?code=1",
        "&state=2",
        "$2a$10$x",
        "ghp_" + "0" * 36,
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(ValueError, match="look like secrets") as raised:
        refuse_secrets(f"Linked.\n  {secret}\n")
    assert secret not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("http://127.0.0.1:9/octocat", "http://127.0.0.1:40741/octocat"),
        ("2030-12-01 23:59:59 UTC", "2026-01-31 09:31:12 UTC"),
        ("until 23:59:59 UTC.", "until 09:31:12 UTC."),
        ("剩余 10:00，输入 ?", "剩余 9:58，输入 ?"),
        (f"request id {'f' * 32}", "request id 0123456789abcdef0123456789abcdef"),
    ],
)
def test_what_differs_from_run_to_run_is_the_same_in_pictures(said: str, same: str) -> None:
    assert fixed(said) == fixed(same) == same
