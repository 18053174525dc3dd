"""A settings file that another user could change is refused; one in a home that is closed to us is not looked for."""

import asyncio
import os
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from security.two_users import SHARED, Machine, two_users
from support.command_runner import commands, error_of
from support.other_users import needs_root

from oauth_helper.sandbox import Sandbox

OTHER = 54_321
USERS_GROUP = 100


@pytest.fixture
def shared() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHARED) as name:
        yield Path(name)


def _chmod(mode: int, *parts: str) -> Callable[[Path], None]:
    return lambda shared: shared.joinpath(*parts).chmod(mode)


def _chown(user: int, group: int, *parts: str) -> Callable[[Path], None]:
    return lambda shared: os.chown(shared.joinpath(*parts), user, group)


def _linked(owner: int, folder_mode: int) -> Callable[[Path], None]:
    def link(shared: Path) -> None:
        (shared / "apart").mkdir()
        (shared / "apart" / "real.toml").write_text("tag = 'intl'\n")
        (shared / "apart").chmod(folder_mode)
        path = shared / "a" / "oauth-helper" / "config.toml"
        path.unlink()
        path.symlink_to(shared / "apart" / "real.toml")
        os.lchown(path, owner, 0)

    return link


CONFIG = ("a", "oauth-helper", "config.toml")
GROUP_WRITES = [_chown(os.geteuid(), USERS_GROUP, *CONFIG), _chmod(0o664, *CONFIG)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param([_chown(OTHER, OTHER, *CONFIG)], '{}/a/oauth-helper/config.toml" belongs to', marks=needs_root),
        pytest.param([_chown(OTHER, OTHER, "a")], '{}/a" belongs to another user', marks=needs_root),
        pytest.param(GROUP_WRITES, 'a group of other users can write to "{}/a/oauth-', marks=needs_root),
        pytest.param([_linked(OTHER, 0o755)], 'config.toml" belongs to another user', marks=needs_root),
        ([_linked(os.geteuid(), 0o777)], 'every user can write to "{}/apart"'),
        ([_chmod(0o646, *CONFIG)], 'every user can write to "{}/a/oauth-helper/config.toml"'),
        ([_chmod(0o777, "a", "oauth-helper")], 'every user can write to "{}/a/oauth-helper"'),
        ([_chmod(0o757)], 'every user can write to "{}"'),
        ([_chmod(0o1777)], ""),
        ([_linked(os.geteuid(), 0o755)], ""),
        pytest.param([_chown(0, 0, *CONFIG), _chmod(0o664, *CONFIG)], "", marks=needs_root),
    ],
)
async def test_only_a_settings_file_that_no_one_else_can_change_is_used(
    shared: Path, changes: list[Callable[[Path], None]], words: str
) -> None:
    path = shared.joinpath(*CONFIG)
    path.parent.mkdir(parents=True)
    path.write_text("tag = 'intl'\n")
    for change in changes:
        change(shared)
    # A file that a variable names is checked in the same way.
    where = {"XDG_CONFIG_HOME": str(shared / "a")} if words else {"OAUTH_HELPER_CONFIG": str(path)}
    async with Sandbox() as sandbox:
        ended = await commands.run("list", "--json", environ=commands.environ(sandbox, **where))
        assert (ended.status, sandbox.calls.total()) == ((3, 0) if words else (0, 1)), ended.err
    if words:
        assert words.format(shared) in error_of(ended.err)["message"]
        assert "chmod go-w" in error_of(ended.err)["hint"]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with two_users() as machine:
        yield machine


@needs_root
async def test_the_home_of_another_user_is_no_obstacle(machine: Machine, shared: Path) -> None:
    """Images and `setpriv` leave HOME=/root for another user, who cannot look into it."""
    shared.chmod(0o700)
    async with Sandbox() as sandbox:

        async def run(*arguments: str, **more: str) -> tuple[int, str, str]:
            environ = machine.environ(machine.first, sandbox) | {"HOME": str(shared)} | more
            command = machine.link(machine.first, *arguments)
            process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode()

        assert await run("list", "--json") == (0, "[]\n", "")
        status, _, err = await run("resume")
        assert (status, err.count("You may not look into a folder above"), "No link is unfinished" in err) == (
            0,
            1,
            False,
        )
        status, out, _ = await run("doctor")
        assert (status, out.count("check HOME")) == (0, 1)
        status, out, err = await run("link", "github", "--sandbox", "--browser", "none", "--timeout", "1")
        assert (status, "Permission denied" in err) == (5, False)
        for missing in ({"OAUTH_HELPER_ENDPOINT": ""}, {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}):
            status, _, err = await run("list", **missing)
            assert (status, err.count("could not be examined (Permission denied)")) == (3, 1), err
        named = str(shared / "named")
        status, _, err = await run("list", OAUTH_HELPER_CONFIG=named)
        assert (status, f'error: "{named}" cannot be read: Permission denied' in err) == (3, True), err


@needs_root
async def test_a_group_of_the_user_alone_may_write(machine: Machine) -> None:
    """With an umask of 002, all that a user creates is writable by the group of that user's own."""
    path = machine.write(machine.first, "settings/config.toml", "timeout = 7\n", mode=0o664)
    os.chown(path.parent, machine.first.number, machine.first.number)
    path.parent.chmod(0o775)
    async with Sandbox() as sandbox:
        environ = machine.environ(machine.first, sandbox, OAUTH_HELPER_CONFIG=str(path))
        command = machine.link(machine.first, "doctor")
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
    assert f"7 s ({path}, line 1)" in out.decode(), err.decode()
