"""Create the authorizations that a TOML file declares."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeVar

from oauth_helper.api import run_direct_link, run_link
from oauth_helper.credential_sources import CHAIN_VARIABLES
from oauth_helper.credentials import PASSWORD_TYPES, TOKEN_TYPES, GitCredential, PersonalToken, UserPassword, check_host
from oauth_helper.errors import (
    AuthorizationDeniedError,
    CredentialsError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    RefusedError,
    UsageError,
)
from oauth_helper.events import Event, Failed, Linked, Outcome, Warned, warning_once
from oauth_helper.exchange import find_existing, is_list_alone_refused
from oauth_helper.i18n import NO_TEXT, Text, _, listed, ngettext
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, LinkRequest, RepoType, as_argument, is_legal_name, what_is_wrong_in
from oauth_helper.secret import Secret, is_plain_word
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, How, SharedSession, plan_opening
from oauth_helper.settings import DEFAULT_TIMEOUT
from oauth_helper.values import toml_trouble

Choice = TypeVar("Choice", bound=StrEnum)

_HINT: Final = _("Fix the file; `oauth-helper apply --help` shows what an entry looks like.")


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

    def git_credential(self, environ: Mapping[str, str]) -> GitCredential:
        """Return the token, or user and password.

        Raises:
            CredentialsError: The variable is not set.
            UsageError: What it holds can be no token or password.
        """
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
            _("{origin} cannot be read: {error}", origin=origin, error=toml_trouble(text, error)), hint=_HINT
        ) from None
    records = document.pop("authorization", None)
    if document:
        raise _unusable(origin, _("{next} is none of its keys", next=_shown_key(next(iter(document)))))
    if not isinstance(records, list) or not records:
        raise _unusable(origin, _("it has no [[authorization]]"))
    entries = tuple(
        _entry(record, _("{origin}, entry {number}", origin=origin, number=number))
        for number, record in enumerate(records, start=1)
    )
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _unusable(origin, _("it declares {twice} twice", twice=twice))
    return entries


def _shown_key(key: str) -> Text:
    return Text(key) if is_plain_word(key) else _("a key that is not shown")


def _entry(record: object, where: Text) -> Entry:
    if not isinstance(record, dict):
        raise _unusable(where, _("it is no table"))
    fields = dict(_texts(record, where))
    name = fields.get("name", "")
    if not is_legal_name(name):
        raise _unusable(where, what_is_wrong_in(name))
    if unknown := next((key for key in fields if key not in _KEYS), None):
        meant = get_close_matches(unknown, _KEYS, 1)
        what = _("{key} is no key of an entry", key=_shown_key(unknown))
        raise _unusable(where, _('{what}; did you mean "{meant}"?', what=what, meant=meant[0]) if meant else what)
    method = _one_of(Method, fields.get("method", Method.OAUTH), "method", where)
    repo_type = _one_of(RepoType, fields.get("repo_type", "").lower(), "repo_type", where)
    if repo_type not in _REPO_TYPES[method]:
        raise _unusable(where, _("{repo_type} cannot be linked by {method}", repo_type=repo_type, method=method))
    for key in fields.keys() - _ALWAYS - _MAY_HAVE[method]:
        raise _unusable(where, _("{key} is no key of an entry whose method is {method}", key=key, method=method))
    if missing := [key for key in _NEEDS[method] if not fields.get(key)]:
        raise _unusable(
            where, _("{missing} missing, which the method {method} needs", missing=listed(missing), method=method)
        )
    if "host" in fields:
        fields["host"] = _host(fields["host"], where)
    if ":" in fields.get("user", ""):
        raise _unusable(where, _("the user name has a colon"))
    if fields.get("secret", "").upper() in CHAIN_VARIABLES:
        # The author of the file could send them to a server of their own.
        raise CredentialsError(
            _(
                "{where}: the secret is a variable of the Huawei Cloud credentials, which are never sent to a Git host",
                where=where,
            ),
            hint=_("Put the token or password of the Git host in a variable of its own."),
        )
    return Entry(name, repo_type, method, *(fields.get(key) for key in ("tag", "host", "user", "secret")))


def _host(text: str, where: Text) -> str:
    try:
        return check_host(text)
    except UsageError as error:
        raise UsageError(_("{where}: {message}", where=where, message=error.message), hint=error.hint) from None


def _texts(record: Mapping[str, object], where: Text) -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if not isinstance(value, str) or not value.isprintable():
            raise _unusable(where, _("{key} is not a text on one line", key=_shown_key(key)))
        yield key, value


def _one_of(choices: type[Choice], value: str, key: str, where: Text) -> Choice:
    try:
        return choices(value)
    except ValueError:
        known = ", ".join(choices)
        raise _unusable(
            where,
            _("{key} is {value!r}, and not one of {known}", key=key, value=value, known=known)
            if is_plain_word(value)
            else _("{key} is missing or not one of {known}", key=key, known=known),
        ) from None


def _unusable(where: str | Text, why: Text) -> UsageError:
    return UsageError(_("{where}: {why}", where=where, why=why), hint=_HINT)


class Verdict(StrEnum):
    """What is to be done about an entry."""

    KEEP = "keep"
    CREATE = "create"
    BLOCKED = "blocked"
    """Something else bears the name."""


@dataclass(frozen=True, slots=True)
class Step:
    """An entry, and what is to be done about it."""

    entry: Entry
    verdict: Verdict
    existing: Authorization | None = None
    """What is kept."""
    why: Text = NO_TEXT
    """Why it is blocked."""


def plan_steps(entries: Iterable[Entry], listed: Sequence[Authorization]) -> tuple[Step, ...]:
    """Compare what is declared with what stands."""
    return tuple(_step(entry, listed) for entry in entries)


def check_steps(steps: Collection[Step], environ: Mapping[str, str]) -> None:
    """Return where all of it can be done, as far as can be known before.

    Raises:
        NameTakenError: Something stands in the way.
        CredentialsError: A secret is set nowhere.
        UsageError: A secret can be no token or password.
    """
    if blocked := [step for step in steps if step.verdict is Verdict.BLOCKED]:
        happened = blocked[0].why
        if len(blocked) > 1:
            happened += _(" (and {count} more)", count=len(blocked) - 1)
        raise NameTakenError(
            happened + _(". Nothing was done"),
            hint=_(
                "Run `oauth-helper delete {name}`, or declare another name.", name=as_argument(blocked[0].entry.name)
            ),
        )
    missing: list[int] = []
    for number, step in enumerate(steps, start=1):
        if step.verdict is not Verdict.CREATE or not step.entry.secret:
            continue
        try:
            step.entry.git_credential(environ)
        except CredentialsError:
            missing.append(number)
        except UsageError as error:
            error.message = _("Entry {number}: {message}. Nothing was done", number=number, message=error.message)
            raise
    if missing:
        # What is there may be the secret itself.
        numbers = ", ".join(map(str, missing))
        raise CredentialsError(
            ngettext(
                "The secret of entry {numbers} is not an environment variable that is set. Nothing was done",
                "The secrets of entries {numbers} are not environment variables that are set. Nothing was done",
                len(missing),
                numbers=numbers,
            ),
            hint=_(
                "Set the variable in the environment, and give its name, not the token or password itself, as `secret`."
            ),
        )


def _step(entry: Entry, listed: Sequence[Authorization]) -> Step:
    try:
        existing = find_existing(LinkRequest(entry.repo_type, entry.name), list(listed))
    except NameTakenError as taken:
        return Step(entry, Verdict.BLOCKED, why=taken.message)
    return Step(entry, Verdict.KEEP, existing) if existing else Step(entry, Verdict.CREATE)


_AT_ONCE: Final = 4
"""Requests to ServiceStage: it throttles, and does so for the whole account."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one entry."""

    entry: Entry
    outcome: Outcome
    """:class:`~oauth_helper.events.Linked` or :class:`~oauth_helper.events.Failed`."""


