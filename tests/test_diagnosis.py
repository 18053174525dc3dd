"""What the traffic says about a redirect that does not come, and when it is told."""

from dataclasses import replace

import pytest
from link_script import until
from paper_doors import NAME, OURS, PaperDoors, PaperService, consents
from redirect_cases import redirect

from oauth_helper.authorization import RepoType
from oauth_helper.cli.advice import ignored_in_words
from oauth_helper.desk import Desk
from oauth_helper.diagnosis import MOMENTS, Diagnosis
from oauth_helper.errors import RedirectRejectedError
from oauth_helper.events import Advice, Advised, Captured, Event, Ignored, Linked, Stray, Way
from oauth_helper.link_request import LinkRequest
from oauth_helper.linking import link

FOREIGN = redirect(code="x", state="foreign")


def offer(desk: Desk, text: str) -> None:
    with pytest.raises(RedirectRejectedError):
        desk.judge(text, Way.PAGE)


def test_advice_comes_after_15_30_and_60_seconds() -> None:
    assert MOMENTS == (15, 30, 60)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([], [Advice.UNREACHED, None, None]),
        ([None], [None, None, Advice.UNDECIDED]),
        ([Stray.UNKNOWN_PATH, Stray.PREFETCH], [None, None, Advice.UNDECIDED]),
        ([Stray.HTTPS], [Advice.HTTPS, None, Advice.UNDECIDED]),
        (["foreign-state", Stray.HTTPS], [Advice.HTTPS, Advice.OTHER_ATTEMPT, Advice.UNDECIDED]),
        ([Stray.LOCALHOST], [Advice.LOCALHOST, None, Advice.UNDECIDED]),
        (["missing-code", "repeated-parameter"], [Advice.NOT_WHOLE, None, Advice.UNDECIDED]),
        (["wrong-repo-type", "wrong-issuer"], [Advice.OTHER_ATTEMPT, None, Advice.UNDECIDED]),
    ],
)
def test_each_advice_is_given_once_and_the_most_telling_first(
    reasons: list[str | None], expected: list[Advice | None]
) -> None:
    diagnosis = Diagnosis()
    for reason in reasons:
        diagnosis.reached(reason)
    assert [diagnosis.advice(is_last=moment == MOMENTS[-1]) for moment in MOMENTS] == expected


def test_what_comes_between_two_moments_is_told_at_the_second() -> None:
    diagnosis = Diagnosis()
    assert diagnosis.advice(is_last=False) is Advice.UNREACHED
    diagnosis.reached(Stray.HTTPS)
    assert diagnosis.advice(is_last=False) is Advice.HTTPS


async def test_the_story_tells_the_advice_while_it_waits_and_none_afterwards() -> None:
    async def waits_long(desk: Desk) -> None:
        desk.visit()
        offer(desk, FOREIGN)
        desk.ignore(Stray.HTTPS)
        await until(lambda: len(advised(doors.told)) == 3)
        desk.judge(OURS, Way.PAGE)

    doors = PaperDoors(waits_long)
    request = LinkRequest(RepoType.GITHUB, NAME)
    await link(request, PaperService(), replace(doors.as_doors(), advice_after=(0.01, 0.02, 0.03)))
    assert advised(doors.told) == [Advice.HTTPS, Advice.OTHER_ATTEMPT, Advice.UNDECIDED]


async def test_where_a_moment_comes_with_nothing_new_nothing_is_told_of_it() -> None:
    async def waits_long(desk: Desk) -> None:
        offer(desk, FOREIGN)
        await until(lambda: len(advised(doors.told)) == 2)
        desk.judge(OURS, Way.PAGE)

    doors = PaperDoors(waits_long)
    request = LinkRequest(RepoType.GITHUB, NAME)
    await link(request, PaperService(), replace(doors.as_doors(), advice_after=(0.01, 0.02, 0.03)))
    assert advised(doors.told) == [Advice.OTHER_ATTEMPT, Advice.UNDECIDED]


def advised(told: list[Event]) -> list[Advice]:
    return [event.advice for event in told if isinstance(event, Advised)]


async def test_a_flood_is_told_one_by_one_at_first_then_in_sum_and_whole_before_the_redirect() -> None:
    told: list[Event] = []

    async def is_flooded(desk: Desk) -> None:
        for _ in range(1000):
            desk.ignore(Stray.UNKNOWN_PATH)
            offer(desk, FOREIGN)
        desk.judge(OURS, Way.PAGE)

    doors = PaperDoors(is_flooded, told=told)
    await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())
    for reason in (Stray.UNKNOWN_PATH, "foreign-state"):
        counts = [event.count for event in told if isinstance(event, Ignored) and event.reason == reason]
        assert counts == [*range(1, 11), 1000]
    kinds = [type(event) for event in told]
    assert kinds.index(Captured) == len(kinds) - 1 - kinds[::-1].index(Ignored) + 1


async def test_a_flood_that_goes_on_is_told_of_about_once_a_second() -> None:
    told: list[Event] = []

    async def goes_on(desk: Desk) -> None:
        for _ in range(50):
            desk.ignore(Stray.WRONG_KEY)
        await until(lambda: any(isinstance(event, Ignored) and event.count == 50 for event in told))
        desk.judge(OURS, Way.PAGE)

    doors = PaperDoors(goes_on, told=told)
    await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())
    assert [event.count for event in told if isinstance(event, Ignored)] == [*range(1, 11), 50]


async def test_nothing_that_comes_to_the_listener_is_told_after_the_end() -> None:
    doors = PaperDoors(consents)
    await link(LinkRequest(RepoType.GITHUB, NAME), PaperService(), doors.as_doors())
    assert doors.desk
    doors.desk.ignore(Stray.UNKNOWN_PATH)
    doors.desk.visit()
    doors.desk.warn_of_second_use("http://127.0.0.1:1/start?k=KEY")
    offer(doors.desk, FOREIGN)
    assert isinstance(doors.told[-1], Linked)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, ""),
        ({"foreign-state": 2, Stray.HTTPS: 1}, "Ignored: 2 of another attempt, 1 HTTPS."),
        ({Stray.UNKNOWN_PATH: 3, Stray.PREFETCH: 4, Stray.HTTPS: 9}, "Ignored: 9 HTTPS, 7 stray."),
        ({"missing-code": 1, "repeated-parameter": 1}, "Ignored: 2 not whole."),
    ],
)
def test_the_waiting_line_says_what_was_ignored(counts: dict[str, int], words: str) -> None:
    assert ignored_in_words(counts) == words
