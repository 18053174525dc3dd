"""Report the progress of a link."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from oauth_helper.cli.console import Console, ErrorStream, in_words
from oauth_helper.cli.output import status_in_words
from oauth_helper.environment import Environment, Place
from oauth_helper.errors import OAuthHelperError, StoppedError
from oauth_helper.events import (
    Advised,
    Captured,
    Checked,
    Deleted,
    Deleting,
    Event,
    Exchanging,
    Failed,
    Guidance,
    Ignored,
    Joined,
    Linked,
    Looking,
    NotOpened,
    Opened,
    OpenedTwice,
    Progress,
    Refused,
    RejectedRequest,
    Resumed,
    Visited,
    Waiting,
    Warned,
    Way,
)
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.models import as_argument
from oauth_helper.secret import safe_text

_KINDS: Final[Mapping[str, Text]] = {
    RejectedRequest.HTTPS: _("HTTPS"),
    RejectedRequest.LOCALHOST: _("for localhost"),
    RejectedRequest.ALREADY_OPENED: _("already opened"),
    RejectedRequest.OTHER_USER: _("by another user"),
    "foreign-state": _("of another attempt"),
    "wrong-repo-type": _("of another Git host"),
    "wrong-issuer": _("of another server"),
    "missing-code": _("not whole"),
    "repeated-parameter": _("not whole"),
    "no-redirect": _("no address"),
    "too-long": _("too long"),
    "unreadable": _("not readable"),
}
"""What is ignored, in two words; what a user can do nothing about is a stray request."""
_USUAL_KIND: Final = _("stray")


def ignored_in_words(counts: Mapping[str, int]) -> Text:
    """Return what stands on the waiting line, such as ``Ignored: 2 of another attempt, 1 HTTPS.``; else nothing."""
    kinds: dict[Text, int] = {}
    for reason, count in counts.items():
        kind = _KINDS.get(reason, _USUAL_KIND)
        kinds[kind] = kinds.get(kind, 0) + count
    most_first = sorted(kinds.items(), key=lambda kind: -kind[1])
    said = [_("{count} {kind}", count=count, kind=kind) for kind, count in most_first]
    return _("Ignored: {kinds}.", kinds=reduce(_and, said)) if said else NO_TEXT


def _and(text: Text, more: Text) -> Text:
    return _("{text}, {more}", text=text, more=more)


_WORDS: Final[Mapping[Guidance, Text]] = {
    Guidance.HTTPS: _(
        "Your browser forces HTTPS, which an address of this machine itself does not speak. Open the address as it is "
        "printed, with http:// in front, or allow HTTP for it in the browser."
    ),
    Guidance.LOCALHOST: _(
        "Something asked for localhost. Open the address with 127.0.0.1 in it, just as it is printed."
    ),
    Guidance.OTHER_USER: _(
        "Another user of this machine has asked for the page, and was refused. If it is you, open it as the user who "
        "runs this command."
    ),
    Guidance.OTHER_ATTEMPT: _(
        "That was the address of an earlier attempt, or of somebody else's. Leave that tab, and authorize in the one "
        "that was opened now."
    ),
}
"""The words that are the same wherever a user can paste."""


def guidance_text(guidance: Guidance, *, in_window: bool, takes_pastes: bool) -> Text:
    """Return the advice for people; that of :attr:`Advice.UNREACHED` depends on where we run, and is a direction."""
    match guidance:
        case Guidance.NOT_WHOLE if takes_pastes:
            return _(
                "The address that came was not whole. Copy all of it from the address bar, and paste it into the page, "
                "or here."
            )
        case Guidance.NOT_WHOLE:
            return _(
                "The address that came was not whole. Copy all of it from the address bar, and paste it into the page."
            )
        case Guidance.UNDECIDED:
            return _nothing_yet(in_window=in_window, takes_pastes=takes_pastes)
        case _:
            return _WORDS[guidance]


def _nothing_yet(*, in_window: bool, takes_pastes: bool) -> Text:
    if in_window:
        here = _("The window is open, and nothing has come back yet. Authorize there.")
        return here + _(" To go on in your own browser instead, press b and Enter.") if takes_pastes else here
    if takes_pastes:
        return _(
            "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into the "
            "page, or here."
        )
    return _(
        "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into the page."
    )


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

    def _words(self, left: int) -> Sequence[Text]:
        """Return the line, and shorter ones for narrower terminals."""
        what = _("Waiting for the redirect.")
        if self.invites_to_paste:
            what = _("Paste the redirect's address here or into the page.")
        time = _("{minutes}:{seconds:02} left", minutes=left // 60, seconds=left % 60)
        usual = _("{what} {time}, Ctrl-C stops.", what=what, time=time)
        shorter, brief = _("{what} {time}.", what=what, time=time), _("{time}, Ctrl-C stops.", time=time)
        if ignored := ignored_in_words(self._ignored):
            noisy = tuple(_("{line} {ignored}", line=line, ignored=ignored) for line in (usual, shorter))
            return (*noisy, shorter, brief)
        helpful = (
            _("{what} {time}, ? and Enter helps, Ctrl-C stops.", what=what, time=time),
            _("{what} {time}, ? and Enter helps.", what=what, time=time),
        )
        return (*(helpful if self.has_keys else ()), usual, shorter, brief)


LONGEST: Final = 0.02
"""Seconds that an event is held back: several times what it takes from the redirect to the request."""


class HeldBack:
    """Tells events in their order, those on the way to the request a moment later, with when they happened.

    To write lines, and to wake who reads them, takes time that the request would have to wait for.
    """

    def __init__(self, tell: Callable[[Event, datetime], None], *, longest: float = LONGEST) -> None:
        self._tell = tell
        self._longest = longest
        self._held: list[tuple[Event, datetime]] = []
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, event: Event) -> None:
        """Tell an event; one that is on the way to the request soon, any other now."""
        self._held.append((event, datetime.now(UTC)))
        if not (self._longest and isinstance(event, Captured | Exchanging)):
            self.catch_up()
        elif self._timer is None:
            import asyncio  # noqa: PLC0415 - a help need not wait for it

            self._timer = asyncio.get_running_loop().call_later(self._longest, self.catch_up)

    def catch_up(self) -> None:
        """Tell what is held back."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        for event, at in held:
            self._tell(event, at)


