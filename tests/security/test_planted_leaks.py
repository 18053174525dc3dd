"""The search for secrets fails where it should: three leaks, planted in a copy of the package, are found."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from security.mutated_package import Plant, planted
from support.command_runner import commands
from support.link_script import LINK, bring, scripted
from support.secret_search import LeakError

from oauth_helper.sandbox import Sandbox

KEY = r"oauth_helper\.listener\."
LEAKS = [
    pytest.param(
        Plant("servicestage/client.py", "ServiceStageClient.create_oauth", "print(code.reveal())"),
        "stdout: code",
        id="the code on standard output at the exchange",
    ),
    pytest.param(
        Plant("browsers/launch.py", "_start", 'command.append(f"--last={address}")'),
        f"argv of .*: {KEY}",
        id="KEY in the arguments of the browser",
    ),
    pytest.param(
        Plant("redirect.py", "AuthorizationRequest.parse", "print(f'parsing {url}', file=__import__('sys').stderr)"),
        "stderr: state",
        id="the state on standard error",
    ),
]


def environ_of_copy(sandbox: Sandbox, copy: Path) -> dict[str, str]:
    environ = commands.environ(sandbox)
    environ["PYTHONSAFEPATH"] = "1"
    environ["PYTHONPATH"] = os.pathsep.join([environ["PYTHONPATH"], str(copy)])
    # The copy is gone when coverage would read it.
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@pytest.mark.parametrize(("plant", "found"), LEAKS)
async def test_a_planted_leak_is_found(tmp_path: Path, plant: Plant, found: str) -> None:
    copy = planted(plant, tmp_path / "copy")
    async with Sandbox() as sandbox:
        end = await commands.run(*LINK, "--timeout", "10", environ=environ_of_copy(sandbox, copy))
    assert end.status == 0, end.err
    with pytest.raises(LeakError) as failure:
        commands.search()
    assert re.search(f"^{found}", str(failure.value), re.MULTILINE), failure.value
    commands.forget()


async def test_a_file_that_the_command_leaves_is_searched(tmp_path: Path) -> None:
    line = '(__import__("pathlib").Path.home() / "copy").write_text(code.reveal()[3:])'
    copy = planted(Plant("servicestage/client.py", "ServiceStageClient.create_oauth", line), tmp_path / "copy")
    async with Sandbox() as sandbox, scripted(environ=environ_of_copy(sandbox, copy)) as script:
        redirect = await script.consent()
        await bring(script.listener, redirect)
        assert (await script.ended()).status == 0
    with pytest.raises(LeakError, match="file copy: code"):
        commands.search()
    commands.forget()


def test_a_function_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"redirect\.py:AuthorizationRequest\.gone is not there"):
        planted(Plant("redirect.py", "AuthorizationRequest.gone", "pass"), tmp_path)
