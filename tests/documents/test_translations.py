"""The Chinese pages have the same parts, code, options and numbers as the English ones, and quote real messages."""

import re
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from documents.documents import ENGLISH, text_of, translation_of
from support.chinese import ENGLISH_WORDS
from support.message_sources import PACKAGE, english_of, translations_of

PAIRS = [page for page in ENGLISH if translation_of(page).exists()]
in_every_page = pytest.mark.parametrize("page", PAIRS, ids=lambda page: page.name)

_CODE = re.compile(r"`([^`\n]+)`")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LEFT_OUT = re.compile(r"…|600|212")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "(code)", text_of(page), flags=re.MULTILINE | re.DOTALL)


def sections(page: Path) -> list[str]:
    return re.split(r"^#+ .*$", prose(page), flags=re.MULTILINE)[1:]


def both(page: Path) -> list[tuple[str, str]]:
    return list(zip(sections(page), sections(translation_of(page)), strict=True))


def codes(text: str) -> Counter[str]:
    return Counter(_CODE.findall(text.replace("\n", " ")))


def code_blocks(page: Path) -> list[str]:
    """The commands and examples, without comments."""
    found = re.findall(r"^```(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    commands = (re.sub(r"^(?!\$ |[ \w]+ = |\[).*\n", "", block, flags=re.MULTILINE) for block in found)
    return [re.sub(r"(?<=\s)#.*$", "#", block, flags=re.MULTILINE) for block in commands]


@in_every_page
def test_it_has_the_same_parts(page: Path) -> None:
    kinds = re.compile(r"^(\||- |\d\. )", re.MULTILINE)
    for ours, theirs in both(page):
        assert Counter(kinds.findall(theirs)) == Counter(kinds.findall(ours))
    assert code_blocks(translation_of(page)) == code_blocks(page)


@in_every_page
def test_it_names_the_same_options_variables_fields_and_numbers(page: Path) -> None:
    """A number may be a word in English, but not the other way round. Code in Chinese is a message."""
    for ours, theirs in both(page):
        assert set(codes(theirs)) - set(codes(ours)) == {word for word in codes(theirs) if _CHINESE.search(word)}
        english_only = set(codes(ours)) - set(codes(theirs))
        assert len(english_only) == sum(bool(_CHINESE.search(word)) for word in codes(theirs)), english_only
        assert Counter(_NUMBER.findall(ours)) <= Counter(_NUMBER.findall(theirs))


@in_every_page
def test_its_links_lead_to_the_same_pages(page: Path) -> None:
    def targets(text: str) -> list[str]:
        return sorted(Path(re.sub(r"\.zh-CN|#.*", "", link)).name for link in _LINK.findall(text))

    assert targets(prose(translation_of(page))) == targets(prose(page))


@in_every_page
def test_messages_are_those_of_the_catalog(page: Path) -> None:
    with (PACKAGE / "locale" / "zh_CN" / "LC_MESSAGES" / "oauth_helper.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    english = "\n".join(chain.from_iterable(map(english_of, messages)))
    chinese = list(chain.from_iterable(map(translations_of, messages)))
    for ours, theirs in both(page):
        for word in (word for word in codes(theirs) if _CHINESE.search(word)):
            pieces = [piece.strip() for piece in _LEFT_OUT.split(word)]
            assert any(all(piece in message for piece in pieces) for message in chinese), word
        for word in set(codes(ours)) - set(codes(theirs)):
            assert all(piece.strip(" :") in english for piece in _LEFT_OUT.split(word)), word


@in_every_page
def test_it_is_chinese_with_chinese_punctuation(page: Path) -> None:
    plain = re.sub(r"<[^>]*?>|https?://\S+", "", _LINK.sub("]", _CODE.sub("", prose(translation_of(page)))))
    assert not ENGLISH_WORDS.findall(plain)
    assert not re.findall(r"[\u4e00-\u9fff][,;:!?(]|[,;:!?)][\u4e00-\u9fff]", plain)
