"""Every error says what happened, what that means and what to do, in three lines at most, in two languages."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from babel.messages.pofile import read_po
from support.message_sources import PACKAGE, english_of, translations_of

from oauth_helper.cli.console import width_of, wrapped
from oauth_helper.errors import (
    AuthorizationDeniedError,
    ClockSkewError,
    CodeOrStateInvalidError,
    CredentialsError,
    DeadlineError,
    IllegalNameError,
    MachineError,
    NameTakenError,
    NoBrowserError,
    NoSuchAuthorizationError,
    NotPermittedError,
    OAuthHelperError,
    OutcomeUnknownError,
    PortTakenError,
    RedirectRejectedError,
    RefusedError,
    RepositoryNotImplementedError,
    SettingsError,
    StoppedError,
    UnavailableError,
    UnreachableError,
    UnusableAnswerError,
    UsageError,
)
from oauth_helper.events import Event, Exchanging, Failed
from oauth_helper.i18n import Language, Text, _, catalog_of
from oauth_helper.models import Pending, RepoType, Target
from oauth_helper.receiver import Report
from oauth_helper.secret import Secret

WIDTH = 79
"""Columns of a usual terminal, less the last one."""
LINES = 3
NO_TEXT = "Nothing was created"
AGAIN = "un the command again"

_X = _("x")
_PENDING = Pending(
    Target("https://example.com", "p", "my-auth"),
    RepoType.GITHUB,
    datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    Secret("c"),
    Secret("s"),
    sent_at=datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
)

BEFORE_ANYTHING: tuple[tuple[OAuthHelperError, str], ...] = (
    (UsageError(_X), "oauth-helper --help"),
    (IllegalNameError(_X), "Give --name 4 to 63 characters"),
    (SettingsError(_X), "oauth-helper doctor"),
    (CredentialsError(_X), "HUAWEICLOUD_SDK_AK"),
    (ClockSkewError(_X), "Set this machine's clock"),
    (NotPermittedError(_X), "Ask the administrator"),
    (AuthorizationDeniedError("access_denied"), "choose Authorize"),
    (DeadlineError(_X), "--timeout SECONDS"),
    (RefusedError(_X), "Look the code up"),
    (RepositoryNotImplementedError(_X), "choose another type"),
    (NameTakenError(_X), "Choose another --name"),
    (NoSuchAuthorizationError(_X), "oauth-helper list"),
    (UnavailableError(_X, sent=False), "Try again in a moment"),
    (UnreachableError(_X, sent=False), "Check the endpoint"),
    (UnusableAnswerError(_X, sent=True), "Try again in a moment"),
    (MachineError(_X), "oauth-helper doctor"),
    (PortTakenError(_X), "Leave out --port"),
    (NoBrowserError(_X), "--browser none"),
    (OAuthHelperError(_X), "Please report"),
    (StoppedError(_X), AGAIN),
)
"""Where the redirect has not come yet, each means that nothing was created; and what to do."""
AFTER_THE_REDIRECT: tuple[tuple[OAuthHelperError, str, str], ...] = (
    (RedirectRejectedError("no-redirect", _X), "Copy the whole address", "paste it again"),
    (CodeOrStateInvalidError(_X), "has been used or has expired", "Run the command again"),
    (OutcomeUnknownError(_X), "x", "`oauth-helper list` tells"),
)


def tree(root: type[OAuthHelperError] = OAuthHelperError) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == OAuthHelperError.__module__:
            yield from tree(child)


def test_every_error_of_the_tree_is_here() -> None:
    here = {type(error) for error, *_ in (*BEFORE_ANYTHING, *AFTER_THE_REDIRECT)}
    assert here == set(tree())


@pytest.mark.parametrize(("error", "remedy"), BEFORE_ANYTHING, ids=lambda each: type(each).__name__)
def test_before_the_redirect_it_means_that_nothing_was_created(error: OAuthHelperError, remedy: str) -> None:
    told: list[Event] = []
    for _unused in range(2):
        Report(told.append).end(Failed(error))
    assert f"{error.message}. {error.hint}".count(NO_TEXT) == 1
    assert error.hint.index(NO_TEXT) < error.hint.index(remedy)
    assert_short(error.message, error.hint)


@pytest.mark.parametrize(
    ("error", "meaning", "remedy"), AFTER_THE_REDIRECT, ids=[type(each[0]).__name__ for each in AFTER_THE_REDIRECT]
)
def test_after_it_the_text_says_what_became_of_it(error: OAuthHelperError, meaning: str, remedy: str) -> None:
    text = f"{error.message}. {error.hint}"
    assert text.index(meaning) < text.index(remedy)
    assert_short(error.message, error.hint)


def test_what_was_asked_of_servicestage_is_not_said_to_be_nothing() -> None:
    told: list[Event] = []
    report = Report(told.append)
    error = NameTakenError(_X)
    report.tell(Exchanging())
    report.end(Failed(error))
    assert told == [Exchanging(), Failed(error)]
    assert NO_TEXT not in error.hint


def assert_short(*texts: Text) -> None:
    for language in Language:
        for text in texts:
            lines = wrapped(text.translated(catalog_of(language)), WIDTH, indent="       ")
            assert len(lines) <= LINES, lines
            assert all(width_of(line) <= WIDTH for line in lines)


def test_no_text_of_ours_is_longer_than_three_lines() -> None:
    with (PACKAGE / "locale/zh_CN/LC_MESSAGES/oauth_helper.po").open("rb") as file:
        catalog = read_po(file)
    for message in catalog:
        places = {place for place, _ in message.locations}
        if (
            message.id
            and "tests/support/message_sources.py" not in places
            and not any(p.endswith(".html") for p in places)
        ):
            for text in (*english_of(message), *translations_of(message)):
                bare = re.sub(r"\{[^}]*\}", "12345678", text)
                assert len(wrapped(bare, WIDTH, indent="      ")) <= LINES, text