async def apply(
    service: ServiceStageClient,
    entries: Iterable[Entry],
    *,
    environ: Mapping[str, str] = os.environ,
    browser: str = "auto",
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the user's deadline for each, told with an error of its own
    tell: Callable[[Event], None] = lambda _event: None,
) -> list[Applied]:
    """Bring about all entries that are missing; return what came of each, in the order in which it did.

    An entry that fails raises nothing: see its ``outcome``. After one that would fail the next ones too, these are left
    out of what is returned.

    Args:
        service: An open client.
        entries: What is to stand; :func:`parse_declaration` reads them of a file's text.
        environ: Where the secrets are that the entries name.
        browser: As for :func:`link`.
        timeout: Seconds to wait for the user, for each entry.
        tell: Called with each event of the stories in the browser.

    Raises:
        NameTakenError: Something stands in the way of an entry. Nothing was done.
        CredentialsError: A secret is set nowhere, or those of the client are refused. Nothing was done.
        UsageError: A secret can be no token or password. Nothing was done.
        UnavailableError: What stands could not be listed. Nothing was done.
    """
    listed = await list_if_permitted(service, tell)
    steps = plan_steps(entries, listed or [])
    check_steps(steps, environ)
    results: list[Applied] = []
    browser_options = BrowserOptions(browser=browser, environ=without_secrets(environ, [step.entry for step in steps]))
    journal = Journal.of_the_user()
    applying = Applying(
        *(service, browser_options, tell, results.append),
        environ=environ,
        journal=journal,
        timeout=timeout,
        may_list=listed is not None,
    )
    await applying.carry_out(steps)
    return results


