"""When the connection that stands ready is renewed and used, by clocks and connections of paper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from oauth_helper.servicestage.standby import STANDBY, Standby, StandbyPace


@dataclass
class PaperConnection:
    """Counts the glances at it."""

    is_closed: bool = False
    is_released: bool = False
    glances: int = 0

    @property
    def closed(self) -> bool:
        self.glances += 1
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def release(self) -> None:
        self.is_released = True


@dataclass
class Pool:
    """Opens as many as are wanted, unless it is held."""

    opened: list[PaperConnection] = field(default_factory=list)
    fails: OSError | None = None
    tries: int = 0
    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.may_open.set()

    async def connect(self) -> tuple[PaperConnection, float]:
        self.tries += 1
        await self.may_open.wait()
        if self.fails:
            raise self.fails
        self.opened.append(PaperConnection())
        return self.opened[-1], 0.0

    def standby(self, *, between: float = 0.0, after_sign: float = 0.0) -> Standby:
        pace = StandbyPace(between=between, after_sign=after_sign, glance=0.001)
        return Standby(self.connect, pace, wall=lambda: self.seconds)


async def until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110 - what is glanced at tells nobody
        await asyncio.sleep(0.001)


async def glanced_at(connection: PaperConnection) -> None:
    seen = connection.glances
    await until(lambda: connection.glances > seen + 5)


async def test_it_is_renewed_before_a_usual_server_closes_it() -> None:
    pool = Pool()
    standby = pool.standby()
    async with standby.kept():
        await until(lambda: len(pool.opened) == 1)
        pool.seconds = 44
        await glanced_at(pool.opened[0])
        assert len(pool.opened) == 1
        pool.seconds = 46
        await until(lambda: len(pool.opened) == 2)
    assert pool.opened[0].is_closed
    await standby.release()
    assert pool.opened[1].is_released


async def test_it_is_learned_that_a_server_closes_it_sooner() -> None:
    pool = Pool()
    standby = pool.standby()
    async with standby.kept():
        await until(lambda: len(pool.opened) == 1)
        pool.seconds = 20
        await glanced_at(pool.opened[0])
        pool.opened[0].is_closed = True
        await until(lambda: len(pool.opened) == 2)
        pool.seconds += 14
        await glanced_at(pool.opened[1])
        assert len(pool.opened) == 2
        pool.seconds += 2
        await until(lambda: len(pool.opened) == 3)
    await standby.close()


async def test_a_connection_that_lasts_longer_unteaches_it() -> None:
    pool = Pool()
    standby = pool.standby(between=3600)
    async with standby.kept():
        await until(lambda: len(pool.opened) == 1)
        pool.opened[0].is_closed = True
        standby.expect()
        await until(lambda: len(pool.opened) == 2)
        pool.seconds = 20
        await glanced_at(pool.opened[1])
        standby.expect()
        await until(lambda: len(pool.opened) == 3)
        pool.seconds += 10
        await glanced_at(pool.opened[2])
    await standby.release()
    assert pool.opened[2].is_released


@pytest.mark.parametrize("away", [55, 3600])
async def test_nothing_is_sent_on_what_the_server_is_about_to_close(away: float) -> None:
    """As after a sleep of the machine, through which the loop's clock stands still."""
    pool = Pool()
    standby = pool.standby(between=3600)
    async with standby.kept():
        await until(lambda: len(pool.opened) == 1)
    pool.seconds = away
    await standby.release()
    assert pool.opened[0].is_closed
    assert not pool.opened[0].is_released


async def test_nothing_is_opened_more_often_than_every_25_seconds_unless_somebody_comes() -> None:
    assert STANDBY.between == 25
    pool = Pool()
    standby = pool.standby(between=STANDBY.between)
    async with standby.kept():
        await until(lambda: len(pool.opened) == 1)
        pool.seconds = 50
        await glanced_at(pool.opened[0])
        assert pool.tries == 1
        standby.expect()
        await until(lambda: len(pool.opened) == 2)
        for _ in range(100):
            standby.expect()
        await glanced_at(pool.opened[1])
        assert pool.tries == 2, "what is fresh is not renewed, whoever comes"
    await standby.close()


async def test_signs_that_come_in_crowds_open_no_crowd() -> None:
    pool = Pool(fails=OSError("down"))
    standby = pool.standby(between=3600, after_sign=3600)
    async with standby.kept():
        await until(lambda: pool.tries == 1)
        for _ in range(100):
            standby.expect()
            await asyncio.sleep(0)
    assert pool.tries == 1


async def test_an_opening_that_fails_is_tried_again() -> None:
    pool = Pool(fails=OSError("down"))
    standby = pool.standby()
    async with standby.kept():
        await until(lambda: pool.tries == 3)
        pool.fails = None
        await until(lambda: len(pool.opened) == 1)
    await standby.close()


async def test_a_request_takes_the_connection_that_is_just_being_opened() -> None:
    pool = Pool()
    pool.may_open.clear()
    standby = pool.standby()
    async with standby.kept():
        await until(lambda: pool.tries == 1)
    releasing = asyncio.create_task(standby.release())
    await asyncio.sleep(0)
    pool.may_open.set()
    await releasing
    assert pool.opened[0].is_released


async def test_where_that_fails_the_request_does_and_opens_no_other() -> None:
    pool = Pool(fails=OSError("down"))
    pool.may_open.clear()
    standby = pool.standby()
    async with standby.kept():
        await until(lambda: pool.tries == 1)
    releasing = asyncio.create_task(standby.release())
    await asyncio.sleep(0)
    pool.may_open.set()
    with pytest.raises(OSError, match="down"):
        await releasing
    assert pool.tries == 1
    await standby.release()


async def test_the_end_of_the_wait_ends_the_keeping() -> None:
    pool = Pool()
    standby = pool.standby()
    with suppress(asyncio.CancelledError):
        async with standby.kept():
            await until(lambda: len(pool.opened) == 1)
            raise asyncio.CancelledError
    pool.opened[0].is_closed = True
    await until(lambda: not [task for task in asyncio.all_tasks() if "ready" in task.get_name()])
    await standby.close()
    assert pool.tries == 1
