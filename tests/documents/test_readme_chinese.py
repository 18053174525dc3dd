"""The Chinese README has the same parts, code, options and numbers as the English one, and agrees with the package."""

import re
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest
from babel.messages.pofile import read_po
from support.chinese import CHINESE, ENGLISH_WORDS
from support.command_runner import commands
from support.message_sources import PACKAGE, english_of, translations_of
from support.readme import README, TRANSLATED, blocks, help_of, without_what_varies, words_of_help

BOTH = (README, TRANSLATED)
QUOTED = {"error: …": "错误: …", "hint: …": "提示: …", "received 212 characters": "已收到 212 个字符"}
"""Messages that are quoted outside of the table of messages."""
ONLY_CHINESE = {"LANG=zh_CN.UTF-8", "--lang zh"}
"""The settings that show the transcripts in Chinese."""

_CODE = re.compile(r"`([^`\n]+)`")
_LEFT_OUT = re.compile(r"…|600")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """A README without its blocks of code."""
    return re.sub(r"^```.*?^```$", "(code)", text, flags=re.MULTILINE | re.DOTALL)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ .*$", prose(text), re.MULTILINE)


def sections(text: str) -> list[str]:
    """The text below each heading, without its subsections."""
    return re.split(r"^#+ .*$", prose(text), flags=re.MULTILINE)[1:]


def rows(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in prose(text).splitlines() if line.startswith("|")]


@cache
def quoted() -> list[tuple[str, str]]:
    """The messages in the table of problems, in English and in Chinese."""
    (number,) = (number for number, heading in enumerate(headings(README)) if heading == "## Troubleshooting")
    columns = ([_CODE.findall(row[0]) for row in rows(sections(text)[number])] for text in BOTH)
    return [pair for english, chinese in zip(*columns, strict=True) for pair in zip(english, chinese, strict=True)]


def codes(text: str, *, translate: bool = False) -> list[str]:
    """The code words of a text, with the messages of the terminal in Chinese if ``translate`` is set."""
    messages = QUOTED | dict(quoted()) if translate else {}
    return sorted(messages.get(word, word) for word in _CODE.findall(text.replace("\n", " ")))


def shape(text: str) -> list[tuple[str, int]]:
    """The paragraphs, lists and tables, with how many items or rows each has."""
    parts = re.split(r"\n{2,}", text.strip())
    items = re.compile(r"^(\||- |\d\. )", re.MULTILINE)
    return [(re.sub(r"\d", "1", kinds[0]) if (kinds := items.findall(part)) else "", len(kinds)) for part in parts]


def without_comments(block: str) -> str:
    return re.sub(r"(?<=\s)#.*$", "#", block, flags=re.MULTILINE)


def test_it_has_the_same_parts_in_the_same_order() -> None:
    english, chinese = ([heading.split()[0] for heading in headings(text)] for text in BOTH)
    assert chinese == english
    for ours, theirs, heading in zip(*(map(sections, BOTH)), headings(TRANSLATED), strict=True):
        assert shape(theirs) == shape(ours), heading


def test_it_has_the_same_code() -> None:
    for language in ("console", "python", "json", "toml", "sh"):
        english, chinese = ([without_comments(block) for block in blocks(language, text)] for text in BOTH)
        assert chinese == english
    kinds = [re.findall(r"^```(\w+)$", text, re.MULTILINE) for text in BOTH]
    assert kinds[0] == kinds[1]


def test_its_links_lead_to_the_same_pages() -> None:
    english, chinese = (
        sorted(re.sub(r"\.zh-CN|#.*", "", link) for link in _LINK.findall(prose(text))) for text in BOTH
    )
    assert chinese == english


def test_it_names_the_same_options_variables_fields_and_numbers() -> None:
    """A number may be a word in English, but not the other way round."""
    for english, chinese, heading in zip(*(map(sections, BOTH)), headings(TRANSLATED), strict=True):
        in_table = english.replace("; `kept` means", "; `保留` means")  # elsewhere it is a field
        named = set(codes(in_table, translate=True)) - ONLY_CHINESE
        assert set(codes(chinese)) - ONLY_CHINESE == named, heading
        assert Counter(_NUMBER.findall(english)) <= Counter(_NUMBER.findall(chinese)), heading


def test_its_tables_have_the_same_code_in_every_cell() -> None:
    for english, chinese in zip(*map(rows, BOTH), strict=True):
        assert [codes(cell) for cell in chinese] == [codes(cell, translate=True) for cell in english]


def test_quoted_messages_are_those_of_the_catalog() -> None:
    with (PACKAGE / "locale" / "zh_CN" / "LC_MESSAGES" / "oauth_helper.po").open("rb") as file:
        messages = [(english_of(message)[0], translations_of(message)[0]) for message in read_po(file) if message.id]
    for ours, theirs in quoted():
        in_full = max(_LEFT_OUT.split(ours), key=len).strip()
        translations = [translation for english, translation in messages if in_full in english] or [ours]
        pieces = [piece.strip() for piece in _LEFT_OUT.split(theirs)]
        assert any(all(piece in one for piece in pieces) for one in translations), (theirs, translations)


@pytest.mark.parametrize(
    "block",
    [block for block in blocks("text", TRANSLATED) if block.startswith("$ ")],
    ids=lambda block: block.splitlines()[0],
)
def test_help_texts_are_the_output_of_the_command(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", CHINESE["LANG"])
    command, _, printed = block.partition("\n")
    assert "".join(words_of_help(help_of(command))) == "".join(words_of_help(printed)), "lines break within words"


def test_the_transcript_is_the_output_of_the_demo() -> None:
    def without_times_and_name(text: str) -> str:
        (name,) = re.findall(r"^名称 +(\S+)$", text, re.MULTILINE)
        return re.sub(r"\d\d:\d\d:\d\d", "WHEN", without_what_varies(text.replace(name, "my-auth")))

    shown = subprocess.run(
        [sys.executable, "-m", "oauth_helper", "link", "github", "--sandbox"],
        env=commands.environ(None, BROWSER="", **CHINESE),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=50,
    ).stdout
    assert without_times_and_name(blocks("text", TRANSLATED)[0]) == without_times_and_name(shown)


def test_no_sentence_is_english() -> None:
    plain = re.sub(
        r"<!--.*?-->|<[^>]*?\balt=|</?\w[^>]*>|https?://\S+", "", _LINK.sub("]", _CODE.sub("", prose(TRANSLATED)))
    )
    assert not ENGLISH_WORDS.findall(plain)
