"""Create the authorizations that a TOML file declares."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from msgspec import Struct

from oauth_helper.api import CONCURRENCY
from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.credentials import PASSWORD_TYPES, TOKEN_TYPES, GitCredential, PersonalToken, UserPassword, check_host
from oauth_helper.errors import (
    AuthorizationDeniedError,
    CredentialsError,
    NameTakenError,
    OAuthHelperError,
    RefusedError,
    UsageError,
)
from oauth_helper.events import Event, Failed, Linked, Outcome, Warned, warning_once
from oauth_helper.exchange import Tell, find_existing
from oauth_helper.i18n import NO_TEXT, Text, _, listed, ngettext
from oauth_helper.journal import Journal
from oauth_helper.link_steps import link_directly, link_in_browser, list_if_permitted
from oauth_helper.models import Authorization, LinkRequest, RepoType, as_argument, is_legal_name, what_is_wrong_in
from oauth_helper.secret import Secret, is_plain_word
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, Session
from oauth_helper.settings import DEFAULT_TIMEOUT
from oauth_helper.values import toml_error_text

_HINT: Final = _("Fix the file; `oauth-helper apply --help` shows what an entry looks like.")


class Method(StrEnum):
    """How to create an authorization; these are not words of the API."""

    OAUTH = "oauth"  # in a browser
    TOKEN = "token"  # noqa: S105 - with a personal access token of the Git host
    PASSWORD = "password"  # noqa: S105 - with a user name and password of the Git host


# The repository types of each method, and the keys that it needs and may have.
_RULES: Final[Mapping[Method, tuple[Collection[RepoType], tuple[str, ...], tuple[str, ...]]]] = {
    Method.OAUTH: (tuple(RepoType), (), ("tag",)),
    Method.TOKEN: (TOKEN_TYPES, ("secret",), ("host",)),
    Method.PASSWORD: (PASSWORD_TYPES, ("user", "secret"), ()),
}
_KEYS: Final = ("name", "repo_type", "method", "tag", "host", "user", "secret")


class Entry(Struct, frozen=True):
    """One authorization that should exist."""

    name: str
    repo_type: RepoType
    method: Method = Method.OAUTH
    tag: str | None = None
    host: str | None = None
    """The Git server's address, of a token entry; None: the repository type's official one."""
    user: str | None = None
    secret: str | None = None
    """The environment variable that holds the token or the password."""

    def git_credential(self, environ: Mapping[str, str]) -> GitCredential:
        """Return the token, or user and password."""
        value = environ.get(self.secret or "", "")
        if not value:
            raise CredentialsError(_("its secret is not an environment variable that is set"))
        # Files and CI systems add a line break.
        secret = Secret(value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value)
        try:
            if self.method is Method.TOKEN:
                return PersonalToken(secret, self.host)
            return UserPassword(self.user or "", secret)
        except UsageError as error:
            raise UsageError(
                _("the environment variable {variable}: {message}", variable=self.secret, message=error.message),
                hint=error.hint,
            ) from None


def parse_entries(text: str, *, origin: str) -> tuple[Entry, ...]:
    """Read the text of a file; ``origin`` is its name, for messages.

    Raises:
        UsageError: It is no TOML, is empty, has an unknown key or value, or declares a name twice.
        CredentialsError: An entry names a variable of the Huawei Cloud credentials as its secret.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            _("{origin} cannot be read: {error}", origin=origin, error=toml_error_text(text, error)), hint=_HINT
        ) from None
    records = document.pop("authorization", None)
    if document:
        raise _unusable(origin, _("unknown key {next}", next=_shown_key(next(iter(document)))))
    if not isinstance(records, list) or not records:
        raise _unusable(origin, _("it has no [[authorization]]"))
    entries: dict[str, Entry] = {}
    for number, record in enumerate(records, start=1):
        entry = _entry(record, _("{origin}, entry {number}", origin=origin, number=number))
        if entry.name in entries:
            raise _unusable(origin, _("it declares {twice} twice", twice=entry.name))
        entries[entry.name] = entry
    return tuple(entries.values())


def _unusable(where: str | Text, why: Text) -> UsageError:
    return UsageError(_("{where}: {why}", where=where, why=why), hint=_HINT)


def _shown_key(key: str) -> Text:
    return Text(key) if is_plain_word(key) else _("a key that is not shown")


