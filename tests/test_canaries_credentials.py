"""No secret gets out, by whatever the user proves an identity with, and by whichever command."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from canary_play import TOKEN, bring, link_by_hand, waiting
from canary_run import Run, searched_run
from link_script import LINK, NAME, consent, until

from oauth_helper.sandbox import Sandbox

DEBUG = {"PYTHONASYNCIODEBUG": "1"}
PROXY = "http://someone:planted-proxy-passw0rd%21@127.0.0.1:9"


def by_token(run: Run) -> None:
    run.environ |= {"OAUTH_HELPER_TOKEN": run.sandbox.token.token.reveal()}


def by_password(run: Run) -> None:
    user = run.sandbox.user
    run.environ |= TOKEN | {
        "HW_USER_NAME": user.name,
        "HW_USER_PASSWORD": user.password.reveal(),
        "HW_DOMAIN_NAME": user.domain_name,
        "OAUTH_HELPER_PROJECT_ID": "",
        "OAUTH_HELPER_REGION": Sandbox.region,
    }


def by_key_alone(run: Run) -> None:
    run.environ |= {"OAUTH_HELPER_PROJECT_ID": "", "OAUTH_HELPER_REGION": Sandbox.region}


def by_file(run: Run) -> None:
    file = run.folder / "home" / ".huaweicloud" / "credentials"
    file.parent.mkdir()
    key = run.sandbox.access_key
    file.write_text(f"[basic]\nak = {key.access_key}\nsk = {key.secret_key.reveal()}\n")
    run.environ |= TOKEN
    run.own_files.add(file)


@pytest.mark.parametrize("prove", [by_token, by_password, by_key_alone, by_file])
async def test_a_link(tmp_path: Path, prove: Callable[[Run], None]) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        prove(run)
        await link_by_hand(run, "-vv")


READING: Sequence[Sequence[str]] = [
    ("list", "--json"),
    ("list",),
    ("show", NAME),
    ("show", "none"),
    ("resume",),
    ("link", "github", "--name", NAME, "--json"),
    ("link", "gitlab", "--name", NAME),
    ("doctor",),
    ("doctor", "--json", "--browser", "none"),
]
DELETING: Sequence[Sequence[str]] = [("delete", "none", "--yes"), ("delete", NAME), ("delete", NAME, "--yes", "--json")]


async def test_the_other_commands(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run") as run:
        by_password(run)
        await link_by_hand(run)
        with run.forking():
            for command in (*READING, *DELETING):
                await run.command(*command, "-vv", **DEBUG)
        assert {end.process.returncode for end in run.commands} == {0, 2, 6}


REFUSED = ["OAUTH_HELPER_TOKEN", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"]


@pytest.mark.parametrize(("options", "name"), list(zip([("list",), ("doctor",), LINK], REFUSED, strict=True)), ids=str)
async def test_credentials_that_are_refused(tmp_path: Path, options: Sequence[str], name: str) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        run.environ[name] = run.plant(name, secrets.token_urlsafe(40))
        run.opens_by_hand = True
        async with run.started(*options, "-vv") as command:
            await command.ended(0 if name == REFUSED[-1] else 3)


@pytest.mark.parametrize("options", [("list",), ("doctor",), LINK], ids=lambda options: options[0])
async def test_a_proxy_wants_a_password(tmp_path: Path, options: Sequence[str]) -> None:
    """The proxy of the flow is not there; before it, this machine is reached past it."""
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        run.plant("proxy", "planted-proxy-passw0rd!")
        run.plant("proxy", "c29tZW9uZTpwbGFudGVkLXByb3h5LXBhc3N3MHJkIQ")
        run.environ |= {"https_proxy": PROXY, "http_proxy": PROXY, "HTTPS_PROXY": PROXY}
        end = await run.command(*options, "-vv", OAUTH_HELPER_ENDPOINT="https://servicestage.oauth-helper.invalid")
        assert end.process.returncode == 7, end.err
        if options == LINK:
            async with run.started(*LINK) as link:
                await link.ended(0)
        unusable = await run.command(
            *options,
            "-vv",
            OAUTH_HELPER_ENDPOINT="https://servicestage.oauth-helper.invalid",
            https_proxy=PROXY.replace("http:", "socks5:"),
        )
        assert unusable.process.returncode == 3


async def test_what_stands_is_replaced(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        await link_by_hand(run)
        await link_by_hand(run, "--if-exists", "replace", "-vv")


async def test_a_second_run_joins_the_first(tmp_path: Path) -> None:
    async with (
        searched_run(tmp_path / "run", environ=DEBUG) as run,
        waiting(run, "-vv") as (link, url),
        run.started(*LINK, "--events", "-vv") as second,
    ):
        await second.says("Waiting for it.")
        await bring(run, link, await consent(url))
        await link.ended(0)
        await second.ended(0)


async def test_the_sandbox_plays_all_parts(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG | {"BROWSER": ""}) as run:
        async with run.started("link", "github", "--sandbox", "--events", "-vv") as link:
            await link.ended(0)
        waited = link.told("waiting")[0]
        run.sandbox.learn_of_address(waited["authorization_url"])


async def test_the_sandbox_runs_for_other_terminals(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        run.prints_sandbox = True
        async with run.started("sandbox", "-vv") as served:
            await until(lambda: "OAUTH_HELPER_TOKEN" in served.out)
            served.stop()
            await served.ended(0)
        async with run.started("sandbox", "-vv", "--json") as served:
            await until(lambda: served.out.endswith("\n"))
