"""``doctor``: everything a link needs, a line each, without a browser."""

import json
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command import Ended, surroundings
from forked_commands import run_command
from msgspec.structs import replace
from support.journal_entries import pending
from support.promised_json import read_error

from oauth_helper.journal import Journal
from oauth_helper.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


def findings(end: Ended) -> dict[str, dict[str, str]]:
    return {one["subject"]: one for one in json.loads(end.out)}


async def test_all_is_well(sandbox: Sandbox, tmp_path: Path) -> None:
    sight = tmp_path / "sight"
    environ = surroundings(sandbox, SCRIPTED_SIGHT=str(sight), OAUTH_HELPER_TAG="intl")
    end = await run_command("doctor", "--name", "my-auth", environ=environ)
    assert end.status == 0, end.out
    *lines, conclusion = end.out.splitlines()
    assert conclusion == "All is well: `oauth-helper link github` can start."
    subjects = [line[6:18].strip() for line in lines]
    assert subjects == [
        *("place", "region", "endpoint", "project_id", "iam_endpoint", "ca_bundle", "tag", "timeout", "credentials"),
        *("service", "clock", "name", "browser", "listener"),
    ]
    assert all(line.startswith("ok ") for line in lines)
    assert "tag          intl (OAUTH_HELPER_TAG)" in end.out
    assert f"endpoint     {sandbox.endpoint} (OAUTH_HELPER_ENDPOINT)" in end.out
    assert "credentials  an access key (HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK)" in end.out
    assert "name         my-auth is free" in end.out
    assert sandbox.access_key.secret_key.reveal() not in end.out
    assert not sight.exists()


