"""``list``, ``show`` and ``delete``, and the credentials with which they ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import error_of, records, surroundings
from forked_commands import run_command
from support.promised_json import read_authorization, read_authorizations

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


async def test_list_show_and_delete_work_on_what_stands(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    empty = await run_command("list", environ=environ)
    assert (empty.status, empty.out) == (0, "")
    assert (await run_command("list", "--json", environ=environ)).out == "[]\n"
    for name in ("first", "second"):
        assert (await run_command("link", "github", "--name", name, environ=environ)).status == 0
    table = (await run_command("list", environ=environ)).out.splitlines()
    assert table[0].split() == ["NAME", "GIT", "HOST", "ACCOUNT", "TYPE", "STATUS"]
    assert [line.split()[0] for line in table[1:]] == ["first", "second"]
    shown = await run_command("show", "first", "--json", environ=environ)
    assert read_authorization(shown.out)["name"] == "first"
    assert "Status    0 (normal)" in (await run_command("show", "first", environ=environ)).out
    missing = await run_command("show", "third", "--json", environ=environ)
    assert (missing.status, error_of(missing.err)["kind"]) == (6, "no-such-authorization")

    unasked = await run_command("delete", "first", "--json", environ=environ)
    assert (unasked.status, error_of(unasked.err)["kind"]) == (2, "usage")
    none = await run_command("delete", "first", "third", "--yes", environ=environ)
    assert none.status == 6
    assert len(await records(sandbox)) == 2, "all or none"
    gone = await run_command("delete", "first", "second", "first", "--yes", "--json", environ=environ)
    assert gone.status == 0, gone.err
    assert [one["name"] for one in read_authorizations(gone.out)] == ["first", "second"]
    assert await records(sandbox) == []


async def test_who_may_not_list_can_still_delete(sandbox: Sandbox) -> None:
    key = sandbox.access_key_without_list
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK=key.access_key, HUAWEICLOUD_SDK_SK=key.secret_key.reveal())
    assert (await run_command("link", "github", "--name", "mine", environ=environ)).status == 0
    assert (await run_command("delete", "mine", "--yes", environ=environ)).status == 0
    assert await records(sandbox) == []


async def test_the_projects_id_is_asked_of_iam_and_a_user_gets_a_token(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox, OAUTH_HELPER_PROJECT_ID="", OAUTH_HELPER_REGION=sandbox.region)
    assert (await run_command("list", environ=environ)).status == 0
    user = {
        "HUAWEICLOUD_SDK_AK": "",
        "HUAWEICLOUD_SDK_SK": "",
        "HW_USER_NAME": sandbox.user.name,
        "HW_USER_PASSWORD": sandbox.user.password.reveal(),
        "HW_DOMAIN_NAME": sandbox.user.domain_name,
    }
    assert (await run_command("list", environ=environ | user)).status == 0
    wrong = await run_command("list", "--json", environ=environ | user | {"HW_USER_PASSWORD": "planted"})
    assert (wrong.status, error_of(wrong.err)["kind"]) == (3, "credentials")
    assert "planted" not in wrong.err
    nowhere = await run_command("list", "--json", environ=environ | {"OAUTH_HELPER_REGION": ""})
    assert (nowhere.status, error_of(nowhere.err)["kind"]) == (3, "settings")


async def test_a_credentials_file_that_others_can_read_is_warned_of(sandbox: Sandbox, clean_surroundings: Path) -> None:
    file = clean_surroundings / ".huaweicloud" / "credentials"
    file.parent.mkdir()
    key: AccessKey = sandbox.access_key
    file.write_text(f"[basic]\nak = {key.access_key}\nsk = {key.secret_key.reveal()}\n")
    file.chmod(0o644)
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    end = await run_command("list", environ=environ)
    assert end.status == 0
    assert f"warning: Others can read {file}" in end.err