Direction = tuple[Text, str]
"""What to do, and the address or the command with which."""


def directions(where: Environment, waiting: Waiting, *, takes_pastes: bool) -> list[Direction]:
    """Return what a user does for whom no browser was opened, what comes first first."""
    return [*_to_the_page(where, waiting), (_without_the_page(takes_pastes=takes_pastes), waiting.authorization_url)]


def while_unreached(where: Environment, waiting: Waiting, *, takes_pastes: bool) -> Direction:
    """Return what to do while nothing has reached the page at all."""
    command = where.way_to(_port(waiting))
    match command, takes_pastes:
        case "", True:
            said = _(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "paste the address where it ends here:"
            )
        case "", False:
            said = _(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "hand the address where it ends to `oauth-helper deliver`:"
            )
        case _, True:
            said = _(
                "Nothing has reached me yet. If your browser runs on another machine, paste the address where it ends "
                "here, or first run there:"
            )
        case _:
            said = _(
                "Nothing has reached me yet. If your browser runs on another machine, hand its end to "
                "`oauth-helper deliver`, or first run there:"
            )
    return said, command or waiting.authorization_url


def beside_the_page(where: Environment, *, takes_pastes: bool) -> Text:
    """Return what to know where the page was opened in the user's own browser; mostly nothing."""
    if where.place is Place.WSL:
        said = _("A browser of Windows reaches it through WSL's localhost forwarding, which is usually on.")
    elif where.is_forwarded:
        said = _("Your editor forwards the page's port to your machine; one that runs in a browser cannot.")
    else:
        return NO_TEXT
    return said + _(" If the page does not come up, press a and Enter.") if takes_pastes else said