async def test_what_is_wrong_is_told_with_the_status_a_link_would_end_with(sandbox: Sandbox) -> None:
    wrong = await run_command("doctor", "--json", environ=surroundings(sandbox, HUAWEICLOUD_SDK_SK="wrong"))
    assert wrong.status == 3
    assert findings(wrong)["service"]["verdict"] == "fail"
    none = await run_command(
        "doctor", "--json", environ=surroundings(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    )
    assert none.status == 3
    assert findings(none)["credentials"]["verdict"] == "fail"
    assert "not asked" in findings(none)["service"]["message"]
    away = await run_command(
        "doctor", "--json", environ=surroundings(sandbox, OAUTH_HELPER_ENDPOINT="http://127.0.0.1:9")
    )
    assert away.status == 7
    illegal = await run_command("doctor", "--json", "--name", "a b", environ=surroundings(sandbox))
    assert (illegal.status, findings(illegal)["name"]["verdict"]) == (2, "fail")


async def test_a_setting_that_cannot_be_used_is_one_finding_among_others(sandbox: Sandbox) -> None:
    unusable = await run_command("doctor", "--json", environ=surroundings(sandbox, OAUTH_HELPER_TIMEOUT="soon"))
    assert unusable.status == 3
    assert findings(unusable)["settings"]["verdict"] == "fail"
    assert findings(unusable)["listener"]["verdict"] == "ok"
    nowhere = await run_command("doctor", "--json", environ=surroundings(sandbox, OAUTH_HELPER_ENDPOINT=""))
    assert nowhere.status == 3
    assert findings(nowhere)["endpoint"]["verdict"] == "fail"
    assert findings(nowhere)["service"]["verdict"] == "note"


async def test_a_clock_that_is_off_is_noted_before_signatures_are_refused() -> None:
    async with Sandbox(now=lambda: time.time() + 300) as ahead:
        end = await run_command("doctor", "--json", environ=surroundings(ahead))
    assert end.status == 0
    assert findings(end)["clock"]["verdict"] == "note"
    assert "behind the server's" in findings(end)["clock"]["message"]


async def test_this_machine_is_looked_at(sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        end = await run_command("doctor", "--json", "--port", port, environ=surroundings(sandbox, BROWSER=""))
    assert end.status == 9
    assert findings(end)["listener"]["verdict"] == "fail"
    assert findings(end)["browser"]["verdict"] == "note"
    demanded = await run_command("doctor", "--json", "--browser", "default", environ=surroundings(sandbox, BROWSER=""))
    assert demanded.status == 9
    assert findings(demanded)["browser"]["verdict"] == "fail"
    unwanted = await run_command("doctor", "--json", "--browser", "none", environ=surroundings(sandbox, BROWSER=""))
    assert unwanted.status == 0
    assert "addresses are printed" in findings(unwanted)["browser"]["message"]
    built = await run_command("doctor", "--json", environ=surroundings(sandbox, BROWSER="", CI="true"))
    assert built.status == 9, "as a link would end"
    window = await run_command("doctor", "--json", "--browser", "chromium", environ=surroundings(sandbox, BROWSER=""))
    assert window.status == 9
    assert "there can be none" in findings(window)["browser"]["message"]


async def test_a_taken_name_and_a_list_that_is_not_permitted_are_notes(sandbox: Sandbox) -> None:
    environ = surroundings(sandbox)
    assert (await run_command("link", "gitee", "--name", "mine", environ=environ)).status == 0
    end = await run_command("doctor", "gitee", "--json", "--name", "mine", environ=environ)
    assert end.status == 0
    assert findings(end)["name"]["message"] == "mine exists already; a link keeps it as it is"
    other_type = await run_command("doctor", "github", "--json", "--name", "mine", environ=environ)
    assert other_type.status == 6, "as a link would end"
    assert findings(other_type)["name"]["verdict"] == "fail"
    assert read_error(other_type.err.splitlines()[-1])["kind"] == "name-taken"
    key = sandbox.access_key_without_list
    unlisted = {"HUAWEICLOUD_SDK_AK": key.access_key, "HUAWEICLOUD_SDK_SK": key.secret_key.reveal()}
    end = await run_command("doctor", "--json", environ=environ | unlisted)
    assert end.status == 0
    assert findings(end)["service"]["verdict"] == "note"


@pytest.mark.parametrize(
    ("environment", "kind"),
    [("token", "an IAM token"), ("user", "an IAM user's name and password"), ("file", "a temporary access key")],
)
async def test_the_kind_of_credentials_is_named(
    sandbox: Sandbox, environment: str, kind: str, clean_surroundings: Path
) -> None:
    environ = surroundings(sandbox, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    if environment == "token":
        environ["OAUTH_HELPER_TOKEN"] = sandbox.token.token.reveal()
    elif environment == "user":
        user = sandbox.user
        environ |= {"HW_USER_NAME": user.name, "HW_USER_PASSWORD": user.password.reveal()}
        environ |= {"HW_DOMAIN_NAME": user.domain_name}
    else:
        file = clean_surroundings / ".huaweicloud" / "credentials"
        file.parent.mkdir()
        file.write_text("[basic]\nak = a\nsk = s\nsecurity_token = t\n")
        file.chmod(0o644)
    end = await run_command("doctor", environ=environ)
    assert f"credentials  {kind}" in end.out
    assert ("others can read" in end.out) is (environment == "file")


async def test_what_is_pending_is_noted_and_what_cannot_be_read_too(sandbox: Sandbox) -> None:
    journal = Journal.of_the_user()
    journal.write(replace(pending("cut-off"), captured_at=datetime.now(UTC)))
    spoilt = replace(pending("spoilt"), captured_at=datetime.now(UTC))
    journal.write(spoilt)
    [path] = Path.home().rglob(f"pending-{spoilt.target.digest}-github.json")
    path.write_text("{")
    end = await run_command("doctor", environ=surroundings(sandbox))
    assert end.status == 0
    assert "cut-off: the redirect came, but it is not known to be exchanged" in end.out
    assert "`oauth-helper resume` finishes it." in end.out
    assert str(path) in end.out
    assert "planted-code" not in end.out + end.err
