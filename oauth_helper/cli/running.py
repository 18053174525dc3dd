"""Run one coroutine to its end; a signal stops it in order and becomes an exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from oauth_helper.errors import StoppedError
from oauth_helper.phrase import phrase

if TYPE_CHECKING:
    import asyncio
    import signal
    from collections.abc import Coroutine, Mapping

_WORDS: Final = {"SIGINT": phrase("Interrupted"), "SIGTERM": phrase("Terminated"), "SIGHUP": phrase("Hung up")}
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; return what it returns.

    Raises:
        StoppedError: SIGINT, SIGTERM or SIGHUP came. ``work`` was cancelled and has closed what it had opened.
    """
    import asyncio  # noqa: PLC0415 - a help need not wait for it

    return asyncio.run(_until_stopped(work))


def _log_fault(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log what no task is there to raise; asyncio would show what errors say, and what callbacks are called with."""
    import logging  # noqa: PLC0415 - nothing fails, as a rule

    from oauth_helper.fault_trace import trace_of  # noqa: PLC0415 - as above

    fault = context.get("exception")
    logging.getLogger(__name__).error("A fault of oauth-helper:\n%s", trace_of(fault) if fault else context["message"])


async def _until_stopped(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # noqa: PLC0415 - as above
    import signal  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_fault)
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for name in _WORDS:
        number = getattr(signal, name, None)
        # nohup means it; a shell that starts a job in the background ignores SIGINT for it, and then cannot stop it.
        ignored = name == "SIGHUP" and number and signal.getsignal(number) is signal.SIG_IGN
        if number and not ignored:
            try:
                loop.add_signal_handler(number, stop, number)
            except NotImplementedError:  # pragma: no cover - Windows, where Ctrl-C arrives as KeyboardInterrupt
                break
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise StoppedError(_WORDS[received[0].name], signal_number=received[0]) from None
