"""Report the progress of a link on standard error."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from oauth_helper import events
from oauth_helper.cli.console import Console, translate
from oauth_helper.cli.output import host_name, status_text
from oauth_helper.environment import CONTAINER_MARKS, Environment, Place, find_environment
from oauth_helper.errors import StoppedError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.models import as_argument
from oauth_helper.secret import safe_text

_GUIDANCE: Final[Mapping[events.Guidance, Text]] = {
    events.Guidance.HTTPS: _(
        "Your browser forces HTTPS, which this page does not support. Open the address exactly as printed, with "
        "http:// in front, or allow HTTP for it in the browser."
    ),
    events.Guidance.LOCALHOST: _(
        'The page was requested as "localhost". Open the address with 127.0.0.1, exactly as printed.'
    ),
    events.Guidance.OTHER_USER: _(
        "Another user of this machine requested the page and was refused. If that was you, open it as the user who "
        "runs this command."
    ),
    events.Guidance.OTHER_ATTEMPT: _(
        "The address that arrived belongs to an earlier attempt. Close that tab, and authorize in the newest one."
    ),
}


def guidance_text(guidance: events.Guidance, *, in_window: bool, takes_pastes: bool) -> Text:
    """Return what to do about a problem; :func:`unreached_text` does so for :attr:`Guidance.UNREACHED`."""
    where = _("on the page or here") if takes_pastes else _("on the page")
    match guidance:
        case events.Guidance.NOT_WHOLE:
            return _("The address that arrived was cut off. Copy all of it, and paste it {where}.", where=where)
        case events.Guidance.UNDECIDED if in_window:
            text = _("The window is still open. Authorize there.")
            return text + _(" To use your own browser instead, type b and press Enter.") if takes_pastes else text
        case events.Guidance.UNDECIDED:
            return _("Still waiting. After you authorize, paste the final address {where}.", where=where)
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
            forward = _("On your own machine, run this (with the host name you connect to) and leave it open:")
        case Place.CODESPACE if command:
            forward = _("On your own machine, run this and leave it open (not needed if VS Code is open there):")
        case Place.CODESPACE | Place.GITPOD | Place.DEV_CONTAINER:
            open_page = _("Open this page in your browser; your editor forwards its port to your machine (view Ports):")
        case Place.CONTAINER:
            open_page = _("Open this page, if your browser reaches this container's 127.0.0.1 (host network):")
        case Place.WSL:
            open_page = _("Open this page in a browser; one in Windows works too:")
        case _:
            open_page = _("Open this page in a browser on this machine:")
    otherwise = _("or here") if takes_pastes else _("or pass it to `oauth-helper deliver`")
    without_page = _(
        "Or authorize in any browser, and paste the final address on that page, {otherwise}:", otherwise=otherwise
    )
    steps = [(forward, command)] if forward else []
    return [*steps, (open_page, waiting.listener), (without_page, waiting.authorization_url)]


def unreached_text(here: Environment, waiting: events.Waiting, *, takes_pastes: bool) -> Step:
    """Return what to do while nothing has reached the page at all."""
    command = _forward_command(here, waiting)
    then = _("paste the final address here") if takes_pastes else _("pass the final address to `oauth-helper deliver`")
    if command:
        text = _("No browser has opened the page. If yours is on another machine, {then}, or run there:", then=then)
    else:
        text = _("No browser has opened the page. If yours cannot reach it, authorize here and {then}:", then=then)
    return text, command or waiting.authorization_url


def forwarding_text(here: Environment, *, takes_pastes: bool) -> Text:
    """Return what is between the user's own browser and the page; usually nothing."""
    if here.place is Place.WSL:
        text = _("A browser in Windows reaches the page through WSL's localhost forwarding, which is on by default.")
    elif here.is_forwarded:
        text = _("Your editor forwards the page's port to your machine; an editor in a browser cannot.")
    else:
        return NO_TEXT
    return text + _(" If the page does not open, type a and press Enter.") if takes_pastes else text


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
        self._title = NO_TEXT
        self._waiting: events.Waiting | None = None
        self._is_open = self._in_window = self._is_window_closed = self._is_verifying = False
        self._countdown: asyncio.Task[None] | None = None

    @property
    def is_shown_beside_result(self) -> bool:
        """Whether the user reads the progress on the terminal that also shows standard output."""
        return self.is_terminal and not self.is_quiet and sys.stdout.isatty()

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
                self._title = _('Linking {host} to ServiceStage as "{name}".', host=repo_type.display_name, name=name)
            case events.Waiting():
                self._waiting = event
                if self._title:
                    self.print(self._title)
                if self._is_open:  # the next link, or attempt, in the same window
                    self._wait()
            case events.Opening(browser):
                self._show_activity(_("Opening a {browser} window…", browser=browser))
            case events.Opened(browser, window, marked):
                self._is_open, self._in_window, self._is_window_closed = True, window, False
                if window:
                    self._print_window(browser, marked=marked)
                else:
                    self._print_page(browser)
                self._wait()
            case events.NotOpened():
                self._is_open, self._in_window = True, False
                self._print_addresses()
                self._wait()
            case events.WindowClosed():
                self._in_window, self._is_window_closed = False, True
                if self.takes_pastes:
                    text = _("You closed the window. Press Enter to open it again; b and Enter opens your own browser.")
                    self.print_always(text)
                else:
                    self.warn(_("The window was closed before you authorized."))
                    self._print_addresses()
            case events.Ignored(reason, count):
                if self._verbosity:
                    text = _("Ignored what is not our redirect: {reason}, {count} so far.", reason=reason, count=count)
                    self.print(text)
            case events.GuidanceDue(guidance):
                self._print_guidance(guidance)
            case events.OpenedTwice(listener):
                text = _(
                    "The page is already open, and another browser or program requested it. If that was you, open "
                    "this address instead. If not, press Ctrl-C and run the command again:"
                )
                self.warn(text, always=True)
                self.print_whole(listener)
            case events.Captured(way):
                if self._verbosity:
                    self.print(_CAPTURED[way])
            case events.Resumed(name, captured_at):
                text = _(
                    'Finishing the link "{name}", which you authorized at {time:%H:%M:%S}.',
                    name=name,
                    time=captured_at.astimezone(),
                )
                self.print(text)
            case events.Joined(name, can_deliver):
                if not has_joined:
                    self.print(_('Another oauth-helper is linking "{name}". Waiting for it.', name=name))
                if can_deliver and self.takes_pastes:
                    self.print(_("You can also paste its final address here; Ctrl-C cancels."))
            case events.Exchanging(attempt=1):
                self._show_activity(_("Creating the authorization…"))
            case events.Exchanging(attempt):
                self.print(_("Not created; retrying (attempt {attempt})…", attempt=attempt))
            case events.Looking(name):
                again = _("Checking again…")
                self.print(again if was_verifying else _('Checking whether "{name}" was created…', name=name))
            case events.Deleted(name):
                self.print(_('Deleted the old authorization "{name}".', name=name))
            case events.Linked() | events.Failed():
                self.outcome = event
            case _:
                pass  # Deleting, Refused, PageOpened: a later event says what becomes of it

    def stop_countdown(self) -> None:
        """Remove the line that counts down."""
        if self._countdown:
            self._countdown.cancel()
            self._countdown = None
        self.clear_status_line()

    def _show_activity(self, text: Text) -> None:
        """Show what takes a moment: on a terminal in the line that the next output replaces."""
        if self.has_status_line and not self.is_quiet:
            self.set_status_line([translate(text)])
        elif self._verbosity or not self.has_status_line:
            self.print(text)

    def _wait(self) -> None:
        if self._waiting is None or self.is_quiet:
            return
        self.stop_countdown()
        if self.has_status_line:
            self._countdown = asyncio.get_running_loop().create_task(self._count_down(self._waiting.expires_at))
        else:
            time = self._waiting.expires_at.astimezone()
            self.print(_("Waiting for you to authorize, until {time:%H:%M:%S}.", time=time))

    async def _count_down(self, expires_at: datetime) -> None:
        while (left := (expires_at - datetime.now(UTC)).total_seconds()) > 0:
            self.set_status_line([translate(text) for text in self._countdown_texts(round(left))])
            await asyncio.sleep(1)

    def _countdown_texts(self, left: int) -> Sequence[Text]:
        """Return the line, and shorter ones for narrower terminals."""
        what = shorter = _("Waiting for you to authorize…")
        if self._is_window_closed:
            what = shorter = _("Press Enter to open the window again.")
        elif self.takes_pastes and not self._in_window:
            what, shorter = _("Paste the final address here or on the page."), _("Paste the final address here.")
        time = _("{minutes}:{seconds:02} left", minutes=left // 60, seconds=left % 60)
        cancel, texts = _("Ctrl-C to cancel"), list[Text]()
        if self.takes_pastes:
            help_ = _("? + Enter for help")
            texts = [
                _("{what} {time} ({help}, {cancel})", what=what, time=time, help=help_, cancel=cancel),
                _("{what} {time} ({help})", what=what, time=time, help=help_),
            ]
        else:
            texts = [_("{what} {time} ({help})", what=what, time=time, help=cancel)]
        return [*texts, *(_("{what} {time}", what=text, time=time) for text in (what, shorter)), shorter]

    def _print_window(self, browser: str, *, marked: bool) -> None:
        text = _("Opened a {browser} window. Authorize there; nothing to copy.", browser=browser)
        self.print_always(text)
        if marked:
            self.print(_("Firefox marks this window as remote-controlled; that is expected."))
        if self.takes_pastes:
            self.print(_("To use your own browser instead, type b and press Enter."))

    def _print_page(self, browser: str) -> None:
        text = _("Opened your browser ({browser}). Authorize there. If no page appears, open this:", browser=browser)
        self.print_always(text)
        if self._waiting:
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
        self.print_always(_("Keys (then Enter):"))
        if self._is_window_closed:
            self.print_always(_("Enter alone: open the window again"))
        if self._in_window or self._is_window_closed:
            self.print_always(_("b: use your own browser"))
        self.print_always(_("a: show the addresses"))
        self.print_always(_("?: show this help"))
        self.print_always(_("Ctrl-C: cancel. You can also paste the final address; it is not shown."))

    def print_linked(self, linked: events.Linked) -> None:
        """Print how a link ended well."""
        record = linked.authorization
        name, account, host = record.name, safe_text(record.repo_user), host_name(record)
        about = _("{account} on {host}", account=account, host=host) if account else host
        if self.progress.has_joined and linked.kept:
            self.print(_('Linked "{name}" ({about}) by the other oauth-helper.', name=name, about=about))
        elif linked.kept:
            text = _(
                '"{name}" is already linked ({about}); kept. Use --if-exists replace to relink it.',
                name=name,
                about=about,
            )
            self.print(text)
        else:
            self.print(_('Linked "{name}" ({about}).', name=name, about=about))
        if not record.works:
            self.warn(_("ServiceStage reports that it does not work yet: {status}.", status=status_text(record)))

    def print_next_step(self, name: str, sandbox_type: str | None) -> None:
        """Print what to do with the authorization, or after a link of that type in the sandbox."""
        if sandbox_type:
            text = _(
                "Next: link your own account with `oauth-helper link {type}`. (The sandbox has been removed.)",
                type=sandbox_type,
            )
            self.print(text)
            return
        text = _(
            'Next: in ServiceStage, select "{name}" as a component\'s source. `oauth-helper repos {argument}` lists '
            "its repositories.",
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
            stopped.message += _(' while ServiceStage was deleting "{name}", which may be gone', name=name)
        else:
            stopped.message += _(' while ServiceStage was creating "{name}"', name=name)
        if progress.has_deleted:
            stopped.message += _('. The old authorization "{name}" is deleted', name=name)
        if not is_pending:
            return
        if in_sandbox:
            stopped.hint = _("The sandbox has been removed too. Run the command again when you are ready.")
        elif progress.is_kept:
            stopped.hint = _("Run `oauth-helper resume` within 10 minutes to finish it.")
        else:
            stopped.hint = _(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
                name=as_argument(name),
            )
