"""Report the progress of a link on standard error."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Final
from urllib.parse import urlsplit

from oauth_helper import events
from oauth_helper.cli.console import Console, translate
from oauth_helper.cli.output import status_text
from oauth_helper.environment import CONTAINER_MARKS, Environment, Place, find_environment
from oauth_helper.errors import StoppedError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.models import as_argument
from oauth_helper.secret import safe_text

_IGNORED: Final[Mapping[str, Text]] = {
    events.RejectedRequest.HTTPS: _("HTTPS"),
    events.RejectedRequest.LOCALHOST: _("for localhost"),
    events.RejectedRequest.ALREADY_OPENED: _("already opened"),
    events.RejectedRequest.OTHER_USER: _("by another user"),
    "foreign-state": _("of another attempt"),
    "wrong-repo-type": _("of another Git host"),
    "wrong-issuer": _("of another server"),
    "missing-code": _("not whole"),
    "repeated-parameter": _("not whole"),
    "no-redirect": _("no address"),
    "too-long": _("too long"),
    "unreadable": _("not readable"),
}
"""Reasons that a user can do something about; all others are stray requests."""


def ignored_text(counts: Mapping[str, int]) -> Text:
    """Return a sentence for the status line, such as ``Ignored: 2 of another attempt, 1 HTTPS.``, or nothing."""
    kinds: Counter[Text] = Counter()
    for reason, count in counts.items():
        kinds[_IGNORED.get(reason, _("stray"))] += count
    parts = [_("{count} {kind}", count=count, kind=kind) for kind, count in kinds.most_common()]
    return _("Ignored: {kinds}.", kinds=reduce(_and, parts)) if parts else NO_TEXT


def _and(text: Text, more: Text) -> Text:
    return _("{text}, {more}", text=text, more=more)


_GUIDANCE: Final[Mapping[events.Guidance, Text]] = {
    events.Guidance.HTTPS: _(
        "Your browser forces HTTPS, which an address of this machine itself does not speak. Open the address as it is "
        "printed, with http:// in front, or allow HTTP for it in the browser."
    ),
    events.Guidance.LOCALHOST: _(
        "Something asked for localhost. Open the address with 127.0.0.1 in it, just as it is printed."
    ),
    events.Guidance.OTHER_USER: _(
        "Another user of this machine has asked for the page, and was refused. If it is you, open it as the user who "
        "runs this command."
    ),
    events.Guidance.OTHER_ATTEMPT: _(
        "That was the address of an earlier attempt, or of somebody else's. Leave that tab, and authorize in the one "
        "that was opened now."
    ),
}


def guidance_text(guidance: events.Guidance, *, in_window: bool, takes_pastes: bool) -> Text:
    """Return what to do about a problem; :func:`unreached_text` does so for :attr:`Guidance.UNREACHED`."""
    where = _("the page, or here") if takes_pastes else _("the page")
    match guidance:
        case events.Guidance.NOT_WHOLE:
            return _(
                "The address that came was not whole. Copy all of it from the address bar, and paste it into {where}.",
                where=where,
            )
        case events.Guidance.UNDECIDED if in_window:
            text = _("The window is open, and nothing has come back yet. Authorize there.")
            return text + _(" To go on in your own browser instead, press b and Enter.") if takes_pastes else text
        case events.Guidance.UNDECIDED:
            return _(
                "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into "
                "{where}.",
                where=where,
            )
        case _:
            return _GUIDANCE[guidance]


Step = tuple[Text, str]
"""What to do, and the address or the command for it."""


def manual_steps(here: Environment, waiting: events.Waiting, *, takes_pastes: bool) -> list[Step]:
    """Return what a user does if no browser was opened: reach the page, or authorize without it."""
    command = _forward_command(here, waiting)
    forward = None
    open_page = _("Then open this page in a browser there:")
    match here.place:
        case Place.SSH:
            forward = _("First, on the machine in front of you, run this, and leave it open:")
        case Place.CODESPACE if command:
            forward = _("First, on the machine in front of you, run this, unless VS Code is open there:")
        case Place.CODESPACE | Place.GITPOD | Place.DEV_CONTAINER:
            open_page = _("Open this page in your browser; your editor forwards its port to your machine (view Ports):")
        case Place.CONTAINER:
            open_page = _("Open this page, if your browser reaches this container's own 127.0.0.1 (host network):")
        case Place.WSL:
            open_page = _("Open this page in a browser, of Windows too:")
        case _:
            open_page = _("Open this page in a browser on this machine:")
    without_page = _(
        "Or authorize in any browser, and paste the address where it ends into that page, {otherwise}:",
        otherwise=_("or here") if takes_pastes else _("or hand it to `oauth-helper deliver`"),
    )
    steps = [(forward, command)] if forward else []
    return [*steps, (open_page, waiting.listener), (without_page, waiting.authorization_url)]


def unreached_text(here: Environment, waiting: events.Waiting, *, takes_pastes: bool) -> Step:
    """Return what to do while nothing has reached the page at all."""
    command = _forward_command(here, waiting)
    match command, takes_pastes:
        case "", True:
            text = _(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "paste the address where it ends here:"
            )
        case "", False:
            text = _(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "hand the address where it ends to `oauth-helper deliver`:"
            )
        case _, True:
            text = _(
                "Nothing has reached me yet. If your browser runs on another machine, paste the address where it ends "
                "here, or first run there:"
            )
        case _:
            text = _(
                "Nothing has reached me yet. If your browser runs on another machine, hand its end to "
                "`oauth-helper deliver`, or first run there:"
            )
    return text, command or waiting.authorization_url


def forwarding_text(here: Environment, *, takes_pastes: bool) -> Text:
    """Return what stands between the user's own browser and the page; usually nothing."""
    if here.place is Place.WSL:
        text = _("A browser of Windows reaches it through WSL's localhost forwarding, which is usually on.")
    elif here.is_forwarded:
        text = _("Your editor forwards the page's port to your machine; one that runs in a browser cannot.")
    else:
        return NO_TEXT
    return text + _(" If the page does not come up, press a and Enter.") if takes_pastes else text


