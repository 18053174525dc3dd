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
from oauth_helper.environment import Place, find_environment
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
_EDITOR: Final = _("Open this page in your browser; your editor forwards its port to your machine (view Ports):")
_OPEN_PAGE: Final[Mapping[Place, Text]] = {
    Place.CODESPACE: _EDITOR,
    Place.GITPOD: _EDITOR,
    Place.DEV_CONTAINER: _EDITOR,
    Place.CONTAINER: _("Open this page, if your browser reaches this container's 127.0.0.1 (host network):"),
    Place.WSL: _("Open this page in a browser; one in Windows works too:"),
}
_FORWARD: Final[Mapping[Place, Text]] = {
    Place.SSH: _("On your own machine, run this (with the host name you connect to) and leave it open:"),
    Place.CODESPACE: _("On your own machine, run this and leave it open (not needed if VS Code is open there):"),
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
        self._browser = ""
        """What is open: a ``window``, which may be ``closed``, or the ``page``."""
        self._is_verifying = False
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
                if self._browser:  # the next link, or attempt, in the same window
                    self._wait()
            case events.Opening(browser):
                self._show_activity(_("Opening a {browser} window…", browser=browser))
            case events.Opened(browser, window, marked):
                self._browser = "window" if window else "page"
                self._print_opened(browser, marked=marked)
                self._wait()
            case events.NotOpened():
                self._browser = "page"
                self._print_addresses()
                self._wait()
            case events.WindowClosed():
                self._browser = "closed"
                if self.takes_pastes:
                    text = _("You closed the window. Press Enter to open it again; b and Enter opens your own browser.")
                    self.print_always(text)
                else:
                    self.warn(_("The window was closed before you authorized."))
                    self._print_addresses()
            case events.Ignored(reason, count) if self._verbosity:
                text = _("Ignored what is not our redirect: {reason}, {count} so far.", reason=reason, count=count)
                self.print(text)
            case events.GuidanceDue(guidance) if self._waiting:
                self._print_guidance(guidance, self._waiting)
            case events.OpenedTwice(listener):
                text = _(
                    "The page is already open, and another browser or program requested it. If that was you, open "
                    "this address instead. If not, press Ctrl-C and run the command again:"
                )
                self.warn(text, always=True)
                self.print_whole(listener)
            case events.Captured(way) if self._verbosity:
                self.print(_("Received the redirect ({way}).", way=way))
            case events.Resumed(name, captured_at):
                time = captured_at.astimezone()
                self.print(
                    _('Finishing the link "{name}", which you authorized at {time:%H:%M:%S}.', name=name, time=time)
                )
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
        if self._browser == "closed":
            what = shorter = _("Press Enter to open the window again.")
        elif self.takes_pastes and self._browser != "window":
            what, shorter = _("Paste the final address here or on the page."), _("Paste the final address here.")
        time = _("{minutes}:{seconds:02} left", minutes=left // 60, seconds=left % 60)
        helps = [_("Ctrl-C to cancel")]
        if self.takes_pastes:
            key = _("? + Enter for help")
            helps = [_("{names}, {name}", names=key, name=helps[0]), key]
        texts = [_("{what} {time} ({help})", what=what, time=time, help=help_) for help_ in helps]
        return [*texts, *(_("{what} {time}", what=text, time=time) for text in (what, shorter)), shorter]

    def _print_opened(self, browser: str, *, marked: bool) -> None:
        if self._browser == "window":
            self.print_always(_("Opened a {browser} window. Authorize there; nothing to copy.", browser=browser))
            if marked:
                self.print(_("Firefox marks this window as remote-controlled; that is expected."))
            if self.takes_pastes:
                self.print(_("To use your own browser instead, type b and press Enter."))
            return
        text = _("Opened your browser ({browser}). Authorize there. If no page appears, open this:", browser=browser)
        self.print_always(text)
        if self._waiting:
            self.print_whole(self._waiting.listener)
        here = find_environment(os.environ)
        if here.place is Place.WSL:
            text = _(
                "A browser in Windows reaches the page through WSL's localhost forwarding, which is on by default."
            )
        elif here.is_forwarded:
            text = _("Your editor forwards the page's port to your machine; an editor in a browser cannot.")
        else:
            return
        self.print(text + _(" If the page does not open, type a and press Enter.") if self.takes_pastes else text)

    def _print_guidance(self, guidance: events.Guidance, waiting: events.Waiting) -> None:
        """Print what to do about a problem."""
        where, then = _("on the page"), _("pass the final address to `oauth-helper deliver`")
        if self.takes_pastes:
            where, then = _("on the page or here"), _("paste the final address here")
        what = ""
        match guidance:
            case events.Guidance.UNREACHED:
                if what := find_environment(os.environ).way_to(_port_of(waiting)):
                    text = _(
                        "No browser has opened the page. If yours is on another machine, {then}, or run there:",
                        then=then,
                    )
                else:
                    text = _(
                        "No browser has opened the page. If yours cannot reach it, authorize here and {then}:",
                        then=then,
                    )
                    what = waiting.authorization_url
            case events.Guidance.NOT_WHOLE:
                text = _("The address that arrived was cut off. Copy all of it, and paste it {where}.", where=where)
            case events.Guidance.UNDECIDED if self._browser == "window":
                text = _("The window is still open. Authorize there.")
                if self.takes_pastes:
                    text += _(" To use your own browser instead, type b and press Enter.")
            case events.Guidance.UNDECIDED:
                text = _("Still waiting. After you authorize, paste the final address {where}.", where=where)
            case _:
                text = _GUIDANCE[guidance]
        self.print(text)
        if what and not self.is_quiet:
            self.print_whole(what)

    def _print_addresses(self) -> None:
        """Print what a user does if no browser was opened: reach the page, or authorize without it."""
        if self._waiting is None:
            return
        here = find_environment(os.environ)
        place, command = here.place, here.way_to(_port_of(self._waiting))
        open_page = _OPEN_PAGE.get(place, _("Open this page in a browser on this machine:"))
        if command and place in _FORWARD:
            self.print_always(_FORWARD[place])
            self.print_whole(command)
            open_page = _("Then open this page in a browser there:")
        self.print_always(open_page)
        self.print_whole(self._waiting.listener)
        otherwise = _("or here") if self.takes_pastes else _("or pass it to `oauth-helper deliver`")
        text = _(
            "Or authorize in any browser, and paste the final address on that page, {otherwise}:", otherwise=otherwise
        )
        self.print_always(text)
        self.print_whole(self._waiting.authorization_url)

    def _print_keys(self) -> None:
        keys = [_("Keys (then Enter):")]
        if self._browser == "closed":
            keys.append(_("Enter alone: open the window again"))
        if self._browser in {"window", "closed"}:
            keys.append(_("b: use your own browser"))
        keys += [_("a: show the addresses"), _("?: show this help")]
        for key in [*keys, _("Ctrl-C: cancel. You can also paste the final address; it is not shown.")]:
            self.print_always(key)

    def print_linked(self, linked: events.Linked) -> None:
        """Print how a link ended well."""
        record = linked.authorization
        name, account, host = record.name, safe_text(record.repo_user), host_name(record)
        about = _("{account} on {host}", account=account, host=host) if account else host
        text = _('Linked "{name}" ({about}).', name=name, about=about)
        if linked.kept:
            text = _(
                '"{name}" is already linked ({about}); kept. Use --if-exists replace to relink it.',
                name=name,
                about=about,
            )
            if self.progress.has_joined:
                text = _('Linked "{name}" ({about}) by the other oauth-helper.', name=name, about=about)
        self.print(text)
        if not record.works:
            self.warn(_("ServiceStage reports that it does not work yet: {status}.", status=status_text(record)))

    def print_next_step(self, name: str, sandbox_type: str | None) -> None:
        """Print what to do with the authorization, or after a link of that type in the sandbox."""
        text = _(
            'Next: in ServiceStage, select "{name}" as a component\'s source. `oauth-helper repos {argument}` lists '
            "its repositories.",
            name=safe_text(name),
            argument=as_argument(safe_text(name)),
        )
        if sandbox_type:
            text = _(
                "Next: link your own account with `oauth-helper link {type}`. (The sandbox has been removed.)",
                type=sandbox_type,
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
        if is_pending and in_sandbox:
            stopped.hint = _("The sandbox has been removed too. Run the command again when you are ready.")
        elif is_pending and progress.is_kept:
            stopped.hint = _("Run `oauth-helper resume` within 10 minutes to finish it.")
        elif is_pending:
            argument = as_argument(name)
            stopped.hint = _(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.", name=argument
            )


def _port_of(waiting: events.Waiting) -> int:
    return urlsplit(waiting.listener).port or 0
