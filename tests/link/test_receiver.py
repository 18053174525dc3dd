"""What the traffic says about a redirect that does not come, and when it is told."""

import pytest
from link.scripted_link import OURS, Script, UserSession, link_with
from support.link_script import until
from support.redirect_cases import REQUEST, redirect

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.events import Captured, Event, Guidance, GuidanceDue, Ignored, Linked, RejectedRequest, Way
from oauth_helper.receiver import MOMENTS, RedirectReceiver

FOREIGN = redirect(code="x", state="foreign")


def offer(receiver: RedirectReceiver, text: str) -> None:
    with pytest.raises(RedirectRejectedError):
        receiver.judge(text, Way.PAGE)


def test_guidance_comes_after_15_30_and_60_seconds() -> None:
    assert MOMENTS == (15, 30, 60)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([], [Guidance.UNREACHED, None, None]),
        ([None], [None, None, Guidance.UNDECIDED]),
        ([RejectedRequest.UNKNOWN_PATH, RejectedRequest.PREFETCH], [None, None, Guidance.UNDECIDED]),
        ([RejectedRequest.HTTPS], [Guidance.HTTPS, None, Guidance.UNDECIDED]),
        (["foreign-state", RejectedRequest.HTTPS], [Guidance.HTTPS, Guidance.OTHER_ATTEMPT, Guidance.UNDECIDED]),
        ([RejectedRequest.LOCALHOST], [Guidance.LOCALHOST, None, Guidance.UNDECIDED]),
        (["missing-code", "repeated-parameter"], [Guidance.NOT_WHOLE, None, Guidance.UNDECIDED]),
        (["wrong-repo-type", "wrong-issuer"], [Guidance.OTHER_ATTEMPT, None, Guidance.UNDECIDED]),
    ],
)
async def test_each_guidance_is_given_once_and_the_most_telling_first(
    reasons: list[str | None], expected: list[Guidance | None]
) -> None:
    receiver = RedirectReceiver(REQUEST, lambda _event: None)
    for reason in reasons:
        if reason:
            receiver.ignore(reason)
        else:
            receiver.page_opened()
    assert [receiver.guidance(is_last=moment == MOMENTS[-1]) for moment in MOMENTS] == expected


async def test_guidance_is_given_while_the_link_waits() -> None:
    async def waits_long(receiver: RedirectReceiver) -> None:
        receiver.page_opened()
        offer(receiver, FOREIGN)
        receiver.ignore(RejectedRequest.HTTPS)
        await until(lambda: len(advised(session.told)) == 3)
        receiver.judge(OURS, Way.PAGE)

    session = UserSession(waits_long, guidance_after=(0.01, 0.02, 0.03))
    await link_with(session, Script())
    assert advised(session.told) == [Guidance.HTTPS, Guidance.OTHER_ATTEMPT, Guidance.UNDECIDED]


def advised(told: list[Event]) -> list[Guidance]:
    return [event.guidance for event in told if isinstance(event, GuidanceDue)]


async def test_of_a_flood_the_first_ten_are_reported_and_the_others_once_a_second_and_before_the_redirect() -> None:
    told: list[Event] = []

    def counts(reason: str) -> list[int]:
        return [event.count for event in told if isinstance(event, Ignored) and event.reason == reason]

    async def is_flooded(receiver: RedirectReceiver) -> None:
        for _ in range(50):
            receiver.ignore(RejectedRequest.UNKNOWN_PATH)
        await until(lambda: counts(RejectedRequest.UNKNOWN_PATH)[-1] == 50)
        for _ in range(1000):
            offer(receiver, FOREIGN)
        receiver.judge(OURS, Way.PAGE)

    session = UserSession(is_flooded, tell=told.append)
    await link_with(session, Script())
    assert counts(RejectedRequest.UNKNOWN_PATH) == [*range(1, 11), 50]
    assert counts("foreign-state") == [*range(1, 11), 1000]
    kinds = [type(event) for event in told]
    assert kinds.index(Captured) == len(kinds) - 1 - kinds[::-1].index(Ignored) + 1


async def test_the_outcome_is_the_last_event() -> None:
    session = UserSession()
    await link_with(session, Script())
    assert session.receiver
    session.receiver.ignore(RejectedRequest.UNKNOWN_PATH)
    session.receiver.page_opened()
    session.receiver.warn_of_second_use("http://127.0.0.1:1/start?k=KEY")
    offer(session.receiver, FOREIGN)
    assert isinstance(session.told[-1], Linked)