def _environment() -> Environment:
    return find_environment(os.environ, has_container_mark=any(map(os.path.exists, CONTAINER_MARKS)))


def _forward_command(here: Environment, waiting: events.Waiting) -> str:
    return here.way_to(urlsplit(waiting.listener).port or 0)


_CAPTURED: Final = {
    events.Way.WINDOW: _("Received the redirect from the window."),
    events.Way.PAGE: _("Received the redirect from the page."),
    events.Way.TERMINAL: _("Received the redirect from the terminal."),
    events.Way.DIRECT: _("Received the redirect straight from the browser."),
    events.Way.DELIVER: _("Received the redirect from `oauth-helper deliver`."),
}


class ProgressReporter(Console):
    """Prints the events of a link. `apply` reports several links, one after the other."""

    def __init__(self, *, quiet: bool, verbosity: int) -> None:
        super().__init__(quiet=quiet)
        self.takes_pastes = False
        """Whether the user can paste into the terminal."""
        self.progress: events.Progress = events.Progress()
        """How far the last link is."""
        self.outcome: events.Outcome | None = None
        """How the last link ended."""
        self._verbosity = verbosity
        self._waiting: events.Waiting | None = None
        self._in_window = False
        self._is_verifying = False
        self._ignored: dict[str, int] = {}
        self._countdown: asyncio.Task[None] | None = None

    @property
    def keys(self) -> Mapping[str, Callable[[], None]]:
        """What keys do at the prompt; Chinese keyboards have their own question mark."""
        return {"?": self._print_keys, "？": self._print_keys, "a": self._print_addresses}

    def tell(self, event: events.Event) -> None:  # noqa: C901 - a table
        """Print an event."""
        if self.progress.is_over:
            self.progress = events.Progress()
        has_joined = self.progress.has_joined
        self.progress.take(event)
        if isinstance(
            event, events.Captured | events.Refused | events.Resumed | events.Joined | events.Linked | events.Failed
        ):
            self.stop_countdown()
        was_verifying = self._is_verifying
        if isinstance(event, events.Exchanging | events.Looking | events.Deleted):
            self._is_verifying = isinstance(event, events.Looking)
        match event:
            case events.Warned(message):
                self.warn(message)
            case events.Checked(name, repo_type):
                host = repo_type.display_name
                self.print(_("Linking {display_name} to ServiceStage as {name}.", display_name=host, name=name))
            case events.Waiting(expires_at=expires_at):
                self._waiting, self._ignored = event, {}
                if self.has_status_line and not self.is_quiet:
                    self.stop_countdown()
                    self._countdown = asyncio.get_running_loop().create_task(self._count_down(expires_at))
                else:
                    self.print(_("Waiting for the redirect until {time:%H:%M:%S} UTC.", time=expires_at))
            case events.Opened(browser, window, marked):
                self._in_window = window
                if window:
                    self._print_window(browser, marked=marked)
                else:
                    self._print_page(browser)
            case events.NotOpened():
                self._in_window = False
                self._print_addresses()
            case events.Ignored(reason, count):
                self._ignored[reason] = count
                if self._verbosity:
                    text = _("Ignored what is not our redirect: {reason}, {count} so far.", reason=reason, count=count)
                    self.print(text)
            case events.Advised(guidance):
                self._print_guidance(guidance)
            case events.OpenedTwice(listener):
                text = _(
                    "The page was already opened, and is asked for once more by another browser or program. If "
                    "that was you, open this instead. If not, press Ctrl-C and run the command again:"
                )
                self.warn(text, always=True)
                self.print_whole(listener)
            case events.Captured(way):
                self.print(_CAPTURED[way])
            case events.Resumed(name, captured_at):
                text = _(
                    "Going on with {name}, whose redirect came at {captured_at:%H:%M:%S} UTC.",
                    name=name,
                    captured_at=captured_at,
                )
                self.print(text)
            case events.Joined(name, can_deliver):
                if not has_joined:
                    self.print(_("Another oauth-helper is linking {name}. Waiting for it.", name=name))
                if can_deliver and self.takes_pastes:
                    self.print(_("An address for it can be pasted here too; Ctrl-C stops."))
            case events.Exchanging(attempt=1):
                self.print(_("Asking ServiceStage to create the authorization."))
            case events.Exchanging(attempt):
                self.print(_("Nothing came of it. Asking again (attempt {attempt}).", attempt=attempt))
            case events.Looking(name):
                self.print(_("Looking again.") if was_verifying else _("Looking whether {name} stands.", name=name))
            case events.Deleted(name):
                self.print(_("Deleted the authorization that was named {name}.", name=name))
            case events.Linked() | events.Failed():
                self.outcome = event
            case _:
                pass  # Deleting, events.Refused, Visited: a later event says what becomes of it

    def stop_countdown(self) -> None:
        """Remove the line that counts down."""
        if self._countdown:
            self._countdown.cancel()
            self._countdown = None
            self.clear_status_line()

    async def _count_down(self, expires_at: datetime) -> None:
        while (left := (expires_at - datetime.now(UTC)).total_seconds()) > 0:
            self.set_status_line([translate(text) for text in self._countdown_texts(round(left))])
            await asyncio.sleep(1)

    def _countdown_texts(self, left: int) -> Sequence[Text]:
        """Return the line, and shorter ones for narrower terminals."""
        what = _("Waiting for the redirect.")
        if self.takes_pastes and not self._in_window:
            what = _("Paste the redirect's address here or into the page.")
        time = _("{minutes}:{seconds:02} left", minutes=left // 60, seconds=left % 60)
        usual = _("{what} {time}, Ctrl-C stops.", what=what, time=time)
        shorter, shortest = _("{what} {time}.", what=what, time=time), _("{time}, Ctrl-C stops.", time=time)
        if ignored := ignored_text(self._ignored):
            longer = [_("{line} {ignored}", line=line, ignored=ignored) for line in (usual, shorter)]
            return [*longer, shorter, shortest]
        longer = [
            _("{what} {time}, ? and Enter helps, Ctrl-C stops.", what=what, time=time),
            _("{what} {time}, ? and Enter helps.", what=what, time=time),
        ]
        return [*(longer if self.takes_pastes else ()), usual, shorter, shortest]

    def _print_window(self, browser: str, *, marked: bool) -> None:
        self.print(_("A window was opened ({browser}). Authorize there; nothing needs to be copied.", browser=browser))
        if marked:
            self.print(_("Its robot mark and striped address bar are expected: its last request is held."))
        if self.takes_pastes:
            self.print(_("To go on in your own browser instead, press b and Enter."))

    def _print_page(self, browser: str) -> None:
        text = _("Your browser was opened ({browser}). If no page appears there, open it yourself:", browser=browser)
        self.print(text)
        if self._waiting and not self.is_quiet:
            self.print_whole(self._waiting.listener)
        if text := forwarding_text(_environment(), takes_pastes=self.takes_pastes):
            self.print(text)

    def _print_guidance(self, guidance: events.Guidance) -> None:
        if self.is_quiet or self._waiting is None:
            return
        if guidance is events.Guidance.UNREACHED:
            text, what = unreached_text(_environment(), self._waiting, takes_pastes=self.takes_pastes)
            self.print(text)
            self.print_whole(what)
        else:
            self.print(guidance_text(guidance, in_window=self._in_window, takes_pastes=self.takes_pastes))

    def _print_addresses(self) -> None:
        if self._waiting is None:
            return
        for text, what in manual_steps(_environment(), self._waiting, takes_pastes=self.takes_pastes):
            self.print_always(text)
            self.print_whole(what)

    def _print_keys(self) -> None:
        self.print_always(_("Type one of these, then Enter:"))
        if self._in_window:
            self.print_always(_("b: go on in your own browser, beside the window"))
        self.print_always(_("a: show the addresses again"))
        self.print_always(_("?: show the keys"))
        self.print_always(_("Ctrl-C: stop. Or paste the address where the browser ended; it is not shown."))

    def print_linked(self, linked: events.Linked, name: str) -> None:
        """Print how the link of ``name`` ended well."""
        if self.progress.has_joined and linked.kept:
            self.print(_("Linked {name}: the other oauth-helper did.", name=name))
        elif linked.kept and (account := safe_text(linked.authorization.repo_user)):
            text = _(
                "Kept {name} as it is, linked to the account {account}; --if-exists replace would link it again.",
                name=name,
                account=account,
            )
            self.print(text)
        elif linked.kept:
            self.print(_("Kept {name} as it is; --if-exists replace would link it again.", name=name))
        else:
            self.print(_("Linked {name}.", name=name))
        if not linked.authorization.works:
            status = status_text(linked.authorization)
            self.warn(_("ServiceStage says that it does not work yet: status {status}.", status=status))

    def print_next_step(self, name: str, *, in_sandbox: bool) -> None:
        """Print what an authorization is good for."""
        if in_sandbox:
            self.print(_("Next: the same with your account, without --sandbox. This sandbox is gone."))
            return
        text = _(
            "Next: in ServiceStage, choose {name} for the source of a component. `oauth-helper repos {argument}` shows "
            "the repositories that it can see.",
            name=safe_text(name),
            argument=as_argument(safe_text(name)),
        )
        self.print(text)

    def explain_stop(self, stopped: StoppedError, name: str, *, in_sandbox: bool = False) -> None:
        """Add to the error of a signal what it has left unfinished, and what to do about that."""
        progress = self.progress
        is_pending = progress.has_redirect or (progress.may_be_created and not progress.has_joined)
        if not is_pending:
            stopped.nothing_created = True
            stopped.message += _(". Nothing was created")
        elif progress.is_deleting:
            stopped.message += _(
                " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
            )
        else:
            stopped.message += _(" while ServiceStage was asked to create {name}", name=name)
        if progress.has_deleted:
            stopped.message += _(". The authorization that was named {name} is deleted", name=name)
        if not is_pending:
            return
        if in_sandbox:
            stopped.hint = _("The sandbox has ended too. Run the command again when you are ready.")
        elif progress.is_kept:
            stopped.hint = _("The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming.")
        else:
            argument = as_argument(name)
            stopped.hint = _(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=argument
            )
