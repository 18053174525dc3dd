"""Every page: its links lead somewhere, its commands work, and its transcripts show what they print."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from documents.documents import CHINESE, ENGLISH, IS_REWRITING, PAGES, ROOT, commands, outputs_of, text_of, with_outputs
from support.chinese import CHINESE as CHINESE_LOCALE
from support.message_sources import PACKAGE, english_of

DOCUMENTS = [*PAGES, *(ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
BANNED = re.compile(
    r"\b(stands?|anew|mend(ed|s)?|nobody|whoever|gone without|is told|no language of|main job)\b", re.IGNORECASE
)
SECRET = re.compile(r"[?&]k=(?!KEY)|\b(state|code)=|\$2a\$|ghp_")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the Git hosts make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readmes_are_short_and_the_pages_few() -> None:
    for page in (ENGLISH[0], CHINESE[0]):
        assert page.stat().st_size <= 8192
    assert len([page for page in ENGLISH[1:] if page.name != "capture.md"]) <= 10
    assert {page.stem for page in CHINESE[1:]} == {"usage", "settings", "scripting", "troubleshooting", "capture"}


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_links_and_pictures_lead_to_files_and_headings(page: Path) -> None:
    text = text_of(page)
    for link in re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"", text):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith("https://"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(text_of(path)), f"{target}#{anchor}"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(text_of(page))], ids=name_of)
@pytest.mark.thorough("zh-CN")
async def test_commands_work_and_transcripts_show_their_output(page: Path, tmp_path: Path) -> None:
    text = text_of(page)
    locale = CHINESE_LOCALE if page in CHINESE else {}
    outputs = await outputs_of(text, tmp_path, **locale)
    for command, output in zip(commands(text), outputs, strict=True):
        assert "(exit status" not in output, (command, output)
    if IS_REWRITING:
        page.write_text(with_outputs(text, outputs), encoding="utf-8")
    else:
        assert text == with_outputs(text, outputs)


@pytest.mark.parametrize("page", [*ENGLISH, *DOCUMENTS[len(PAGES) :]], ids=name_of)
def test_english_is_plain(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    assert not BANNED.findall(prose)


def test_messages_are_plain() -> None:
    with (PACKAGE / "locale" / "zh_CN" / "LC_MESSAGES" / "oauth_helper.po").open("rb") as file:
        texts = [text for message in read_po(file) for text in english_of(message)]
    assert not [text for text in texts if BANNED.search(text)]


def test_pictures_exist_in_light_and_dark_and_show_no_secret() -> None:
    for page in (ENGLISH[0], CHINESE[0]):
        for name in re.findall(r'\b(?:src|srcset)="([^"]+)"', text_of(page)):
            assert all((ROOT / re.sub("light|dark", scheme, name)).is_file() for scheme in ("light", "dark"))
    for path in (ROOT / "docs").glob("*.svg"):
        source = path.read_text(encoding="utf-8")
        assert "oauth-helper link github" in re.sub(r"(&#160;|<[^>]+>|\s)+", " ", source)
        assert not SECRET.search(source)
        assert not re.findall(r"href=\"[^#]|url\([^#]|@import|@font-face|animation|\son\w+=", source)
