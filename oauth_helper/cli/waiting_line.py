"""The line that counts down while the redirect is waited for, with what was ignored meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oauth_helper.cli.advice import ignored_in_words
from oauth_helper.cli.speech import in_words
from oauth_helper.phrase import Phrase, phrase

if TYPE_CHECKING:
    import asyncio

    from oauth_helper.cli.error_stream import ErrorStream
    from oauth_helper.events import Waiting

_TICK: Final = 1.0
"""Seconds."""


class WaitingLine:
    """Runs from :meth:`start` to :meth:`stop`, on a terminal."""

    def __init__(self, stream: ErrorStream) -> None:
        self.invites_to_paste = False
        self.has_keys = False
        """Whether ``?`` shows what keys there are."""
        self._stream = stream
        self._ignored: dict[str, int] = {}
        self._clock: asyncio.Task[None] | None = None

    def start(self, waiting: Waiting) -> None:
        """Count down to the end of the wait."""
        self.stop()
        self._ignored.clear()
        import asyncio  # noqa: PLC0415 - a help need not wait for it

        self._clock = asyncio.get_running_loop().create_task(self._count_down(waiting))

    def stop(self) -> None:
        """Take the line away."""
        if self._clock:
            self._clock.cancel()
            self._clock = None
            self._stream.clear_bottom_line()

    def ignore(self, reason: str, count: int) -> None:
        """Know how often something was ignored for that reason so far."""
        self._ignored[reason] = count

    async def _count_down(self, waiting: Waiting) -> None:
        import asyncio  # noqa: PLC0415 - as above

        while (left := (waiting.expires_at - datetime.now(UTC)).total_seconds()) > 0:
            self._stream.bottom_line([in_words(words) for words in self._words(round(left))])
            await asyncio.sleep(_TICK)

    def _words(self, left: int) -> Sequence[Phrase]:
        """Return the line, and shorter ones for narrower terminals."""
        what = phrase("Waiting for the redirect.")
        if self.invites_to_paste:
            what = phrase("Paste the redirect's address here or into the page.")
        time = phrase("{minutes}:{seconds:02} left", minutes=left // 60, seconds=left % 60)
        usual = phrase("{what} {time}, Ctrl-C stops.", what=what, time=time)
        shorter, brief = phrase("{what} {time}.", what=what, time=time), phrase("{time}, Ctrl-C stops.", time=time)
        if ignored := ignored_in_words(self._ignored):
            noisy = tuple(phrase("{line} {ignored}", line=line, ignored=ignored) for line in (usual, shorter))
            return (*noisy, shorter, brief)
        helpful = (
            phrase("{what} {time}, ? and Enter helps, Ctrl-C stops.", what=what, time=time),
            phrase("{what} {time}, ? and Enter helps.", what=what, time=time),
        )
        return (*(helpful if self.has_keys else ()), usual, shorter, brief)
