"""Events on the way to the request are told a moment later, in their order."""

import asyncio
from datetime import UTC, datetime

from oauth_helper.cli.progress import HeldBack
from oauth_helper.events import Captured, Checked, Event, Exchanging, Looking, Way
from oauth_helper.models import RepoType

CAPTURED, EXCHANGING = Captured(Way.DIRECT), Exchanging(1, replaces=False, kept=True)
CHECKED, LOOKING = Checked("my-auth", RepoType.GITHUB), Looking("my-auth")


class Listener:
    """Hears what is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.moments: list[datetime] = []
        self.heard = asyncio.Event()

    def tell(self, event: Event, at: datetime) -> None:
        """Hear an event."""
        self.events.append(event)
        self.moments.append(at)
        self.heard.set()


async def test_other_events_are_told_at_once() -> None:
    listener = Listener()
    HeldBack(listener.tell).tell(CHECKED)
    assert listener.events == [CHECKED]


async def test_what_is_held_back_comes_before_what_follows_it() -> None:
    listener = Listener()
    held_back = HeldBack(listener.tell)
    held_back.tell(CAPTURED)
    held_back.tell(EXCHANGING)
    assert listener.events == []
    held_back.tell(LOOKING)
    assert listener.events == [CAPTURED, EXCHANGING, LOOKING]


async def test_it_is_told_soon_where_nothing_follows_and_with_when_it_happened() -> None:
    listener = Listener()
    before = datetime.now(UTC)
    HeldBack(listener.tell).tell(CAPTURED)
    after = datetime.now(UTC)
    await listener.heard.wait()
    assert listener.events == [CAPTURED]
    assert before <= listener.moments[0] <= after


async def test_whoever_ends_catches_up_and_nothing_is_told_twice() -> None:
    listener = Listener()
    held_back = HeldBack(listener.tell)
    held_back.tell(CAPTURED)
    held_back.catch_up()
    held_back.catch_up()
    assert listener.events == [CAPTURED]
