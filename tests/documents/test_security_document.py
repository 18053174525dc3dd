"""SECURITY.md: every test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENT = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py): (test_\w+)`", DOCUMENT)))


def test_it_names_tests_and_names_them_all_alike() -> None:
    assert len(NAMED) > 20
    assert len(re.findall(r"test_\w+\.py", DOCUMENT)) == len(re.findall(r"`test_\w+\.py: test_\w+`", DOCUMENT))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_it_names_is_there(file: str, name: str) -> None:
    [path] = TESTS.rglob(file)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("rfc", ["8252", "9700", "9207"])
def test_each_row_of_an_rfc_names_its_test(rfc: str) -> None:
    table = DOCUMENT.partition(f"## RFC {rfc}")[2].partition("\n## ")[0]
    rows = [
        line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| section", "| ---"))
    ]
    assert rows
    assert all(re.search(r"`test_\w+\.py: test_\w+` \|$", row) for row in rows)
