"""The README's examples are run, and its declaration is read."""

import ast
import asyncio
import sys

from command import surroundings
from test_readme import blocks

import oauth_helper
from oauth_helper.apply_file import Method, parse_declaration
from oauth_helper.sandbox import Sandbox


def test_the_python_example_compiles_and_imports_what_there_is() -> None:
    (example,) = blocks("python")
    tree = ast.parse(example)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for alias in imported.names} <= set(oauth_helper.__all__)


async def test_the_python_example_links() -> None:
    (example,) = blocks("python")
    async with Sandbox() as sandbox:
        key = sandbox.access_key
        for shown, real in (
            ("https://servicestage.cn-north-4.myhuaweicloud.com", sandbox.endpoint),
            ('project_id="…"', f"project_id={sandbox.project_id!r}"),
            ('AccessKey("…", "…")', f"AccessKey({key.access_key!r}, {key.secret_key.reveal()!r})"),
        ):
            assert shown in example
            example = example.replace(shown, real)
        command = (sys.executable, "-c", example)
        process = await asyncio.create_subprocess_exec(*command, env=surroundings(), stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"octocat\n")


def test_the_declaration_is_one() -> None:
    (example,) = blocks("toml")
    assert [entry.method for entry in parse_declaration(example, origin="README.md")] == list(Method)
