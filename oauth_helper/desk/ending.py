"""How a link ends: what is told at its end, once."""

from __future__ import annotations

from collections.abc import Callable

from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import Event, Failed, Outcome, Progress


class Ending:
    """Tells the events of a link, and its end once: before anything is closed, and with what it means."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.progress: Progress = Progress()

    def watch(self, event: Event) -> None:
        """Tell an event, and remember how far the link is."""
        self.progress.take(event)
        self._tell(event)

    def explain(self, error: OAuthHelperError) -> None:
        """Say in an error that nothing was created, if that is certain. Further calls change nothing."""
        if not self.progress.may_be_created:
            error.say_that_nothing_was_created()

    def tell(self, outcome: Outcome) -> None:
        """Tell the end, unless it is told."""
        if self.progress.is_over:
            return
        if isinstance(outcome, Failed):
            self.explain(outcome.error)
        self.watch(outcome)
