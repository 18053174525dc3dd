"""What the story of a link tells while it runs, as frozen data. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.errors import OAuthHelperError


class Way(StrEnum):
    """How a redirect came to us."""

    WINDOW = "window"
    PAGE = "page"
    TERMINAL = "terminal"
    DIRECT = "direct"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know; the story goes on."""

    message: str


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
class Ignored:
    """Something was offered that is not our redirect; the wait goes on."""

    reason: str
    count: int
    """How often something was ignored for this reason so far."""


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


@dataclass(frozen=True, slots=True)
class Deleting:
    """ServiceStage is asked to delete the authorization that is to be replaced."""

    name: str


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
    | Ignored
    | Captured
    | Exchanging
    | Looking
    | Refused
    | Deleting
    | Deleted
    | Linked
    | Failed
)