def _to_the_page(where: Environment, waiting: Waiting) -> list[Direction]:
    command = where.way_to(_port(waiting))
    match where.place:
        case Place.SSH:
            return [
                (_("First, on the machine in front of you, run this, and leave it open:"), command),
                (_("Then open this page in a browser there:"), waiting.listener),
            ]
        case Place.CODESPACE if command:
            return [
                (_("First, on the machine in front of you, run this, unless VS Code is open there:"), command),
                (_("Then open this page in a browser there:"), waiting.listener),
            ]
        case Place.CODESPACE | Place.GITPOD | Place.DEV_CONTAINER:
            ports = _("Open this page in your browser; your editor forwards its port to your machine (view Ports):")
            return [(ports, waiting.listener)]
        case Place.CONTAINER:
            shared = _("Open this page, if your browser reaches this container's own 127.0.0.1 (host network):")
            return [(shared, waiting.listener)]
        case Place.WSL:
            return [(_("Open this page in a browser, of Windows too:"), waiting.listener)]
        case _:
            return [(_("Open this page in a browser on this machine:"), waiting.listener)]


def _without_the_page(*, takes_pastes: bool) -> Text:
    if takes_pastes:
        return _("Or authorize in any browser, and paste the address where it ends into that page, or here:")
    return _(
        "Or authorize in any browser, and paste the address where it ends into that page, or hand it to "
        "`oauth-helper deliver`:"
    )


def _port(waiting: Waiting) -> int:
    return urlsplit(waiting.listener).port or 0


_WAYS: Final = {
    Way.WINDOW: _("Received the redirect from the window."),
    Way.PAGE: _("Received the redirect from the page."),
    Way.TERMINAL: _("Received the redirect from the terminal."),
    Way.DIRECT: _("Received the redirect straight from the browser."),
    Way.DELIVER: _("Received the redirect from `oauth-helper deliver`."),
}


class ProgressReporter(Console):
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
    def _where(self) -> Environment:
        from oauth_helper.browsers.discovery import environment  # noqa: PLC0415 - --help need not pay for asyncio

        return environment(os.environ)

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
                    _(
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
                    _("A window was opened ({browser}). Authorize there; nothing needs to be copied.", browser=browser)
                )
                if marked:
                    self.say(_("Its robot mark and striped address bar are expected: its last request is held."))
                if self.takes_pastes:
                    self.say(_("To go on in your own browser instead, press b and Enter."))
            case Opened(browser):
                self._in_window = False
                self._tell_of_the_page(browser)
            case NotOpened():  # pragma: no branch - mypy: there is no other case
                self._in_window = False
                self._show_addresses()
        self._waiting_line.invites_to_paste = self.takes_pastes and not self._in_window
        self._waiting_line.has_keys = self.takes_pastes

    def _tell_of_the_page(self, browser: str) -> None:
        self.say(_("Your browser was opened ({browser}). If no page appears there, open it yourself:", browser=browser))
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
                    _(
                        "Going on with {name}, whose redirect came at {captured_at:%H:%M:%S} UTC.",
                        name=name,
                        captured_at=captured_at,
                    )
                )
            case Refused():
                pass  # who asks what to do about it says why
            case Joined(name, can_deliver):  # pragma: no branch - mypy: there is no other case
                if not has_waited:
                    self.say(_("Another oauth-helper is linking {name}. Waiting for it.", name=name))
                if can_deliver and self.takes_pastes:
                    self.say(_("An address for it can be pasted here too; Ctrl-C stops."))

    def _tell_of_the_exchange(self, event: Exchanging | Looking | Deleting | Deleted) -> None:
        is_again, self._is_looking = self._is_looking, isinstance(event, Looking)
        match event:
            case Exchanging(attempt=1):
                self.say(_("Asking ServiceStage to create the authorization."))
            case Exchanging(attempt):
                self.say(_("Nothing came of it. Asking again (attempt {attempt}).", attempt=attempt))
            case Looking(name):
                self.say(_("Looking again.") if is_again else _("Looking whether {name} stands.", name=name))
            case Deleting():
                pass  # the deletion is told once it is done
            case Deleted(name):  # pragma: no branch - mypy: there is no other case
                self.say(_("Deleted the authorization that was named {name}.", name=name))

    def _tell_of_the_traffic(self, event: Ignored | Visited | OpenedTwice | Advised) -> None:
        match event:
            case Ignored(reason, count):
                self._waiting_line.ignore(reason, count)
                if self._verbosity:
                    self.say(
                        _("Ignored what is not our redirect: {reason}, {count} so far.", reason=reason, count=count)
                    )
            case Advised(guidance):
                self._advise(guidance)
            case OpenedTwice(listener):
                # Even in quiet: it may be somebody else.
                self.insist_on_a_warning(
                    _(
                        "The page was already opened, and is asked for once more by another browser or program. If "
                        "that was you, open this instead. If not, press Ctrl-C and run the command again:"
                    )
                )
                self.whole(listener)
            case _:
                pass

    def _advise(self, guidance: Guidance) -> None:
        if self.is_quiet or self._waiting is None:
            return
        if guidance is Guidance.UNREACHED:
            said, what = while_unreached(self._where, self._waiting, takes_pastes=self.takes_pastes)
            self.say(said)
            self.whole(what)
        else:
            self.say(guidance_text(guidance, in_window=self._in_window, takes_pastes=self.takes_pastes))

    def _start_clock(self, waiting: Waiting) -> None:
        if self.stream.is_lively and not self.is_quiet:
            self._waiting_line.start(waiting)
        else:
            self.say(_("Waiting for the redirect until {time:%H:%M:%S} UTC.", time=waiting.expires_at))

    def _show_addresses(self) -> None:
        if self._waiting is None:
            return
        for said, what in directions(self._where, self._waiting, takes_pastes=self.takes_pastes):
            self.insist(said)
            self.whole(what)

    def _show_keys(self) -> None:
        self.insist(_("Type one of these, then Enter:"))
        if self._in_window:
            self.insist(_("b: go on in your own browser, beside the window"))
        self.insist(_("a: show the addresses again"))
        self.insist(_("?: show the keys"))
        self.insist(_("Ctrl-C: stop. Or paste the address where the browser ended; it is not shown."))


