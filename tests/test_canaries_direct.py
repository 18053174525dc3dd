"""No token and no password for a Git host gets out, by whichever way it comes and whatever goes wrong with it."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest
from canary_places import search
from canary_run import Run, searched_run

DEBUG = {"PYTHONASYNCIODEBUG": "1"}
TOKEN = ("link", "github", "--with-token", "--name", "my-auth", "-vv")
PASSWORD = ("link", "devcloud", "--with-password", "--user", "account/octocat", "--name", "my-auth", "-vv")


def plant(run: Run) -> tuple[str, str]:
    """Take the Git host's token and password for secrets, in every form in which they travel; return both."""
    token, password = run.sandbox.personal_token.reveal(), run.sandbox.git_password.reveal()
    run.plant("personal token", token)
    run.plant("Git password", password)
    run.plant("basic", base64.b64encode(f"account/octocat:{password}".encode()).decode())
    return token, password


@pytest.mark.parametrize(("told", "body"), [("--json", "documented"), ("--events", "terraform")])
async def test_a_link(tmp_path: Path, body: str, told: str) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG, password_body=body) as run:
        with run.forking():
            token, password = plant(run)
            for command, given in ((TOKEN, token), (PASSWORD, password)):
                for if_exists in ("keep", "fail"):
                    end = await run.command(*command, told, "--if-exists", if_exists, given=f"{given}\n")
                    assert end.process.returncode == (6 if if_exists == "fail" else 0), end.err
                await run.command("repos", "my-auth", "-vv", told.replace("--events", "--json"))
                await run.command("delete", "my-auth", "--yes", "-vv")


@pytest.mark.parametrize(
    "fault", ["exchange=drop-after", "exchange=500", "exchange=401", "exchange=403", "exchange=0402"]
)
async def test_what_goes_wrong(tmp_path: Path, fault: str) -> None:
    async with searched_run(tmp_path / "run", fault, fault, environ=DEBUG) as run:
        with run.forking():
            token, password = plant(run)
            for command, given in ((TOKEN, token), ((*PASSWORD, "--if-exists", "replace"), password)):
                await run.command(*command, "--json", given=given)
            assert len(run.sandbox.struck) == 2


async def test_secrets_that_are_not_taken(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        with run.forking():
            wrong = run.plant("wrong", secrets.token_urlsafe(30))
            run.plant("wrong, as basic", base64.b64encode(f"account/octocat:{wrong}".encode()).decode())
            for command in (TOKEN, PASSWORD):
                for given in (wrong, f"\x1b{wrong}"):
                    end = await run.command(*command, "--json", given=given)
                    assert end.process.returncode in {2, 6}, end.err
            host = f"https://someone:{wrong}@git.example"
            end = await run.command(*TOKEN, "--host", host, given=wrong)
            assert end.process.returncode == 2


async def test_a_terminal(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        token, password = plant(run)
        async with run.on_terminal(*TOKEN) as screen:
            await screen.until("Personal access token of GitHub: ")
            screen.type(f"{token}\n")
            assert await screen.ended() == 0, screen.shown
        async with run.on_terminal(*PASSWORD, "--if-exists", "replace") as screen:
            await screen.until("Password: ")
            screen.type(f"{password}\n")
            assert await screen.ended() == 0, screen.shown


async def test_the_search_would_find_the_token(tmp_path: Path) -> None:
    async with searched_run(tmp_path / "run", environ=DEBUG) as run:
        token, _ = plant(run)
        await run.command(*TOKEN, given=token)
        leak = run.folder / "home" / "leak"
        leak.write_text(token[3:20])
        with pytest.raises(AssertionError, match="personal token"):
            await search(run)
        leak.unlink()
