"""Each attack of ``make torture`` on a whole command, and that an attack which succeeds is noticed."""

import pytest
from security.attacks import ATTACKS, Attack
from support.thoroughness import IS_THOROUGH
from tools.torture import OK, verdict
from tools.torture_victims import Waiting, our_capture, our_link, peer, provider

TRIED = [one for number, one in enumerate(ATTACKS) if IS_THOROUGH or not (one.is_loud or number % 4)]


@pytest.mark.parametrize("waiting", [our_link, our_capture], ids=["link", "capture"])
@pytest.mark.parametrize("attack", TRIED, ids=lambda attack: attack.name.replace(" ", "-"))
async def test_the_genuine_redirect_is_taken_in_spite_of(attack: Attack, waiting: Waiting) -> None:
    word, why = await verdict(attack, waiting, limit=30)
    assert word == OK, why


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("no attack", OK),
        ("HEAD", "taken"),
        ("foreign Host", "taken"),
        ("three genuine at once", "1 of 3 answered"),
        ("CRLF in every provider field", "header injected"),
        ("script in every provider field", "script in a page"),
        ("escape codes in every provider field", "escape codes printed"),
        ("one silent connection", "HANG"),
    ],
)
async def test_an_attack_that_succeeds_is_noticed(name: str, word: str) -> None:
    attack = next(one for one in ATTACKS if one.name == name)
    async with provider() as serving:
        assert (await verdict(attack, peer("gullible", serving), limit=2.0))[0] == word