if TYPE_CHECKING:
    pass


def say_how_it_ended(linked: Linked, name: str, reporter: ProgressReporter) -> None:
    """Say what became of ``name``, where it ended well."""
    if reporter.progress.has_joined and linked.kept:
        reporter.say(_("Linked {name}: the other oauth-helper did.", name=name))
    elif linked.kept:
        account = safe_text(linked.authorization.repo_user)
        if account:
            kept = _(
                "Kept {name} as it is, linked to the account {account}; --if-exists replace would link it again.",
                name=name,
                account=account,
            )
        else:
            kept = _("Kept {name} as it is; --if-exists replace would link it again.", name=name)
        reporter.say(kept)
    else:
        reporter.say(_("Linked {name}.", name=name))
    if not linked.authorization.works:
        status = status_in_words(linked.authorization)
        reporter.warn(_("ServiceStage says that it does not work yet: status {status}.", status=status))


def say_what_comes_next(name: str, *, in_sandbox: bool, quiet: bool) -> None:
    """Say what an authorization is good for."""
    console = Console(quiet=quiet)
    if in_sandbox:
        console.say(_("Next: the same with your account, without --sandbox. This sandbox is gone."))
        return
    console.say(
        _(
            "Next: in ServiceStage, choose {name} for the source of a component. `oauth-helper repos {argument}` shows "
            "the repositories that it can see.",
            name=safe_text(name),
            argument=as_argument(safe_text(name)),
        )
    )


def explain_stop(stopped: StoppedError, reporter: ProgressReporter, name: str, *, in_sandbox: bool) -> None:
    """Say in the error what a signal has left undone, and what to do about it."""
    progress = reporter.progress
    asked = _(" while ServiceStage was asked to create {name}", name=name)
    if progress.is_deleting:
        asked = _(
            " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
        )
    stopped.nothing_created = not progress.has_redirect
    stopped.message += asked if progress.has_redirect else _(". Nothing was created")
    if progress.has_deleted:
        stopped.message += _(". The authorization that was named {name} is deleted", name=name)
    if not progress.has_redirect:
        return
    if in_sandbox:
        stopped.hint = _("The sandbox has ended too. Run the command again when you are ready.")
    elif progress.is_kept:
        stopped.hint = _("The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming.")
    else:
        stopped.hint = _(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
            name=as_argument(name),
        )
