"""The figures hold for the package; and each that must hold is seen not to, for a small package that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from figures.__main__ import ROOT, static_figures
from figures.figure import Figure
from figures.peers import PEERS
from figures.shape import connections, repetitions, sizes, words
from figures.sources import read_modules
from figures.table import table, what_is_wrong
from house.floors import PACKAGE, Floor

DOCUMENTED = '"""A module."""\n'


def small(folder: Path, **files: str) -> Path:
    """A package of these modules; two underscores in a name are a folder."""
    package = folder / "small"
    for name, text in {"__init__": DOCUMENTED, **files}.items():
        path = package / (f"{name}.py" if name == "__init__" else f"{name.replace('__', '/', 1)}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def by_name(figures: Iterable[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def function(lines: int) -> str:
    return "class A:\n    async def f(self):\n" + "        x = 1\n" * (lines - 1)


def test_what_must_hold_of_the_sources_holds() -> None:
    modules = read_modules(PACKAGE)
    found = list(static_figures(PACKAGE, ROOT / "tests", modules))
    assert [line for figure in found for line in figure.wrong] == []
    assert {name for peer in PEERS for name in peer.figures} <= set(by_name(found))
    assert max(map(len, table(found).splitlines())) <= 120


@pytest.mark.parametrize(
    ("name", "lines", "text_of", "place"),
    [
        ("largest file", 250, lambda lines: DOCUMENTED + "x = 1\n" * (lines - 1), "small/a.py: 251 lines"),
        ("function, median", 10, function, "it is 11"),
        ("function, p90", 30, function, "it is 31"),
        ("function, longest", 40, function, "small/a.py:2: f has 41 lines"),
    ],
)
def test_what_is_too_large_is_found(
    tmp_path: Path, name: str, lines: int, text_of: Callable[[int], str], place: str
) -> None:
    found = by_name(sizes(read_modules(small(tmp_path, a=text_of(lines)))))
    assert found[name].wrong == ()
    found = by_name(sizes(read_modules(small(tmp_path, a=text_of(lines + 1)))))
    assert found[name].wrong == (place,)


def test_a_docstring_counts_to_a_function_and_a_decorator_does_not(tmp_path: Path) -> None:
    text = '@a\n@b\ndef f():\n    """It.\n\n    All.\n    """\n    return 1\n'
    found = by_name(sizes(read_modules(small(tmp_path, a=text))))
    assert found["function, longest"].ours == "6"


def test_comments_are_counted_against_code_without_docstrings(tmp_path: Path) -> None:
    text = f'{DOCUMENTED}\nx = """\n\n"""  # why\n# why\n' + "x = 1\n" * 17 + 'def f():\n    """Say.\n\n    It."""\n'
    found = by_name(words(read_modules(small(tmp_path, a=text))))["comments per 100"]
    assert found.ours == "9.5", "2 of 21"
    assert not found.wrong
    found = by_name(words(read_modules(small(tmp_path, a=f"{text}# one more\n"))))["comments per 100"]
    assert found.wrong == ("it is 14.3",)


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    text = 'def a():\n    """Say."""\ndef b(): ...\nclass C:\n    def d(self): ...\n    def _e(self): ...\n'
    found = by_name(words(read_modules(small(tmp_path, a=text))))
    assert found["modules documented"].wrong == ("small/a.py: no docstring",)
    assert found["modules documented"].ours == "1/2"
    assert found["public documented"].ours == "1/4"


@pytest.mark.parametrize(
    ("a", "b", "eager", "dodged"),
    [
        ("from small import b", "import small.a", ("small.a ↔ small.b",), ()),
        ("from small.b import f", "try:\n    from small.a import g\nfinally:\n    f = 1", ("small.a ↔ small.b",), ()),
        ("from small import b", "def f():\n    from small import a", (), ("small.a ↔ small.b",)),
        ("def f():\n    import small.b", "async def f():\n    from small.a import g", (), ("small.a ↔ small.b",)),
        ("from small import b", "from t import TYPE_CHECKING\nif TYPE_CHECKING:\n    from small import a", (), ()),
        (
            "from small import b",
            "if TYPE_CHECKING:\n    from small import a\n\n\ndef __getattr__(name): ...",
            (),
            ("small.a ↔ small.b",),
        ),
        ("from small import b", "import a\nfrom small.c import a", (), ()),
    ],
)
def test_circles_of_imports_are_found(
    tmp_path: Path, a: str, b: str, eager: tuple[str, ...], dodged: tuple[str, ...]
) -> None:
    package = small(tmp_path, a=a, b=b, c="")
    found = by_name(
        list(connections(package, read_modules(package), (Floor("ground", ("c",)), Floor("one", ("a", "b")))))
    )
    assert (found["import cycles"].wrong, found["dodged cycles"].wrong) == (eager, dodged)
    assert found["local imports"].ours == str(sum("def " in text for text in (a, b)))


def test_a_longer_circle_is_one(tmp_path: Path) -> None:
    package = small(tmp_path, a="import small.b", b="import small.c", c="import small.a", d="import small.a")
    found = by_name(connections(package, read_modules(package)))
    assert found["import cycles"].wrong == ("small.a ↔ small.b ↔ small.c",)


def test_an_import_that_does_not_go_down_is_found(tmp_path: Path) -> None:
    package = small(tmp_path, a="import small.b", b="")
    found = connections(package, read_modules(package), (Floor("ground", ("a",)), Floor("one", ("b",))))
    assert by_name(found)["floors broken"].wrong == ("small/a.py: a imports b",)


def test_what_stands_twice_is_found_but_not_beside_the_house(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    repeated = "".join(f"value_{number} = {number}\n" for number in range(8))
    package = small(tmp_path, a=repeated, sandbox____init__="", sandbox__a=repeated)
    assert not by_name(repetitions(package, tests))["duplicates"].wrong
    package = small(tmp_path, rooms____init__="", rooms__b=repeated)
    (tests / "c.py").write_text(repeated)
    (tests / "d.py").write_text(repeated)
    found = by_name(repetitions(package, tests))
    assert [("small.a" in one, "small.rooms.b" in one) for one in found["duplicates"].wrong] == [(True, True)]
    assert [("c:" in one, "d:" in one) for one in found["duplicates in tests"].wrong] == [(True, True)]


def test_a_file_that_cannot_be_compared_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError, match="syntax-error"):
        list(repetitions(small(tmp_path, a="def"), tmp_path))


def test_a_figure_that_does_not_hold_is_marked_in_the_table() -> None:
    held, broken = Figure("lines", "1"), Figure("import cycles", "1", "0", ("a ↔ b",))
    _, first, second = table([held, broken]).splitlines()
    assert first.startswith("  lines ")
    assert second.startswith("✗ import cycles ")
    assert list(what_is_wrong([held, broken])) == ["✗ import cycles: a ↔ b"]
