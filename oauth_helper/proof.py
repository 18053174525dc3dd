"""What shows whose a Git account is where no browser does: a token, or a password. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from oauth_helper.authorization import RepoType
from oauth_helper.endpoint import check_endpoint
from oauth_helper.errors import SettingsError, UsageError
from oauth_helper.origin import problem_of
from oauth_helper.phrase import Phrase, listed, phrase
from oauth_helper.secret import Secret

TOKEN_TYPES: Final = tuple(one for one in RepoType if one.proof == "token")
"""Of which the API takes personal access tokens."""
PASSWORD_TYPES: Final = tuple(one for one in RepoType if one.proof == "password")
"""Of which it takes passwords."""

_ASSIGNMENT: Final = re.compile(r"(export )?[A-Z][A-Z0-9_]{2,}=[^=]")
_COPY_IT_AGAIN: Final = phrase("Copy it again, whole and on one line.")


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A personal access token of the Git host.

    Raises:
        UsageError: It can be none, or ``host`` is not an address that a token may be sent to.
    """

    token: Secret
    host: str | None = None
    """A private Git server, ``https://HOST[:PORT][/PATH]``; None: the official one."""

    def __post_init__(self) -> None:
        token = self.token.reveal()
        if not token:
            raise UsageError(phrase("The token is empty"), hint=_COPY_IT_AGAIN)
        if _ASSIGNMENT.match(token):
            raise UsageError(phrase("The token is a line NAME=VALUE"), hint=phrase("Give what is after the = alone."))
        _check(token, phrase("The token"))
        if self.host is not None:
            object.__setattr__(self, "host", check_host(self.host))


@dataclass(frozen=True, slots=True)
class UserPassword:
    """A user of the Git host, and the password.

    Raises:
        UsageError: They can be none.
    """

    user: str
    password: Secret

    def __post_init__(self) -> None:
        # RFC 7617 section 2: a colon would end the name, where name and password travel as one.
        if not self.user or not self.user.isprintable() or ":" in self.user:
            raise UsageError(
                phrase("The user name is empty, or has a colon or control character in it"),
                hint=phrase("Give the name that you sign in to the Git host with; of CodeArts, ACCOUNT/USER."),
            )
        if not self.password:
            raise UsageError(phrase("The password is empty"), hint=_COPY_IT_AGAIN)
        _check(self.password.reveal(), phrase("The password"), spaces="anywhere")


def _check(secret: str, source: Phrase, *, spaces: Literal["", "anywhere"] = "") -> None:
    if problem := problem_of(secret, source, spaces=spaces):
        raise UsageError(problem.message, hint=problem.hint)


Proof = PersonalToken | UserPassword


def check_type(repo_type: RepoType, kind: type[Proof]) -> None:
    """Return where the API can be shown that ``kind`` of proof for a Git host of that type.

    Raises:
        UsageError: It cannot.
    """
    is_token = kind is PersonalToken
    types = TOKEN_TYPES if is_token else PASSWORD_TYPES
    if repo_type in types:
        return
    host, names = repo_type.display_name, listed([one.display_name for one in types])
    if is_token:
        message = phrase(
            "{host} cannot be linked with a token: ServiceStage takes one for {names} only", host=host, names=names
        )
    else:
        message = phrase(
            "{host} cannot be linked with a password: ServiceStage takes one for {names} only", host=host, names=names
        )
    other = "--with-password" if is_token else "--with-token"  # each type is of the one or of the other
    raise UsageError(message, hint=phrase("Use {other}, or leave it out to link it in a browser.", other=other))


def check_host(text: str) -> str:
    """Return the address of a private Git server, without a slash at its end.

    Raises:
        UsageError: It is none, has a user or password in it, or is plain http to another machine.
    """
    try:
        return check_endpoint(text, origin=phrase("The Git server's address"))
    except SettingsError as error:
        raise UsageError(error.message, hint=error.hint) from None