def _entry(record: object, where: Text) -> Entry:
    if not isinstance(record, dict):
        raise _unusable(where, _("it is not a table"))
    for key, value in record.items():
        if not isinstance(value, str) or not value.isprintable():
            raise _unusable(where, _("{key} is not a text on one line", key=_shown_key(key)))
    fields: dict[str, str] = {"name": "", "method": Method.OAUTH, **record}
    if not is_legal_name(fields["name"]):
        raise _unusable(where, what_is_wrong_in(fields["name"]))
    method = Method(_one_of(Method, fields["method"], "method", where))
    repo_types, needs, may_have = _RULES[method]
    if odd := sorted(fields.keys() - {"name", "repo_type", "method", *needs, *may_have}):
        key, meant = _shown_key(odd[0]), get_close_matches(odd[0], _KEYS, 1)
        what = _("an entry whose method is {method} has no key {key}", key=key, method=method)
        is_typo = meant and meant[0] != odd[0]
        raise _unusable(where, _('{what}; did you mean "{meant}"?', what=what, meant=meant[0]) if is_typo else what)
    repo_type = RepoType(_one_of(RepoType, fields.get("repo_type", "").lower(), "repo_type", where))
    if repo_type not in repo_types:
        raise _unusable(where, _("{repo_type} cannot be linked by {method}", repo_type=repo_type, method=method))
    if missing := [key for key in needs if not fields.get(key)]:
        raise _unusable(
            where, _("{missing} missing, which the method {method} needs", missing=listed(missing), method=method)
        )
    if "host" in fields:
        try:
            fields["host"] = check_host(fields["host"])
        except UsageError as error:
            raise UsageError(_("{where}: {message}", where=where, message=error.message), hint=error.hint) from None
    if ":" in fields.get("user", ""):
        raise _unusable(where, _("the user name has a colon"))
    if fields.get("secret", "").upper() in CHAIN_VARIABLES:  # the author of the file could send them to any server
        raise CredentialsError(
            _(
                "{where}: the secret is a variable of the Huawei Cloud credentials, which are never sent to a Git host",
                where=where,
            ),
            hint=_("Put the token or password of the Git host in a variable of its own."),
        )
    return Entry(fields["name"], repo_type, method, *(fields.get(key) for key in ("tag", "host", "user", "secret")))


def _one_of(choices: type[StrEnum], value: str, key: str, where: Text) -> str:
    if value not in list(choices):
        known = ", ".join(choices)
        why = _("{key} is missing or not one of {known}", key=key, known=known)
        if is_plain_word(value):
            why = _("{key} is {value!r}, and not one of {known}", key=key, value=value, known=known)
        raise _unusable(where, why)
    return value


class Step(Struct, frozen=True):
    """An entry, and what exists under its name: what is kept, or the reason why it is blocked."""

    entry: Entry
    existing: Authorization | None = None
    why_blocked: Text = NO_TEXT

    @property
    def is_missing(self) -> bool:
        """Whether the authorization is to be created."""
        return not self.existing and not self.why_blocked


def plan_steps(entries: Iterable[Entry], existing: Sequence[Authorization]) -> list[Step]:
    """Compare the entries with what exists."""
    steps = []
    for entry in entries:
        try:
            steps.append(Step(entry, find_existing(_request(entry), existing)))
        except NameTakenError as taken:
            steps.append(Step(entry, why_blocked=taken.message))
    return steps


def check_steps(steps: Collection[Step], environ: Mapping[str, str]) -> None:
    """Check everything that can be checked before anything is done."""
    if blocked := [step for step in steps if step.why_blocked]:
        happened = blocked[0].why_blocked
        if len(blocked) > 1:
            happened += _(" (and {count} more)", count=len(blocked) - 1)
        name = as_argument(blocked[0].entry.name)
        raise NameTakenError(
            happened + _(". Nothing was done"),
            hint=_("Run `oauth-helper delete {name}`, or declare another name.", name=name),
        )
    missing: list[int] = []
    for number, step in enumerate(steps, start=1):
        if not step.is_missing or not step.entry.secret:
            continue
        try:
            step.entry.git_credential(environ)
        except CredentialsError:
            missing.append(number)
        except UsageError as error:
            error.message = _("Entry {number}: {message}. Nothing was done", number=number, message=error.message)
            raise
    if missing:  # the number, and not the name of the variable: in its place may be the secret itself
        raise CredentialsError(
            ngettext(
                "The secret of entry {numbers} is not an environment variable that is set. Nothing was done",
                "The secrets of entries {numbers} are not environment variables that are set. Nothing was done",
                len(missing),
                numbers=", ".join(map(str, missing)),
            ),
            hint=_(
                "Set the variable in the environment, and give its name, not the token or password itself, as `secret`."
            ),
        )


