"""Tell people on standard error what is happening; on a terminal, with a line that counts the time left down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from oauth_helper.cli.advice import advice_in_words
from oauth_helper.cli.directions import beside_the_page, directions, while_unreached
from oauth_helper.cli.voice import Voice
from oauth_helper.cli.waiting_line import WaitingLine
from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import (
    Advice,
    Advised,
    Captured,
    Checked,
    Deleted,
    Deleting,
    Event,
    Exchanging,
    Failed,
    Ignored,
    Joined,
    Linked,
    Looking,
    NotOpened,
    Opened,
    OpenedTwice,
    Progress,
    Refused,
    Resumed,
    Visited,
    Waiting,
    Warned,
    Way,
)
from oauth_helper.phrase import phrase
from oauth_helper.whereabouts import Whereabouts

_WAYS: Final = {
    Way.WINDOW: phrase("Received the redirect from the window."),
    Way.PAGE: phrase("Received the redirect from the page."),
    Way.TERMINAL: phrase("Received the redirect from the terminal."),
    Way.DIRECT: phrase("Received the redirect straight from the browser."),
    Way.DELIVER: phrase("Received the redirect from `oauth-helper deliver`."),
}


class Narrator(Voice):
    """Turn the story's events into lines."""

    def __init__(self, *, quiet: bool, verbosity: int) -> None:
        super().__init__(quiet=quiet)
        self.takes_pastes = False
        """Whether the line that counts down invites the user to paste."""
        self._verbosity = verbosity
        self._waiting_line = WaitingLine(self.stream)
        self._waiting: Waiting | None = None
        self._in_window = False
        self._is_looking = False
        self.progress: Progress = Progress()
        """How far the link is that was told last; `apply` tells of several."""
        self.linked: Linked | None = None
        """How it ended, where it ended well."""
        self.failure: OAuthHelperError | None = None
        """How it ended, where it did not."""

    @property
    def keys(self) -> Mapping[str, Callable[[], None]]:
        """What the keys do at which this knows more to say; Chinese keyboards have a question mark of their own."""
        return {"?": self._show_keys, "？": self._show_keys, "a": self._show_addresses}

    @property
    def _where(self) -> Whereabouts:
        from oauth_helper.browsers.surroundings import whereabouts  # noqa: PLC0415 - --help need not pay for asyncio

        return whereabouts(os.environ)

    def tell(self, event: Event) -> None:
        """Tell an event of the story."""
        if self.progress.is_over:
            self.progress = Progress()
        has_waited = self.progress.has_joined
        self.progress.take(event)
        match event:
            case Waiting() | Opened() | NotOpened():
                self._tell_of_the_wait(event)
            case Captured() | Refused() | Resumed() | Joined() | Linked() | Failed():
                self._tell_of_the_redirect(event, has_waited=has_waited)
            case Exchanging() | Looking() | Deleting() | Deleted():
                self._tell_of_the_exchange(event)
            case Warned(message):
                self.warn(message)
            case Checked(name, repo_type):
                self.say(
                    phrase(
                        "Linking {display_name} to ServiceStage as {name}.",
                        display_name=repo_type.display_name,
                        name=name,
                    )
                )
            case Ignored() | Visited() | OpenedTwice() | Advised():  # pragma: no branch - mypy: there is no other case
                self._tell_of_the_traffic(event)

    def stop_clock(self) -> None:
        """Take away the line that counts down."""
        self._waiting_line.stop()

    def _tell_of_the_wait(self, event: Waiting | Opened | NotOpened) -> None:
        match event:
            case Waiting():
                self._waiting = event
                self._start_clock(event)
            case Opened(browser, window=True, marked=marked):
                self._in_window = True
                self.say(
                    phrase(
                        "A window was opened ({browser}). Authorize there; nothing needs to be copied.", browser=browser
                    )
                )
                if marked:
                    self.say(phrase("Its robot mark and striped address bar are expected: its last request is held."))
                if self.takes_pastes:
                    self.say(phrase("To go on in your own browser instead, press b and Enter."))
            case Opened(browser):
                self._in_window = False
                self._tell_of_the_page(browser)
            case NotOpened():  # pragma: no branch - mypy: there is no other case
                self._in_window = False
                self._show_addresses()
        self._waiting_line.invites_to_paste = self.takes_pastes and not self._in_window
        self._waiting_line.has_keys = self.takes_pastes

    def _tell_of_the_page(self, browser: str) -> None:
        self.say(
            phrase("Your browser was opened ({browser}). If no page appears there, open it yourself:", browser=browser)
        )
        if self._waiting and not self.is_quiet:
            self.whole(self._waiting.listener)
        if beside := beside_the_page(self._where, takes_pastes=self.takes_pastes):
            self.say(beside)

    def _tell_of_the_redirect(
        self, event: Captured | Refused | Resumed | Joined | Linked | Failed, *, has_waited: bool
    ) -> None:
        self.stop_clock()
        match event:
            case Linked():
                self.linked = event
            case Failed(error):
                self.failure = error
            case Captured(way):
                self.say(_WAYS[way])
            case Resumed(name, captured_at):
                self.say(
                    phrase(
                        "Going on with {name}, whose redirect came at {captured_at:%H:%M:%S} UTC.",
                        name=name,
                        captured_at=captured_at,
                    )
                )
            case Refused():
                pass  # who asks what to do about it says why
            case Joined(name, can_deliver):  # pragma: no branch - mypy: there is no other case
                if not has_waited:
                    self.say(phrase("Another oauth-helper is linking {name}. Waiting for it.", name=name))
                if can_deliver and self.takes_pastes:
                    self.say(phrase("An address for it can be pasted here too; Ctrl-C stops."))

    def _tell_of_the_exchange(self, event: Exchanging | Looking | Deleting | Deleted) -> None:
        is_again, self._is_looking = self._is_looking, isinstance(event, Looking)
        match event:
            case Exchanging(attempt=1):
                self.say(phrase("Asking ServiceStage to create the authorization."))
            case Exchanging(attempt):
                self.say(phrase("Nothing came of it. Asking again (attempt {attempt}).", attempt=attempt))
            case Looking(name):
                self.say(phrase("Looking again.") if is_again else phrase("Looking whether {name} stands.", name=name))
            case Deleting():
                pass  # the deletion is told once it is done
            case Deleted(name):  # pragma: no branch - mypy: there is no other case
                self.say(phrase("Deleted the authorization that was named {name}.", name=name))

    def _tell_of_the_traffic(self, event: Ignored | Visited | OpenedTwice | Advised) -> None:
        match event:
            case Ignored(reason, count):
                self._waiting_line.ignore(reason, count)
                if self._verbosity:
                    self.say(
                        phrase(
                            "Ignored what is not our redirect: {reason}, {count} so far.", reason=reason, count=count
                        )
                    )
            case Advised(advice):
                self._advise(advice)
            case OpenedTwice(listener):
                # Even in quiet: it may be somebody else.
                self.insist_on_a_warning(
                    phrase(
                        "The page was already opened, and is asked for once more by another browser or program. If "
                        "that was you, open this instead. If not, press Ctrl-C and run the command again:"
                    )
                )
                self.whole(listener)
            case _:
                pass

    def _advise(self, advice: Advice) -> None:
        if self.is_quiet or self._waiting is None:
            return
        if advice is Advice.UNREACHED:
            said, what = while_unreached(self._where, self._waiting, takes_pastes=self.takes_pastes)
            self.say(said)
            self.whole(what)
        else:
            self.say(advice_in_words(advice, in_window=self._in_window, takes_pastes=self.takes_pastes))

    def _start_clock(self, waiting: Waiting) -> None:
        if self.stream.is_lively and not self.is_quiet:
            self._waiting_line.start(waiting)
        else:
            self.say(phrase("Waiting for the redirect until {time:%H:%M:%S} UTC.", time=waiting.expires_at))

    def _show_addresses(self) -> None:
        if self._waiting is None:
            return
        for said, what in directions(self._where, self._waiting, takes_pastes=self.takes_pastes):
            self.insist(said)
            self.whole(what)

    def _show_keys(self) -> None:
        self.insist(phrase("Type one of these, then Enter:"))
        if self._in_window:
            self.insist(phrase("b: go on in your own browser, beside the window"))
        self.insist(phrase("a: show the addresses again"))
        self.insist(phrase("?: show the keys"))
        self.insist(phrase("Ctrl-C: stop. Or paste the address where the browser ended; it is not shown."))
