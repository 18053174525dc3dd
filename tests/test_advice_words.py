"""What a user reads while the redirect does not come: the advice, and that the page is asked for twice."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession
from command import surroundings
from link_script import LINK
from screen import terminal

from oauth_helper.cli.progress import Direction, beside_the_page, directions, guidance_text, while_unreached
from oauth_helper.environment import Environment, Place
from oauth_helper.events import Guidance, Waiting
from oauth_helper.sandbox import Sandbox

WAITING = Waiting("http://127.0.0.1:4711/start?k=KEY", "https://github.com/login/oauth/authorize", datetime.now(UTC))
DESKTOP = Environment(Place.DESKTOP)
SSH = Environment(Place.SSH, "ada@198.51.100.7")
CODESPACE = Environment(Place.CODESPACE, codespace="fluffy")
TUNNEL = "ssh -L 4711:127.0.0.1:4711 ada@198.51.100.7"


def words(guidance: Guidance, *, pastes: bool = True, window: bool = False) -> str:
    if guidance is Guidance.UNREACHED:
        return while_unreached(DESKTOP, WAITING, takes_pastes=pastes)[0]
    return guidance_text(guidance, in_window=window, takes_pastes=pastes)


@pytest.mark.parametrize(
    ("guidance", "happened", "remedy"),
    [
        (Guidance.HTTPS, "Your browser forces HTTPS", "http:// in front"),
        (Guidance.LOCALHOST, "asked for localhost", "127.0.0.1"),
        (Guidance.OTHER_USER, "Another user of this machine", "as the user who runs this command"),
        (Guidance.OTHER_ATTEMPT, "an earlier attempt", "the one that was opened now"),
        (Guidance.NOT_WHOLE, "was not whole", "Copy all of it"),
        (Guidance.UNREACHED, "Nothing has reached me yet", "first run there:"),
        (Guidance.UNDECIDED, "Nothing has come back yet", "paste the address where the browser ends"),
    ],
)
def test_each_advice_says_what_happened_and_what_to_do(guidance: Guidance, happened: str, remedy: str) -> None:
    told = words(guidance)
    assert told.index(happened) < told.index(remedy)
    assert len(told) < 3 * 80


def test_every_advice_has_its_words() -> None:
    assert all(words(guidance, pastes=pastes) for guidance in Guidance for pastes in (True, False))


def whats(told: list[Direction]) -> list[str]:
    return [what for _, what in told]


@pytest.mark.parametrize("pastes", [True, False])
@pytest.mark.parametrize("place", list(Place))
def test_everywhere_there_is_a_way_to_the_page_and_one_without_it(place: Place, pastes: bool) -> None:
    told = directions(Environment(place), WAITING, takes_pastes=pastes)
    assert whats(told)[-2:] == [WAITING.listener, WAITING.authorization_url]
    assert ("or here" in told[-1][0]) is pastes
    said, what = while_unreached(Environment(place), WAITING, takes_pastes=pastes)
    assert ("`oauth-helper deliver`" in said) is not pastes
    assert "THIS-MACHINE" in what or what == WAITING.authorization_url


def test_the_tunnel_comes_before_the_page_it_leads_to() -> None:
    assert whats(directions(SSH, WAITING, takes_pastes=True))[:2] == [TUNNEL, WAITING.listener]
    forward = whats(directions(CODESPACE, WAITING, takes_pastes=True))[0]
    assert forward == "gh codespace ports forward 4711:4711 -c fluffy"
    assert while_unreached(SSH, WAITING, takes_pastes=True)[1] == TUNNEL
    assert while_unreached(DESKTOP, WAITING, takes_pastes=True)[1].endswith("THIS-MACHINE")


def test_beside_the_page_it_is_told_what_stands_in_between() -> None:
    for place in Place:
        said = beside_the_page(Environment(place), takes_pastes=True)
        between = {Place.WSL, Place.CODESPACE, Place.GITPOD, Place.DEV_CONTAINER}
        assert said.endswith("press a and Enter.") if place in between else not said
    assert "press" not in beside_the_page(Environment(Place.WSL), takes_pastes=False)


def test_who_cannot_paste_here_is_told_of_deliver() -> None:
    assert "`oauth-helper deliver`" in words(Guidance.UNREACHED, pastes=False)
    assert "or here" not in words(Guidance.NOT_WHOLE, pastes=False)


def test_in_a_window_there_is_nothing_to_paste() -> None:
    assert words(Guidance.UNDECIDED, window=True).endswith("press b and Enter.")
    assert words(Guidance.UNDECIDED, window=True, pastes=False).endswith("Authorize there.")


async def test_a_second_use_is_told_on_the_terminal_with_an_address_that_works() -> None:
    async with Sandbox() as sandbox, terminal(*LINK, "--no-browser", environ=surroundings(sandbox)) as screen:
        first = (await screen.line_with("/start?k=")).split()[-1]
        async with ClientSession() as browser:
            for status, title in ((200, "Link your GitHub account"), (404, "This page was already opened")):
                async with browser.get(first) as answer:
                    assert (answer.status, title in await answer.text()) == (status, True)
            await screen.until("already opened, and is asked for once")
            async with asyncio.timeout(10), browser.get((await screen.line_with("/start?k=")).split()[-1]) as answer:
                assert 'id="authorize"' in await answer.text()
        await screen.until("Ignored: 1 already opened.")
        screen.type("\x03")
        assert await screen.ended() == 130


async def test_in_quiet_it_is_told_all_the_same() -> None:
    quiet = (*LINK, "--no-browser", "--quiet")
    async with Sandbox() as sandbox, terminal(*quiet, environ=surroundings(sandbox)) as screen:
        first = (await screen.line_with("/start?k=")).split()[-1]
        async with ClientSession() as browser:
            for _ in range(2):
                async with browser.get(first):
                    pass
        await screen.until("already opened")
        screen.type("\x03")
        assert await screen.ended() == 130