class Applied(Struct, frozen=True):
    """The outcome of one entry."""

    entry: Entry
    outcome: Outcome


async def apply(
    service: ServiceStageClient,
    entries: Iterable[Entry],
    *,
    environ: Mapping[str, str] = os.environ,
    browser: str = "auto",
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline for each, which has an error of its own
    tell: Tell = lambda _event: None,
) -> list[Applied]:
    """Create the authorizations that are missing; return the outcome of each entry, in the order of their ends.

    The failure of an entry is not raised: see its ``outcome``. After a failure that the next entries would meet too,
    these are omitted from the result.

    Args:
        service: An open client.
        entries: What should exist; :func:`parse_entries` reads them from the text of a file.
        environ: Where the secrets are that the entries name.
        browser: As for :func:`link`.
        timeout: Seconds to wait for the user, for each entry.
        tell: Called with each event of the links in the browser.

    Raises:
        NameTakenError: Another authorization has the name of an entry. Nothing was done.
        CredentialsError: A secret is not set, or the credentials of the client are refused. Nothing was done.
        UsageError: A secret cannot be a token or password. Nothing was done.
        UnavailableError: The existing authorizations could not be listed. Nothing was done.
    """
    existing = await list_existing(service, tell)
    steps = plan_steps(entries, existing or [])
    check_steps(steps, environ)
    results: list[Applied] = []
    options = BrowserOptions(browser=browser, environ=without_secrets(environ, [step.entry for step in steps]))
    async with Session(options, warning_once(tell), journal=Journal.of_the_user(), is_shared=True) as session:
        await apply_steps(
            *(steps, service, session, results.append), environ=environ, timeout=timeout, may_list=existing is not None
        )
    return results


async def list_existing(service: ServiceStageClient, tell: Tell) -> list[Authorization] | None:
    """Return all authorizations; None, after a warning, if this account may not list."""
    unknown = _("This account may not list authorizations, so it is not known which of them exist.")
    return await list_if_permitted(service, tell, consequence=unknown)


def without_secrets(environ: Mapping[str, str], entries: Iterable[Entry]) -> dict[str, str]:
    """Return the environment of the browser: without the secrets that entries name."""
    named = {entry.secret for entry in entries}
    return {name: value for name, value in environ.items() if name not in named}


async def apply_steps(
    steps: Sequence[Step],
    service: ServiceStageClient,
    session: Session,
    done: Callable[[Applied], None],
    *,
    environ: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109 - as for apply()
    may_list: bool = True,
) -> None:
    """Create what is missing: first without a browser, several at a time; then in one session, one after the other.

    If ServiceStage, the Git host or oauth-helper refuses an entry, only this entry fails. Any other failure would
    meet the next entries too, so they are left for the next run. ``done`` gets each outcome at once.
    """
    is_over = False

    async def finish(entry: Entry, work: Awaitable[Linked]) -> None:
        nonlocal is_over
        try:
            outcome: Outcome = await work
        except OAuthHelperError as error:
            outcome = Failed(error)
            is_over |= not isinstance(error, RefusedError | AuthorizationDeniedError | UsageError)
        done(Applied(entry, outcome))

    def tell_warnings(event: Event) -> None:
        if isinstance(event, Warned):  # the other events of several links at a time would be confusing
            session.tell(event)

    async def create_directly() -> None:
        while not is_over and (entry := next(directly, None)):
            request, credential = _request(entry, timeout), entry.git_credential(environ)
            await finish(entry, link_directly(request, credential, service, tell_warnings, may_list=may_list))

    for step in steps:
        if step.existing:
            done(Applied(step.entry, Linked(step.existing, kept=True)))
    missing = [step.entry for step in steps if step.is_missing]
    directly = iter([entry for entry in missing if entry.method is not Method.OAUTH])
    async with asyncio.TaskGroup() as workers:
        for _number in range(CONCURRENCY):
            workers.create_task(create_directly())
    in_browser = [entry for entry in missing if entry.method is Method.OAUTH]
    for number, entry in enumerate(in_browser, start=1):
        if is_over:
            return
        more_to_come = number < len(in_browser)
        await finish(entry, link_in_browser(_request(entry, timeout), service, session, more_to_come=more_to_come))


def _request(entry: Entry, timeout: float = DEFAULT_TIMEOUT) -> LinkRequest:
    return LinkRequest(entry.repo_type, entry.name, entry.tag, timeout=timeout)