async def list_if_permitted(service: ServiceStageClient, tell: Callable[[Event], None]) -> list[Authorization] | None:
    """Return what exists; None, after a warning, if this account may not list."""
    try:
        return await service.list_authorizations()
    except NotPermittedError as error:
        if not is_list_alone_refused(error):
            raise
    tell(Warned(_("This account may not list authorizations, so it is not known which of them exist.")))
    return None


def without_secrets(environ: Mapping[str, str], entries: Iterable[Entry]) -> dict[str, str]:
    """Return what a browser is to inherit: not the secrets that entries name."""
    named = {entry.secret for entry in entries}
    return {name: value for name, value in environ.items() if name not in named}


class Applying:
    """Goes through the steps of a plan; what an entry comes to is told at once.

    A refusal, the Git host's, ServiceStage's or our own, ends its entry alone; whatever else fails would fail the next
    ones too, and they are left for the next run.

    Args:
        service: An open client.
        ways: By which ways redirects may come.
        tell: Called with each event of each story.
        done: Called with each result.
        environ: Where the secrets are that the entries name.
        journal: Where redirects are written down; None: nowhere.
        timeout: Seconds to wait for the user, for each entry.
        may_list: Whether this account may list.
    """

    def __init__(
        self,
        service: ServiceStageClient,
        browser_options: BrowserOptions,
        tell: Callable[[Event], None],
        done: Callable[[Applied], None],
        *,
        environ: Mapping[str, str],
        journal: Journal | None,
        timeout: float,
        may_list: bool = True,
    ) -> None:
        self._service = service
        self._browser_options = browser_options
        self._tell = warning_once(tell)
        self._done = done
        self._environ = environ
        self._journal = journal
        self._timeout = timeout
        self._may_list = may_list
        self._is_over = False

    async def carry_out(self, steps: Sequence[Step]) -> None:
        """Bring about what is missing."""
        for step in steps:
            if step.verdict is Verdict.KEEP and step.existing:
                self._done(Applied(step.entry, Linked(step.existing, kept=True)))
        missing = [step.entry for step in steps if step.verdict is Verdict.CREATE]
        await self._all_directly([entry for entry in missing if entry.method is not Method.OAUTH])
        in_browser = [entry for entry in missing if entry.method is Method.OAUTH]
        if in_browser and not self._is_over:
            try:
                await self._all_in_browser(in_browser)
            except OAuthHelperError as error:  # no browser where one was demanded, or no port: before the first of them
                self._done(Applied(in_browser[0], Failed(error)))

    async def _all_directly(self, entries: Sequence[Entry]) -> None:
        left = iter(entries)

        async def work() -> None:
            while not self._is_over and (entry := next(left, None)):
                await self._one(entry, self._directly(entry))

        async with asyncio.TaskGroup() as workers:
            for _unused in range(min(_AT_ONCE, len(entries))):
                workers.create_task(work())

    async def _directly(self, entry: Entry) -> Linked:
        request = LinkRequest(entry.repo_type, entry.name, timeout=self._timeout)
        git_credential = entry.git_credential(self._environ)
        return await run_direct_link(
            *(request, git_credential, self._service, self._report_failure), is_checked=True, may_list=self._may_list
        )

    def _report_failure(self, event: Event) -> None:
        """Tell what the user should know; the steps of many links at once would make no story."""
        if isinstance(event, Warned):
            self._tell(event)

    async def _all_in_browser(self, entries: Sequence[Entry]) -> None:
        async with AsyncExitStack() as stack:
            session: SharedSession | None = None
            # Only a window of ours can be led on to the next; another browser opens a tab for each.
            if (await plan_opening(self._browser_options)).how is How.WINDOW:
                sitting_down = SharedSession(self._browser_options, self._tell, stirs=self._service.expect_request)
                session = await stack.enter_async_context(sitting_down)
            for number, entry in enumerate(entries, start=1):
                if self._is_over:
                    return
                link = run_link(
                    LinkRequest(entry.repo_type, entry.name, entry.tag, timeout=self._timeout),
                    self._service,
                    self._browser_options,
                    self._tell,
                    journal=self._journal,
                    session=session,
                    more_to_come=number < len(entries),
                )
                await self._one(entry, link)

    async def _one(self, entry: Entry, work: Awaitable[Linked]) -> None:
        try:
            outcome: Outcome = await work
        except OAuthHelperError as error:
            outcome = Failed(error)
            self._is_over |= not isinstance(error, RefusedError | AuthorizationDeniedError | UsageError)
        self._done(Applied(entry, outcome))
