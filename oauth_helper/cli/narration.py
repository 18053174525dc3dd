"""Tell people on standard error what is happening; on a terminal, with a line that counts the time left down."""

from __future__ import annotations

import os
from typing import Final

from oauth_helper.cli.advice import in_words, ssh_command
from oauth_helper.cli.colour import coloured
from oauth_helper.cli.error_stream import ErrorStream
from oauth_helper.cli.waiting_line import WaitingLine
from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import (
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
    Refused,
    Resumed,
    Visited,
    Waiting,
    Warned,
    Way,
)

_WAYS: Final = {
    Way.WINDOW: "from the window",
    Way.PAGE: "from the page",
    Way.TERMINAL: "from the terminal",
    Way.DIRECT: "straight from the browser",
    Way.DELIVER: "from another process",
}


class Narrator:
    """Turn the story's events into lines."""

    def __init__(self, *, quiet: bool, verbosity: int) -> None:
        self.takes_pastes = False
        """Whether the line that counts down invites the user to paste."""
        self._quiet = quiet
        self._verbosity = verbosity
        self._stream = ErrorStream()
        self._waiting_line = WaitingLine(self._stream)
        self.has_deleted: bool = False
        """Whether an authorization was deleted that was to be replaced."""
        self._waiting: Waiting | None = None
        self._in_window = False
        self._is_looking = False
        self.has_redirect: bool = False
        """Whether the redirect is in hand, with no end yet."""
        self.is_deleting: bool = False
        """Whether ServiceStage was asked to delete what is to be replaced, with no answer yet."""
        self.has_joined: bool = False
        """Whether another process did the linking."""
        self.is_kept: bool = True
        """Whether the redirect in hand is written down, as far as was told."""
        self.linked: Linked | None = None
        """How it ended, where it ended well."""
        self.failure: OAuthHelperError | None = None
        """How it ended, where it did not."""

    def say(self, line: str) -> None:
        """Show a line, unless the user wants quiet."""
        if not self._quiet:
            self.insist(line)

    def insist(self, line: str) -> None:
        """Show a line that the user needs even in quiet."""
        self._stream.line(line)

    def warn(self, message: str) -> None:
        """Show a warning."""
        self.say(f"{self._warning} {message}")

    def tell(self, event: Event) -> None:
        """Tell an event of the story."""
        match event:
            case Waiting() | Opened() | NotOpened():
                self._tell_of_the_wait(event)
            case Captured() | Refused() | Resumed() | Joined() | Linked() | Failed():
                self._tell_of_the_redirect(event)
            case Exchanging() | Looking() | Deleting() | Deleted():
                self._tell_of_the_exchange(event)
            case Warned(message):
                self.warn(message)
            case Checked(name, repo_type):
                self.say(f"Linking {repo_type.display_name} to ServiceStage as {name}.")
            case Ignored() | Visited() | OpenedTwice() | Advised():
                self._tell_of_the_traffic(event)

    @property
    def _warning(self) -> str:
        return coloured("warning:", self._stream.stream, "yellow")

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
                self.say(f"A window was opened ({browser}). Authorize there; nothing needs to be copied.")
                if marked:
                    self.say("Its robot mark and striped address bar are expected: its last request is held.")
                if self.takes_pastes:
                    self.say("To go on in your own browser instead, press b and Enter.")
            case Opened(browser):
                self._in_window = False
                self.say(f"Your browser was opened ({browser}). If no page appears there, open it yourself:")
                self.say(f"  {self._waiting.listener if self._waiting else ''}")
            case NotOpened():
                self._in_window = False
                self._show_addresses(self._waiting)
        self._waiting_line.invites_to_paste = self.takes_pastes and not self._in_window

    def _tell_of_the_redirect(self, event: Captured | Refused | Resumed | Joined | Linked | Failed) -> None:
        self.stop_clock()
        self.has_redirect = isinstance(event, Captured | Resumed)
        match event:
            case Linked():
                self.linked = event
            case Failed(error):
                self.failure = error
            case Captured(way):
                self.say(f"Received the redirect {_WAYS[way]}.")
            case Resumed(name, captured_at):
                self.say(f"Going on with {name}, whose redirect came at {captured_at:%H:%M:%S} UTC.")
            case Refused():
                pass  # who asks what to do about it says why
            case Joined(name):
                self.has_joined = True
                self.say(f"Another oauth-helper is linking {name}. Waiting for it.")

    def _tell_of_the_exchange(self, event: Exchanging | Looking | Deleting | Deleted) -> None:
        if isinstance(event, Exchanging):
            self.is_kept = event.kept
        is_again, self._is_looking = self._is_looking, isinstance(event, Looking)
        match event:
            case Exchanging(attempt=1):
                self.say("Asking ServiceStage to create the authorization.")
            case Exchanging(attempt):
                self.say(f"Nothing came of it. Asking again (attempt {attempt}).")
            case Looking(name):
                self.say("Looking again." if is_again else f"Looking whether {name} stands.")
            case Deleting():
                self.is_deleting = True
            case Deleted(name):
                self.is_deleting, self.has_deleted = False, True
                self.say(f"Deleted the authorization that was named {name}.")

    def _tell_of_the_traffic(self, event: Ignored | Visited | OpenedTwice | Advised) -> None:
        match event:
            case Ignored(reason, count):
                self._waiting_line.ignore(reason, count)
                if self._verbosity:
                    self.say(f"Ignored what is not our redirect: {reason}, {count} so far.")
            case Advised(advice) if self._waiting:
                words = in_words(
                    advice,
                    self._waiting,
                    in_window=self._in_window,
                    takes_pastes=self.takes_pastes,
                    environ=os.environ,
                )
                for line in self._stream.fitted(words):
                    self.say(line)
            case OpenedTwice(listener):
                # Even in quiet: it may be somebody else.
                self._insist_on_a_second_use(listener)
            case _:
                pass

    def _insist_on_a_second_use(self, listener: str) -> None:
        happened = "warning: The page was already opened, and is asked for once more by another browser or program."
        what = "If that was you, open this instead. If not, press Ctrl-C and run the command again:"
        first, *rest = self._stream.fitted(f"{happened} {what}\n  {listener}")
        for line in (first.replace("warning:", self._warning, 1), *rest):
            self.insist(line)

    def _start_clock(self, waiting: Waiting) -> None:
        if self._stream.is_terminal and not self._quiet:
            self._waiting_line.start(waiting)
        else:
            self.say(f"Waiting for the redirect until {waiting.expires_at:%H:%M:%S} UTC.")

    def _show_addresses(self, waiting: Waiting | None) -> None:
        if waiting is None:
            return
        self.insist("Open this page in a browser on this machine:")
        self.insist(f"  {waiting.listener}")
        here = ", or here" if self.takes_pastes else ""
        self.insist(f"Or authorize in any browser, and paste the address where it ends into that page{here}:")
        self.insist(f"  {waiting.authorization_url}")
        if os.environ.get("SSH_CONNECTION"):
            self.insist("To use the page from the machine in front of you, first run there:")
            self.insist(f"  {ssh_command(waiting, os.environ)}")
