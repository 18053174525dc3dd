"""The events of a link, and the progress that they show."""

from datetime import UTC, datetime

import pytest
from models.examples import EVENTS

from oauth_helper.events import (
    Captured,
    Checked,
    Deleted,
    Deleting,
    Event,
    Exchanging,
    Joined,
    OpenedTwice,
    Progress,
    Refused,
    Resumed,
    Waiting,
    Warned,
    Way,
    warning_once,
)
from oauth_helper.i18n import _
from oauth_helper.models import RepoType

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_no_event_shows_a_secret_address() -> None:
    for event in EVENTS:
        assert "KEY" not in repr(event)
    waiting = Waiting("http://127.0.0.1:1/start?k=KEY", "https://git.example/?state=planted", NOW)
    assert repr(waiting).startswith("Waiting(expires_at=")
    assert repr(OpenedTwice("http://127.0.0.1:1/start?k=KEY")) == "OpenedTwice()"


@pytest.mark.parametrize(
    ("events", "progress"),
    [
        ([Checked("my-auth", RepoType.GITHUB)], Progress()),
        ([Captured(Way.PAGE)], Progress(has_redirect=True)),
        ([Captured(Way.PAGE), Exchanging(kept=True)], Progress(has_redirect=True, is_kept=True, may_be_created=True)),
        ([Captured(Way.PAGE), Exchanging(), Refused()], Progress()),
        ([Captured(Way.PAGE), Exchanging(), Refused(may_be_created=True)], Progress(may_be_created=True)),
        ([Resumed("my-auth", NOW)], Progress(has_redirect=True, is_kept=True, may_be_created=True)),
        ([Joined("my-auth")], Progress(has_joined=True, may_be_created=True)),
        ([Deleting("my-auth")], Progress(may_be_created=True, is_deleting=True)),
        ([Deleting("my-auth"), Deleted("my-auth")], Progress(may_be_created=True, has_deleted=True)),
        ([Captured(Way.PAGE), EVENTS[-1]], Progress(is_over=True)),
    ],
    ids=str,
)
def test_the_progress_of_a_link_follows_from_its_events(events: list[Event], progress: Progress) -> None:
    shown = Progress()
    for event in events:
        shown.take(event)
    assert shown == progress


def test_a_warning_about_the_machine_is_passed_on_once() -> None:
    told: list[Event] = []
    tell = warning_once(told.append)
    about_machine, about_link = Warned(_("no display"), once=True), Warned(_("the name is taken"))
    for event in (about_machine, about_link, about_machine, about_link):
        tell(event)
    assert told == [about_machine, about_link, about_link]
