"""An example of each record, event and exception."""

import inspect
from datetime import UTC, datetime
from typing import Final

from hypothesis import strategies as st

from oauth_helper import errors, events
from oauth_helper.errors import OAuthHelperError
from oauth_helper.i18n import _
from oauth_helper.models import Authorization, RepoType

RECORD: Final = {
    "name": "my-auth",
    "repo_type": "github",
    "repo_host": "https://api.github.com",
    "repo_home": "https://github.com/octocat",
    "repo_user": "octocat",
    "avartar": "https://github.com/octocat.png",
    "token_type": "oauth",
    "create_time": 1679036601735,
    "update_time": 1679036601735,
    "status": 0,
    "something_new": {"kept": True},
}
"""An authorization as ServiceStage sends it, with a field that we do not know."""

_NOW: Final = datetime.now(UTC)
EVENTS: Final[tuple[events.Event, ...]] = (
    events.Warned(_("a word")),
    events.Checked("my-auth", RepoType.GITHUB),
    events.Resumed("my-auth", _NOW),
    events.Joined("my-auth"),
    events.Opening("chromium"),
    events.WindowClosed(),
    events.Waiting("http://127.0.0.1:1/start?k=KEY", "https://github.com/login/oauth/authorize", _NOW),
    events.Opened("Firefox"),
    events.NotOpened(),
    events.PageOpened(),
    events.OpenedTwice("http://127.0.0.1:1/start?k=KEY"),
    events.GuidanceDue(events.Guidance.UNREACHED),
    events.Ignored("foreign-state", 1),
    events.Captured(events.Way.PAGE),
    events.Exchanging(),
    events.Looking("my-auth"),
    events.Refused(),
    events.Deleting("my-auth"),
    events.Deleted("my-auth"),
    events.Linked(Authorization.from_json({key: RECORD[key] for key in RECORD if key != "something_new"})),
    events.Failed(errors.DeadlineError(_("late"))),
)
"""One of each kind."""

TEXTS: Final = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
_ARGUMENTS: Final = {
    "sent": st.booleans(),
    "status": st.none() | st.integers(100, 599),
    "signal_number": st.sampled_from([1, 2, 15]),
}
_OPTIONAL: Final = frozenset({"code", "request_id"})


def error_classes() -> list[type[OAuthHelperError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, OAuthHelperError)]


@st.composite
def errors_of(draw: st.DrawFn, error_class: type[OAuthHelperError], texts: st.SearchStrategy[str]) -> OAuthHelperError:
    arguments: dict[str, object] = {}
    for name, parameter in inspect.signature(error_class).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= {each: draw(st.none() | texts) for each in ("hint", *sorted(_OPTIONAL))}
        else:
            optional = st.none() | texts if name in {"hint", *_OPTIONAL} else texts
            arguments[name] = draw(_ARGUMENTS.get(name, optional))
    return error_class(**arguments)  # type: ignore[arg-type]  # what the signature itself names
