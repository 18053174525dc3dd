"""One coroutine run to its end: what no task is there to raise is logged, and only a signal is a stop."""

import asyncio
import logging

import pytest

from oauth_helper.cli.options import run


async def and_a_callback_fails() -> str:
    def fail() -> None:
        raise ZeroDivisionError("-".join(("planted", "word")))

    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)
    return "done"


def test_a_fault_in_a_callback_ends_nothing_and_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "oauth_helper"):
        assert run(and_a_callback_fails()) == "done"
    [record] = caplog.records
    assert record.name == "oauth_helper.cli.options"
    assert "ZeroDivisionError" in record.getMessage()
    assert "planted-word" not in record.getMessage()


async def that_is_cancelled_from_within() -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(0)


def test_a_cancellation_that_no_signal_brought_is_no_stop() -> None:
    with pytest.raises(asyncio.CancelledError):
        run(that_is_cancelled_from_within())
