"""Lines on a terminal: how wide text is, and where it is broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.cli.console import cut, padded, width_of, wrapped

ENGLISH = "Nothing was created. Run the command again; --timeout SECONDS (at most 3600) waits longer."
CHINESE = "什么都没有创建。请重新运行该命令；--timeout SECONDS（最多 3600）可以等得更久。"
WITH_COMMAND = "If not, run `oauth-helper link github --name a` again, or ask."


def test_columns() -> None:
    assert [width_of(text) for text in ("", "abc", "授权", "a授", "。", "e\u0301")] == [0, 3, 4, 3, 2, 1]
    assert padded("授权", 6) == "授权  "
    assert [cut("a授权", width) for width in range(6)] == ["", "a", "a", "a授", "a授", "a授权"]


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, WITH_COMMAND])
@pytest.mark.parametrize("width", [20, 33, 40, 59, 79])
def test_lines_fit_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width, indent="  ")
    assert all(width_of(line) <= width or "`" in line for line in lines)
    assert all(line == line.rstrip() for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.parametrize("width", range(20, 60))
def test_a_command_stays_on_one_line(width: int) -> None:
    assert any("`oauth-helper link github --name a`" in line for line in wrapped(WITH_COMMAND, width))


@pytest.mark.parametrize("width", range(10, 60))
def test_no_line_begins_with_what_closes(width: int) -> None:
    assert not [line for line in wrapped(CHINESE, width) if line[:1] in "，。、：；？！）"]


@pytest.mark.parametrize("width", range(10, 60))
def test_no_line_ends_with_what_opens(width: int) -> None:
    assert not [line for line in wrapped(CHINESE, width) if line[-1:] in "（「"]


def test_chinese_is_broken_anywhere_else() -> None:
    assert wrapped("授权已创建", 4) == ["授权", "已创", "建"]
    assert wrapped("请运行 `oauth-helper list`。", 20) == ["请运行", "`oauth-helper list`。"]


@given(st.text(alphabet="ab 授权。（）`,\n", max_size=60), st.integers(1, 30))
def test_whatever_it_is_no_word_is_lost(text: str, width: int) -> None:
    assert "".join("".join(wrapped(text, width)).split()) == "".join(text.split())
