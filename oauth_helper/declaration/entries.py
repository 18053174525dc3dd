"""What a file for ``apply`` declares: the authorizations that are to stand, one ``[[authorization]]`` each. No I/O."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar

from oauth_helper.authorization import RepoType, is_legal_name, what_is_wrong_in
from oauth_helper.credential_chain import CHAIN_VARIABLES
from oauth_helper.errors import CredentialsError, UsageError
from oauth_helper.origin import toml_trouble
from oauth_helper.phrase import Phrase, listed, phrase, verbatim
from oauth_helper.presentable import is_plain_word
from oauth_helper.proof import PASSWORD_TYPES, TOKEN_TYPES, PersonalToken, Proof, UserPassword, check_host
from oauth_helper.secret import Secret

Choice = TypeVar("Choice", bound=StrEnum)

_HINT: Final = phrase("Fix the file; `oauth-helper apply --help` shows what an entry looks like.")


class Method(StrEnum):
    """How an authorization comes about; the words are ours, not the API's."""

    OAUTH = "oauth"
    """In a browser."""
    TOKEN = "token"  # noqa: S105 - the method's name
    """By a personal access token of the Git host."""
    PASSWORD = "password"  # noqa: S105 - the method's name
    """By a user's name and password at the Git host."""


_REPO_TYPES: Final[Mapping[Method, Collection[RepoType]]] = {
    Method.OAUTH: tuple(RepoType),
    Method.TOKEN: TOKEN_TYPES,
    Method.PASSWORD: PASSWORD_TYPES,
}

_NEEDS: Final[Mapping[Method, tuple[str, ...]]] = {
    Method.OAUTH: (),
    Method.TOKEN: ("secret",),
    Method.PASSWORD: ("user", "secret"),
}
_MAY_HAVE: Final[Mapping[Method, frozenset[str]]] = {
    Method.OAUTH: frozenset({"tag"}),
    Method.TOKEN: frozenset({"host", "secret"}),
    Method.PASSWORD: frozenset({"user", "secret"}),
}
_ALWAYS: Final = frozenset({"name", "repo_type", "method"})
_KEYS: Final = ("name", "repo_type", "method", "tag", "host", "user", "secret")


@dataclass(frozen=True, slots=True)
class Entry:
    """One authorization that is to stand."""

    name: str
    repo_type: RepoType
    method: Method = Method.OAUTH
    tag: str | None = None
    """Site tag, of an OAuth entry."""
    host: str | None = None
    """The Git server's address, of a token entry; None: the repository type's official one."""
    user: str | None = None
    """Of a password entry."""
    secret: str | None = None
    """The environment variable that holds the token or the password."""

    @property
    def address(self) -> str | None:
        """The Git server's address, as far as it is known."""
        return self.host or (f"https://{self.repo_type.site}" if self.repo_type.site else None)

    def proof(self, environ: Mapping[str, str]) -> Proof:
        """Return the token, or user and password.

        Raises:
            CredentialsError: The variable is not set.
            UsageError: What it holds can be no token or password.
        """
        value = environ.get(self.secret or "", "")
        if not value:
            raise CredentialsError(phrase("its secret is not an environment variable that is set"))
        # Files and CI systems add a line break.
        secret = Secret(value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value)
        try:
            if self.method is Method.TOKEN:
                return PersonalToken(secret, self.host)
            return UserPassword(self.user or "", secret)
        except UsageError as error:
            raise UsageError(
                phrase("the environment variable {variable}: {message}", variable=self.secret, message=error.message),
                hint=error.hint,
            ) from None


def parse_declaration(text: str, *, origin: str) -> tuple[Entry, ...]:
    """Read a file's text; ``origin`` is its name, for people.

    Raises:
        UsageError: It is no TOML, has nothing or something unknown in it, or declares a name twice.
        CredentialsError: An entry names a variable of the Huawei Cloud credentials as its secret.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            phrase("{origin} cannot be read: {error}", origin=origin, error=toml_trouble(text, error)), hint=_HINT
        ) from None
    records = document.pop("authorization", None)
    if document:
        raise _unusable(origin, phrase("{next} is none of its keys", next=_shown_key(next(iter(document)))))
    if not isinstance(records, list) or not records:
        raise _unusable(origin, phrase("it has no [[authorization]]"))
    entries = tuple(
        _entry(record, phrase("{origin}, entry {number}", origin=origin, number=number))
        for number, record in enumerate(records, start=1)
    )
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _unusable(origin, phrase("it declares {twice} twice", twice=twice))
    return entries


def _shown_key(key: str) -> Phrase:
    return verbatim(key) if is_plain_word(key) else phrase("a key that is not shown")


def _entry(record: object, where: Phrase) -> Entry:
    if not isinstance(record, dict):
        raise _unusable(where, phrase("it is no table"))
    fields = dict(_texts(record, where))
    name = fields.get("name", "")
    if not is_legal_name(name):
        raise _unusable(where, what_is_wrong_in(name))
    if unknown := next((key for key in fields if key not in _KEYS), None):
        meant = get_close_matches(unknown, _KEYS, 1)
        what = phrase("{key} is no key of an entry", key=_shown_key(unknown))
        raise _unusable(where, phrase('{what}; did you mean "{meant}"?', what=what, meant=meant[0]) if meant else what)
    method = _one_of(Method, fields.get("method", Method.OAUTH), "method", where)
    repo_type = _one_of(RepoType, fields.get("repo_type", "").lower(), "repo_type", where)
    if repo_type not in _REPO_TYPES[method]:
        raise _unusable(where, phrase("{repo_type} cannot be linked by {method}", repo_type=repo_type, method=method))
    for key in fields.keys() - _ALWAYS - _MAY_HAVE[method]:
        raise _unusable(where, phrase("{key} is no key of an entry whose method is {method}", key=key, method=method))
    if missing := [key for key in _NEEDS[method] if not fields.get(key)]:
        raise _unusable(
            where, phrase("{missing} missing, which the method {method} needs", missing=listed(missing), method=method)
        )
    if "host" in fields:
        fields["host"] = _host(fields["host"], where)
    if ":" in fields.get("user", ""):
        raise _unusable(where, phrase("the user name has a colon"))
    if fields.get("secret", "").upper() in CHAIN_VARIABLES:
        # The author of the file could send them to a server of their own.
        raise CredentialsError(
            phrase(
                "{where}: the secret is a variable of the Huawei Cloud credentials, which are never sent to a Git host",
                where=where,
            ),
            hint=phrase("Put the token or password of the Git host in a variable of its own."),
        )
    return Entry(name, repo_type, method, *(fields.get(key) for key in ("tag", "host", "user", "secret")))


def _host(text: str, where: Phrase) -> str:
    try:
        return check_host(text)
    except UsageError as error:
        raise UsageError(phrase("{where}: {message}", where=where, message=error.message), hint=error.hint) from None


def _texts(record: Mapping[str, object], where: Phrase) -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if not isinstance(value, str) or not value.isprintable():
            raise _unusable(where, phrase("{key} is not a text on one line", key=_shown_key(key)))
        yield key, value


def _one_of(choices: type[Choice], value: str, key: str, where: Phrase) -> Choice:
    try:
        return choices(value)
    except ValueError:
        known = ", ".join(choices)
        raise _unusable(
            where,
            phrase("{key} is {value!r}, and not one of {known}", key=key, value=value, known=known)
            if is_plain_word(value)
            else phrase("{key} is missing or not one of {known}", key=key, known=known),
        ) from None


def _unusable(where: str | Phrase, why: Phrase) -> UsageError:
    return UsageError(phrase("{where}: {why}", where=where, why=why), hint=_HINT)
