"""State and runtime folders, seen from the command: created private, and not used if another user could change them."""

import re
import shlex
import stat
import tempfile
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from security.two_users import TESTS, Machine, two_users
from support.command_runner import commands
from support.link_script import LINK
from support.other_users import needs_root

from oauth_helper.sandbox import Sandbox

NOT_SAVED = "warning: The redirect could not be saved: "
REPLACING = "warning: While an authorization is replaced, builds and components that use it fail."
"""Every run here replaces the authorization of the one before."""
NOT_FOUND = "other runs will not find this one."


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder below /tmp; pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def linked(sandbox: Sandbox, **variables: str) -> str:
    """Link once more, whatever happens to the folders; return what was said."""
    end = await commands.run(
        *LINK, "--if-exists", "replace", environ=commands.environ(sandbox, COLUMNS="1000", **variables)
    )
    assert end.status == 0, end.err
    return end.err.replace(REPLACING, "")


async def test_a_state_folder_that_an_older_version_left_open_is_named_with_the_command_that_closes_it(
    sandbox: Sandbox, clean_environment: Path
) -> None:
    state = clean_environment / ".local" / "state" / "oauth-helper"
    state.mkdir(parents=True)
    state.chmod(0o777)
    said = await linked(sandbox)
    assert f'{NOT_SAVED}every user can write to "{state}".' in said
    assert not list(state.iterdir())
    [command] = re.findall(r"`(chmod [^`]*)`", said)
    assert await (await create_subprocess_exec(*shlex.split(command))).wait() == 0
    assert NOT_SAVED not in await linked(sandbox)
    assert list(state.iterdir())


@pytest.fixture
def machine() -> Iterator[Machine]:
    with two_users() as machine:
        yield machine


async def linked_by_the_first(machine: Machine, sandbox: Sandbox, **variables: str | None) -> str:
    """Link as a user who has a number but no name; a variable that is None is unset."""
    browser = f"{machine.python} {TESTS / 'support/scripted_browser.py'}"
    environ = machine.environ(machine.first, sandbox, BROWSER=browser, COLUMNS="1000")
    for name, value in variables.items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    process = await create_subprocess_exec(
        *machine.link(machine.first, *LINK, "--if-exists", "replace"),
        env=environ,
        cwd="/",
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    end = await commands.ended(process)
    assert end.status == 0, end.err
    return end.err.replace(REPLACING, "")


@needs_root
async def test_without_a_home_of_ours_a_link_works_and_the_warning_names_the_variables(
    machine: Machine, sandbox: Sandbox
) -> None:
    for home in (None, "relative", str(machine.second.home)):
        said = await linked_by_the_first(machine, sandbox, HOME=home)
        assert NOT_SAVED in said
        assert "HOME" in said
        assert "XDG_STATE_HOME" in said
        assert "/dev/null" not in said
    state = str(machine.first.home / "state")
    assert "warning" not in await linked_by_the_first(machine, sandbox, HOME=None, XDG_STATE_HOME=state)


@needs_root
async def test_another_users_runtime_folder_is_not_used_and_the_warning_names_it(
    machine: Machine, sandbox: Sandbox
) -> None:
    theirs, closed = machine.second.runtime, machine.second.runtime / "inside"
    theirs.chmod(0o755)
    said = await linked_by_the_first(machine, sandbox, XDG_RUNTIME_DIR=str(theirs))
    assert f'XDG_RUNTIME_DIR is the folder of another user: "{theirs}"; {NOT_FOUND}' in said
    theirs.chmod(0o700)
    said = await linked_by_the_first(machine, sandbox, XDG_RUNTIME_DIR=str(closed))
    assert f'"{closed}" cannot be used (Permission denied); {NOT_FOUND}' in said
    assert "Set XDG_RUNTIME_DIR to a folder of your own" in said
    assert not list(theirs.iterdir())


@needs_root
@pytest.mark.parametrize("variable", [None, "gone/missing"])
async def test_without_a_session_the_runs_of_a_user_meet_below_the_temporary_folder(
    machine: Machine, sandbox: Sandbox, public: Path, variable: str | None
) -> None:
    public.chmod(0o1777)
    said = await linked_by_the_first(
        machine, sandbox, TMPDIR=str(public), XDG_RUNTIME_DIR=variable and str(public / variable)
    )
    assert "warning" not in said
    [folder] = public.rglob("oauth-helper")
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (machine.first.number, 0o700)


@needs_root
@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=oct)
async def test_a_temporary_folder_that_others_could_replace_or_have_taken_is_not_used(
    machine: Machine, sandbox: Sandbox, public: Path, mode: int
) -> None:
    public.chmod(mode)
    squatted = public / f"runtime-{machine.first.number}"
    if mode == 0o1777:
        squatted.mkdir()
        squatted.chmod(0o777)
    said = await linked_by_the_first(machine, sandbox, TMPDIR=str(public), XDG_RUNTIME_DIR=None)
    assert NOT_FOUND in said
    assert "Set XDG_RUNTIME_DIR" in said
    assert not list(public.rglob("oauth-helper"))
