"""``deliver``: by each way of handing it the address, to the right link, and to nobody else's."""

import asyncio

import pytest
from support.command_runner import commands, error_of, records
from support.link_script import NAME, consent, delivered, scripted, secrets_of
from support.promised_json import read_error
from support.screen import terminal

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError
from oauth_helper.sandbox import Sandbox


async def test_as_an_argument_it_is_taken_with_a_warning(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with scripted(environ=environ) as script:
        took = await commands.run("deliver", await script.consent(), environ=environ)
        assert (await script.ended()).status == 0
    assert took.status == 0, took.err
    assert "warning: The address, code included, is now in your shell's history" in took.err
    assert "Account   octocat" in took.out


async def test_a_prompt_takes_it_unseen(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with scripted(environ=environ) as script:
        redirect = await script.consent()
        async with terminal("deliver", environ=environ) as screen:
            await screen.until("Paste the final address (it is not shown).")
            screen.type(f"{redirect}\n")
            assert await screen.ended() == 0, screen.shown
        assert (await script.ended()).status == 0
    assert f'Linked "{NAME}".' in screen.shown
    assert not [secret for secret in secrets_of(redirect) if secret in screen.shown]


@pytest.mark.parametrize("text", ["", "garbage", "https://console.example/?code=abc&state=foreign"])
async def test_what_no_link_takes_ends_with_wrong_usage_and_the_link_waits_on(sandbox: Sandbox, text: str) -> None:
    environ = commands.environ(sandbox)
    async with scripted(environ=environ) as script:
        redirect = await script.consent()
        refused = await delivered(text, environ, "--json")
        assert (refused.status, refused.out) == (2, "")
        assert error_of(refused.err)["kind"] == "redirect-rejected"
        assert (await delivered(redirect, environ)).status == 0
        assert (await script.ended()).status == 0
    assert script.names == ["checked", "waiting", "ignored", "captured", "exchanging", "linked"]


@pytest.mark.parametrize("decision", ["authorize", "deny"])
async def test_both_sides_are_told_what_comes_of_it(sandbox: Sandbox, decision: str) -> None:
    environ = commands.environ(sandbox)
    async with terminal("link", "github", "--no-browser", "--name", NAME, environ=environ) as link:
        redirect = await consent((await link.line_with("/login/oauth/authorize")).split()[-1], decision)
        reading = asyncio.create_task(link.until("Next:" if decision == "authorize" else "hint:"))
        stranger = await delivered(redirect.replace("state=", "state=x"), environ)
        assert f"Waiting for the final address: {NAME} (GitHub)." in stranger.err
        assert f"hint: Still waiting: {NAME}. Copy the whole address" in stranger.err
        took = await delivered(redirect, environ)
        await reading
        assert took.status == await link.ended()
    if decision == "authorize":
        assert f'Linked "{NAME}"' in link.shown
        assert f'Linked "{NAME}".' in took.err
    else:
        assert f'"{NAME}" was not linked:\nerror: You denied access\n' in took.err


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_outcome_is_in_the_language_of_who_delivers_or_english_for_json(
    sandbox: Sandbox, as_json: bool
) -> None:
    environ, options = commands.environ(sandbox), ["--lang", "zh", *["--json"] * as_json]
    async with scripted(environ=environ) as script:
        redirect = await script.consent("deny")
        rejected = await delivered("garbage", environ, *options)
        failed = await delivered(redirect, environ, *options)
        assert (await script.ended()).status == failed.status == 4
    for end, error in ((rejected, RedirectRejectedError), (failed, AuthorizationDeniedError)):
        if as_json:
            last = read_error(end.err.splitlines()[-1])
            assert last["kind"] == error.kind
            assert last["message"].isascii()
        else:
            assert not end.err.splitlines()[-2].isascii()
            assert not end.err.splitlines()[-1].isascii()


async def test_with_no_link_waiting_there_is_nobody_to_take_it(sandbox: Sandbox) -> None:
    end = await delivered("garbage", commands.environ(sandbox), "--json")
    assert (end.status, end.out) == (9, "")
    assert error_of(end.err)["kind"] == "machine"
    assert "No link of yours is waiting" in end.err


async def test_of_two_links_the_one_takes_it_whose_state_it_bears(sandbox: Sandbox) -> None:
    environ = commands.environ(sandbox)
    async with (
        scripted("link", "github", "--name", "first", environ=environ) as first,
        scripted("link", "gitlab", "--name", "second", environ=environ) as second,
    ):
        redirects = [await first.consent(), await second.consent()]
        for script, redirect in zip((second, first), reversed(redirects), strict=True):
            assert (await delivered(redirect, environ)).status == 0
            assert (await script.ended()).status == 0
    assert [one["name"] for one in await records(sandbox)] == ["second", "first"]
