"""What a link reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from oauth_helper.errors import OAuthHelperError
from oauth_helper.i18n import Text
from oauth_helper.models import Authorization, RepoType
from oauth_helper.secret import Secret


class Way(StrEnum):
    """How a redirect reached us."""

    WINDOW = "window"
    PAGE = "page"
    TERMINAL = "terminal"
    DIRECT = "direct"
    DELIVER = "deliver"


class RejectedRequest(StrEnum):
    """Why the listener rejected a request."""

    HTTPS = "https"  # the first bytes of a TLS connection
    NOT_HTTP = "not-http"
    FOREIGN_HOST = "foreign-host"
    LOCALHOST = "localhost"  # our port, but under the name localhost
    UNKNOWN_PATH = "unknown-path"
    WRONG_METHOD = "wrong-method"
    WRONG_KEY = "wrong-key"
    ALREADY_OPENED = "already-opened"  # a used KEY, without the cookie that its first use set
    OTHER_USER = "other-user"  # a KEY, from another user of this machine
    FOREIGN_ORIGIN = "foreign-origin"
    PREFETCH = "prefetch"
    SUB_RESOURCE = "sub-resource"  # a page requests it as an image, a frame or a script


class Guidance(StrEnum):
    """Why no redirect may have come yet, as far as the requests so far show."""

    HTTPS = "https"  # a browser insists on HTTPS, which no loopback listener speaks
    LOCALHOST = "localhost"  # the listener was requested by a name that is not its own
    OTHER_USER = "other-user"  # another user of this machine requested the page
    OTHER_ATTEMPT = "other-attempt"  # a redirect of another attempt came, most likely of an earlier one
    NOT_WHOLE = "not-whole"  # an incomplete redirect came
    UNREACHED = "unreached"  # no request has reached the listener
    UNDECIDED = "undecided"  # the page or the window is open, and nothing has come back


class Event(Struct, frozen=True):
    """The base class."""


class Warned(Event, frozen=True):
    """Something that the user should know; the link goes on."""

    message: Text
    once: bool = False  # about this machine, and so the same for every link of a command


class Checked(Event, frozen=True):
    """All checks before the browser opens have passed."""

    name: str
    repo_type: RepoType


class Resumed(Event, frozen=True):
    """The exchange of a redirect that an earlier run captured begins."""

    name: str
    captured_at: datetime  # UTC


class Joined(Event, frozen=True):
    """Another process is linking the same name; its outcome will be ours."""

    name: str
    can_deliver: bool = True
    """Whether it accepts a delivered address. It does not while it starts, or if it uses no browser."""


class Waiting(Event, frozen=True):
    """The listener accepts requests, and the wait for the redirect begins. Both addresses are secret."""

    listener: str  # the address of /start with the KEY, for the user only
    authorization_url: str  # with the state, for the user only
    expires_at: datetime  # when the wait ends (UTC)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(expires_at={self.expires_at!r})"


class Opening(Event, frozen=True):
    """A window of ours is being opened."""

    browser: str


class WindowClosed(Event, frozen=True):
    """The user closed our window before the redirect came."""


class Opened(Event, frozen=True):
    """A browser was started."""

    browser: str
    window: bool = False  # a window of ours, in which we see the redirect
    marked: bool = False  # its address bar shows that a program controls it


class NotOpened(Event, frozen=True):
    """No browser was started; the user opens one of the addresses."""


class PageOpened(Event, frozen=True):
    """A browser has requested an address of the listener, or a window of ours has opened."""


class OpenedTwice(Event, frozen=True):
    """Another browser or program used an address that works once. It is reported once for each new address."""

    listener: str  # a new address with a KEY, for the user only

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Ignored(Event, frozen=True):
    """A request or a text was not our redirect; the wait goes on.

    The first ten of a reason are reported one by one, further ones once a second.
    """

    reason: str  # a :class:`RejectedRequest`, or the reason of a :class:`~oauth_helper.errors.RedirectRejectedError`
    count: int  # how often something was ignored for this reason so far


class GuidanceDue(Event, frozen=True):
    """The wait is long; this may be why."""

    guidance: Guidance


class Captured(Event, frozen=True):
    """The redirect came. For a capture this is the end."""

    way: Way
    redirect: Secret | None = None  # the complete address; of a capture only


class Exchanging(Event, frozen=True):
    """Code and state are sent to ServiceStage."""

    attempt: int = 1  # more if they are sent again because the attempt before had no effect
    replaces: bool = False  # an authorization was deleted that the new one replaces
    kept: bool = False  # they are saved, so that another run can finish the exchange


class Looking(Event, frozen=True):
    """The outcome of the exchange is unclear, so ServiceStage is asked which authorizations exist."""

    name: str


class Refused(Event, frozen=True):
    """ServiceStage refused the redirect; the link may go on with another one."""

    may_be_created: bool = False  # an authorization may have been created from it all the same


class Deleting(Event, frozen=True):
    """ServiceStage is asked to delete the authorization that is to be replaced."""

    name: str
    kept: bool = False  # the redirect is saved, so that another run can finish the exchange


class Deleted(Event, frozen=True):
    """The authorization that is to be replaced is deleted; the exchange is next."""

    name: str


class Linked(Event, frozen=True):
    """The end: the authorization exists."""

    authorization: Authorization
    kept: bool = False  # it existed before and was not changed


class Failed(Event, frozen=True):
    """The end: the authorization was not created, or that is unknown."""

    error: OAuthHelperError


Outcome = Linked | Failed  # how a link ends
AnyOutcome = Outcome | Captured  # how a link or a capture ends


class Progress(Struct):
    """How far a link is. Pass each of its events to :meth:`take`."""

    has_redirect: bool = False  # there is a redirect whose outcome is unknown
    is_kept: bool = False  # it is saved
    may_be_created: bool = False  # this run or another one asked ServiceStage to create or replace something
    is_deleting: bool = False  # ServiceStage was asked to delete the one to be replaced, and has not answered
    has_deleted: bool = False  # it was deleted
    has_joined: bool = False  # another process does the linking
    is_over: bool = False

    def take(self, event: Event) -> None:
        """Update the progress."""
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
    """Return a ``tell`` for several links that passes on only the first warning with ``once`` set."""
    is_told = False

    def tell_once(event: Event) -> None:
        nonlocal is_told
        is_once = isinstance(event, Warned) and event.once
        if not (is_once and is_told):
            tell(event)
        is_told = is_told or is_once

    return tell_once
