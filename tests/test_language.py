"""Which language somebody is spoken to in: by locale, by browser, by demand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.i18n import Language, Preference, language_of, language_of_browser, language_of_locale

EN, ZH = Language.ENGLISH, Language.CHINESE


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", ZH),
        ("zh-CN", ZH),
        ("zh_CN", ZH),
        ("ZH-Hans", ZH),
        ("zh-Hans-CN", ZH),
        ("zh_SG", ZH),
        ("zh-TW", None),
        ("zh-Hant", None),
        ("zh-HK", None),
        ("en", EN),
        ("en-GB", EN),
        ("de", None),
        ("", None),
        ("english", None),
    ],
)
def test_tags(tag: str, language: Language | None) -> None:
    assert language_of(tag) is language


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "zh_CN.GB18030"}, ZH),
        ({"LANG": "en_US.UTF-8"}, EN),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "zh_TW.UTF-8"}, None),
        ({"LANG": "de_DE@euro"}, None),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, None),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, ZH),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, ZH),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:zh"}, ZH),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, None),
    ],
)
def test_locales(environ: dict[str, str], language: Language | None) -> None:
    assert language_of_locale(environ) is language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", None),
        ("*", None),
        ("zh-CN,zh;q=0.9,en;q=0.8", ZH),
        ("en-US,en;q=0.5", EN),
        ("en;q=0.3, zh-CN;q=0.7", ZH),
        ("zh;q=0, en", EN),
        ("zh-TW,zh;q=0.9,en-US;q=0.8", ZH),
        ("zh-TW,en-US;q=0.8", EN),
        ("de-DE,de;q=0.9,fr", None),
        ("zh;q=nonsense,en;q=0.1", EN),
        ("en;level=1,zh;q=0.2", ZH),
        ("," * 5000 + "zh", None),
    ],
)
def test_browsers(header: str, language: Language | None) -> None:
    assert language_of_browser(header) is language


@given(st.text())
def test_no_header_is_too_strange(header: str) -> None:
    assert language_of_browser(header) in {EN, ZH, None}


def test_a_browser_is_heard_unless_the_user_has_named_a_language() -> None:
    assert Preference(EN).in_browser("zh-CN,zh") is ZH
    assert Preference(EN, is_demanded=True).in_browser("zh-CN,zh") is EN
    assert Preference(ZH).in_browser("fr") is ZH
