"""The search for secrets finds leaks that are planted in a copy of the package."""

from __future__ import annotations

import ast
import os
import re
import shutil
from pathlib import Path

import pytest
from support.command_runner import commands
from support.link_script import LINK
from support.secret_search import LeakError

import oauth_helper
from oauth_helper.sandbox import Sandbox

EXCHANGE = ("servicestage/client.py", "create_oauth")
COPIED = '(__import__("pathlib").Path.home() / "copy").write_text(code.reveal()[3:])'
LEAKS = [
    (*EXCHANGE, "print(code.reveal())", "stdout: code"),
    (*EXCHANGE, COPIED, "file copy: code"),
    ("browsers/launch.py", "_start", 'command.append(f"--last={address}")', r"argv of .*: oauth_helper\.listener\."),
    ("redirect.py", "parse", "print(f'parsing {url}', file=__import__('sys').stderr)", "stderr: state"),
]


@pytest.mark.parametrize(("module", "function", "line", "found"), LEAKS, ids=[leak[-1] for leak in LEAKS])
async def test_a_planted_leak_is_found(tmp_path: Path, module: str, function: str, line: str, found: str) -> None:
    package = Path(oauth_helper.__file__).parent
    copy = Path(shutil.copytree(package, tmp_path / "copy" / package.name))
    lines = (copy / module).read_text(encoding="utf-8").splitlines()
    [first] = (
        node.body[0]
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    )
    lines.insert(first.lineno - 1, " " * first.col_offset + line)
    (copy / module).write_text("\n".join(lines) + "\n", encoding="utf-8")
    async with Sandbox() as sandbox:
        environ = commands.environ(sandbox)
        environ |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([environ["PYTHONPATH"], str(copy.parent)])}
        # The copy is gone when coverage would read it.
        environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}
        end = await commands.run(*LINK, "--timeout", "10", environ=environ)
    assert end.status == 0, end.err
    with pytest.raises(LeakError) as failure:
        commands.search()
    assert re.search(f"^{found}", str(failure.value), re.MULTILINE), failure.value
    commands.forget()
