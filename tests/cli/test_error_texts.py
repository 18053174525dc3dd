"""Every error says what happened, what that means and what to do, in three lines at most, in two languages."""

import re
from collections.abc import Iterator

import pytest
from babel.messages.pofile import read_po
from support.message_sources import PACKAGE, english_of, translations_of

from oauth_helper import errors
from oauth_helper.cli.console import width_of, wrapped
from oauth_helper.errors import OAuthHelperError
from oauth_helper.events import Event, Exchanging, Failed
from oauth_helper.i18n import Language, Text, _, catalog_of
from oauth_helper.receiver import Report

WIDTH, LINES = 79, 3
"""Columns of a usual terminal, less the last one; and lines of one text in them."""
_X = _("x")

REMEDIES: dict[str, str] = {
    "UsageError": "oauth-helper --help",
    "IllegalNameError": "Give --name 4 to 63 characters",
    "SettingsError": "oauth-helper doctor",
    "CredentialsError": "HUAWEICLOUD_SDK_AK",
    "ClockSkewError": "Set this machine's clock",
    "NotPermittedError": "Ask the administrator",
    "AuthorizationDeniedError": "choose Authorize",
    "DeadlineError": "--timeout SECONDS",
    "RefusedError": "Look the code up",
    "RepositoryNotImplementedError": "choose another type",
    "NameTakenError": "Choose another --name",
    "NoSuchAuthorizationError": "oauth-helper list",
    "UnavailableError": "Try again in a moment",
    "UnreachableError": "Check the endpoint",
    "UnusableAnswerError": "Try again in a moment",
    "MachineError": "oauth-helper doctor",
    "PortTakenError": "Leave out --port",
    "NoBrowserError": "--browser none",
    "OAuthHelperError": "Please report",
    "StoppedError": "un the command again",
}
"""What to do, of each error that can come before the redirect; then it also means that nothing was created."""
AFTER_THE_REDIRECT: tuple[tuple[OAuthHelperError, str, str], ...] = (
    (errors.RedirectRejectedError("no-redirect", _X), "Copy the whole address", "paste it again"),
    (errors.CodeOrStateInvalidError(_X), "has been used or has expired", "Run the command again"),
    (errors.OutcomeUnknownError(_X), "x", "`oauth-helper list` tells"),
)


def tree(root: type[OAuthHelperError] = OAuthHelperError) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == OAuthHelperError.__module__:
            yield from tree(child)


def make(kind: type[OAuthHelperError]) -> OAuthHelperError:
    return kind(_X, sent=True) if issubclass(kind, errors.UnavailableError) else kind(_X)


def test_every_error_of_the_tree_is_here() -> None:
    assert {*REMEDIES, *(type(error).__name__ for error, *_ in AFTER_THE_REDIRECT)} == {
        each.__name__ for each in tree()
    }


@pytest.mark.parametrize("name", REMEDIES)
def test_before_the_redirect_it_means_that_nothing_was_created(name: str) -> None:
    told: list[Event] = []
    error = make(getattr(errors, name))
    for _unused in range(2):
        Report(told.append).end(Failed(error))
    assert f"{error.message}. {error.hint}".count("Nothing was created") == 1
    assert error.hint.index("Nothing was created") < error.hint.index(REMEDIES[name])
    assert_short(error.message, error.hint)


@pytest.mark.parametrize(("error", "description", "remedy"), AFTER_THE_REDIRECT)
def test_after_it_the_text_says_what_became_of_it(error: OAuthHelperError, description: str, remedy: str) -> None:
    text = f"{error.message}. {error.hint}"
    assert text.index(description) < text.index(remedy)
    assert_short(error.message, error.hint)


def test_what_was_asked_of_servicestage_is_not_said_to_be_nothing() -> None:
    told: list[Event] = []
    report = Report(told.append)
    error = errors.NameTakenError(_X)
    report.tell(Exchanging())
    report.end(Failed(error))
    assert told == [Exchanging(), Failed(error)]
    assert "Nothing was created" not in error.hint


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
        is_help_or_page = any(place.endswith(("message_sources.py", ".html")) for place in places)
        for text in (*english_of(message), *translations_of(message)) if message.id and not is_help_or_page else ():
            bare = re.sub(r"\{[^}]*\}", "12345678", text)
            assert len(wrapped(bare, WIDTH, indent="      ")) <= LINES, text
