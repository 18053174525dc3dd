"""What the story of a link tells while it runs, as frozen data. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from oauth_helper.errors import OAuthHelperError
from oauth_helper.i18n import Text
from oauth_helper.models import Authorization, RepoType


class Way(StrEnum):
    """How a redirect came to us."""

    WINDOW = "window"
    PAGE = "page"
    TERMINAL = "terminal"
    DIRECT = "direct"
    DELIVER = "deliver"


class RejectedRequest(StrEnum):
    """What came to the listener and no further: it is neither for a page of ours nor for the redirect's path."""

    HTTPS = "https"
    """The beginning of TLS: a browser that forces HTTPS, or a program that tries it."""
    NOT_HTTP = "not-http"
    FOREIGN_HOST = "foreign-host"
    LOCALHOST = "localhost"
    """Our port, but under the name ``localhost``."""
    UNKNOWN_PATH = "unknown-path"
    WRONG_METHOD = "wrong-method"
    WRONG_KEY = "wrong-key"
    ALREADY_OPENED = "already-opened"
    """A KEY that is used up, without the cookie that its first use was given."""
    OTHER_USER = "other-user"
    """A KEY, in the hands of another user of this machine."""
    FOREIGN_ORIGIN = "foreign-origin"
    PREFETCH = "prefetch"
    SUB_RESOURCE = "sub-resource"
    """Asked for by a page as an image, a frame, a script."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know; the story goes on."""

    message: Text
    once: bool = False
    """Whether it is about this machine and is the same for every link of a command."""


@dataclass(frozen=True, slots=True)
class Checked:
    """All that can be known before a browser opens is in order."""

    name: str
    repo_type: RepoType


@dataclass(frozen=True, slots=True)
class Resumed:
    """A redirect that an earlier run had captured is being exchanged."""

    name: str
    captured_at: datetime
    """When it came (UTC)."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Another process is linking the same name already; its end will be ours."""

    name: str
    can_deliver: bool = True
    """Whether an address can be delivered to it. It cannot while that process starts, and if it uses no browser."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The listener serves, and the redirect is waited for."""

    listener: str
    """Address of the listener's ``/start``, KEY included: for the user's browser and eyes only."""
    authorization_url: str
    """Bears the state: for the user's browser and eyes only."""
    expires_at: datetime
    """When the wait ends (UTC)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A browser was started."""

    browser: str
    window: bool = False
    """Whether it is a window of ours, from which the redirect comes by itself."""
    marked: bool = False
    """Whether the browser shows in its address bar that somebody drives it."""


@dataclass(frozen=True, slots=True)
class NotOpened:
    """No browser was started: the user opens one of the addresses by hand."""


@dataclass(frozen=True, slots=True)
class Visited:
    """A browser that can reach us begins: it has asked the listener for an address, or is a window of ours."""


@dataclass(frozen=True, slots=True)
class OpenedTwice:
    """An address that is good once was used again, by another browser or program. Told once for each new address."""

    listener: str
    """A new address to begin at, KEY included, for a user who did it: for the user's eyes only."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something came that is not our redirect; the wait goes on.

    The first ten of a reason are told one by one, more of them once a second.
    """

    reason: str
    """A :class:`Stray`, or the reason of a :class:`~oauth_helper.errors.RedirectRejectedError`."""
    count: int
    """How often something was ignored for this reason so far."""


class Guidance(StrEnum):
    """What may keep the redirect from coming, as far as the traffic so far tells."""

    HTTPS = "https"
    """A browser insists on HTTPS, which no loopback listener speaks."""
    LOCALHOST = "localhost"
    """The listener was asked for by a name that is not its own."""
    OTHER_USER = "other-user"
    """The page was asked for by another user of this machine."""
    OTHER_ATTEMPT = "other-attempt"
    """What came belongs to another attempt, most likely to an earlier one."""
    NOT_WHOLE = "not-whole"
    """What came is no whole redirect."""
    UNREACHED = "unreached"
    """Nothing at all has reached the listener."""
    UNDECIDED = "undecided"
    """The page or the window stands open, and nothing has come back yet."""


@dataclass(frozen=True, slots=True)
class Advised:
    """The wait takes long; this may be why."""

    guidance: Guidance


@dataclass(frozen=True, slots=True)
class Captured:
    """The redirect is in hand."""

    way: Way


@dataclass(frozen=True, slots=True)
class Exchanging:
    """Code and state are on their way to ServiceStage."""

    attempt: int = 1
    """1, or more where they are sent again because nothing came of it before."""
    replaces: bool = False
    """Whether an authorization was deleted that this one is to replace."""
    kept: bool = False
    """Whether they are written down, so that another run can finish it."""


@dataclass(frozen=True, slots=True)
class Looking:
    """What came of the exchange is not plain: ServiceStage is asked what stands."""

    name: str


@dataclass(frozen=True, slots=True)
class Refused:
    """ServiceStage will not have the redirect in hand; the story may go on with another."""

    may_be_created: bool = False
    """Whether something may have been created from it nevertheless."""


@dataclass(frozen=True, slots=True)
class Deleting:
    """ServiceStage is asked to delete the authorization that is to be replaced."""

    name: str
    kept: bool = False
    """Whether the redirect is written down, so that another run can finish it."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The authorization that is to be replaced is gone; the exchange comes next."""

    name: str


@dataclass(frozen=True, slots=True)
class Linked:
    """The end: the authorization stands."""

    authorization: Authorization
    kept: bool = False
    """True where it stood already and was left as it is."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The end: it did not come about, or is not known to have."""

    error: OAuthHelperError


Outcome = Linked | Failed
"""How a story ends."""

Event = (
    Warned
    | Checked
    | Resumed
    | Joined
    | Waiting
    | Opened
    | NotOpened
    | Visited
    | OpenedTwice
    | Ignored
    | Advised
    | Captured
    | Exchanging
    | Looking
    | Refused
    | Deleting
    | Deleted
    | Linked
    | Failed
)


@dataclass(slots=True)
class Progress:
    """How far a link is, as its events tell. Give each of them to :meth:`take`."""

    has_redirect: bool = False
    """Whether a redirect is in hand whose end is not known."""
    is_kept: bool = False
    """Whether it is written down."""
    may_be_created: bool = False
    """Whether ServiceStage may have created something, or is asked to replace it, for this run or for another one."""
    is_deleting: bool = False
    """Whether ServiceStage was asked to delete what is to be replaced, with no answer yet."""
    has_deleted: bool = False
    """Whether an authorization was deleted that was to be replaced."""
    has_joined: bool = False
    """Whether another process did the linking."""
    is_over: bool = False

    def take(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Captured():
                self.has_redirect, self.is_kept = True, False
            case Resumed():
                self.has_redirect = self.is_kept = self.may_be_created = True
            case Joined():
                self.has_redirect, self.has_joined, self.may_be_created = False, True, True
            case Exchanging(kept=kept):
                self.is_kept, self.may_be_created = kept, True
            case Deleting(kept=kept):
                self.is_kept, self.may_be_created, self.is_deleting = kept, True, True
            case Deleted():
                self.is_deleting, self.has_deleted = False, True
            case Refused(may_be_created=may_be_created):
                self.has_redirect, self.may_be_created = False, may_be_created
            case Linked() | Failed():
                self.has_redirect, self.is_over = False, True
            case _:
                pass


def warning_once(tell: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a ``tell`` for several links that tells only the first warning that is the same for all of them."""
    is_told = False

    def tell_once(event: Event) -> None:
        nonlocal is_told
        if isinstance(event, Warned) and event.once:
            if is_told:
                return
            is_told = True
        tell(event)

    return tell_once
