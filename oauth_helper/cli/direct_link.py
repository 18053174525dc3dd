"""The command ``link`` without a browser: with a token, or with a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oauth_helper.authorization import RepoType, as_argument
from oauth_helper.cli.event_lines import EventLines
from oauth_helper.cli.options import Run
from oauth_helper.cli.running import run
from oauth_helper.cli.secret_input import ask, ask_for_secret, can_ask, read_secret
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.errors import StoppedError, UsageError
from oauth_helper.events import Checked, Event, Exchanging, Linked
from oauth_helper.link_request import LinkRequest
from oauth_helper.phrase import phrase
from oauth_helper.proof import PersonalToken, Proof, UserPassword, check_host, check_type
from oauth_helper.secret import Secret

_OF_A_BROWSER: Final = ("browser", "no_browser", "port", "tag", "timeout", "sandbox")
"""Options that have no meaning where none is opened."""


def check_direct_options(repo_type: RepoType, options: Mapping[str, Any]) -> type[Proof]:
    """Return by what the account is proved, where an option was given that goes without a browser.

    Raises:
        UsageError: The options make no sense together, or ServiceStage takes no such proof.
    """
    with_token, with_password = options["with_token"], options["with_password"]
    if with_token and with_password:
        raise UsageError(
            phrase("--with-token and --with-password exclude each other"), hint=phrase("Give one of them.")
        )
    for option, needed in (("host", "with_token"), ("user", "with_password")):
        if options[option] is not None and not options[needed]:
            raise UsageError(
                phrase("--{option} goes with {flag} only", option=option, flag=_flag(needed)),
                hint=phrase("Leave out --{option}.", option=option),
            )
    way = _flag("with_token" if with_token else "with_password")
    if given := [_flag(key) for key in _OF_A_BROWSER if options[key]]:
        raise UsageError(
            phrase("{way} needs no browser and no sandbox of its own", way=way),
            hint=phrase("Leave out {given}.", given=", ".join(given)),
        )
    kind = PersonalToken if with_token else UserPassword
    check_type(repo_type, kind)
    return kind


def run_direct_link(
    request: LinkRequest, kind: type[Proof], started: Run, options: Mapping[str, Any], lines: EventLines | None
) -> Linked:
    """Link; return what stands then."""
    host = None if options["host"] is None else check_host(options["host"])
    if kind is UserPassword and options["user"] is None and not can_ask():
        raise UsageError(
            phrase("The user name is asked for, and there is no terminal to ask on"), hint=phrase("Give --user NAME.")
        )
    link = _DirectLink(request, started, started.credentials(), lines)
    if not can_ask():
        # Even where nothing will come of it: who writes it must not find that nobody reads.
        secret = read_secret(phrase("token") if kind is PersonalToken else phrase("password"), quiet=started.quiet)
        return link.carry_out(_proof(kind, host, options["user"], secret))
    if kept := link.look_before_asking():
        return kept
    host_name = request.repo_type.display_name
    if kind is PersonalToken:
        return link.carry_out(
            PersonalToken(ask_for_secret(phrase("Personal access token of {host}", host=host_name)), host)
        )
    user = options["user"] or ask(phrase("User name at {host}", host=host_name))
    return link.carry_out(UserPassword(user, ask_for_secret(phrase("Password"))))


def _proof(kind: type[Proof], host: str | None, user: str, secret: Secret) -> Proof:
    return PersonalToken(secret, host) if kind is PersonalToken else UserPassword(user, secret)


@dataclass(slots=True)
class _DirectLink:
    """One link, which takes one connection, or two where somebody is asked in between."""

    request: LinkRequest
    started: Run
    credentials: FoundCredentials
    lines: EventLines | None
    may_be_made: bool = False
    """Whether ServiceStage may have been asked to create it."""

    def look_before_asking(self) -> Linked | None:
        """Return what is kept as it is."""
        if kept := run(self._look()):
            self._tell(Checked(self.request.name, self.request.repo_type))
            self._tell(kept)
        return kept

    def carry_out(self, proof: Proof) -> Linked:
        """Link by ``proof``."""
        narrator = self.started.narrator
        try:
            return run(self._link(proof))
        except StoppedError as stopped:
            # Where it had ended, all that was left to do was to close: the end stands.
            if narrator.failure:  # pragma: no cover - aiohttp 3.11 closes without a wait in which a signal is heard
                raise narrator.failure from None
            if narrator.linked:  # pragma: no cover - aiohttp 3.11 closes without a wait in which a signal is heard
                return narrator.linked
            raise self._explained(stopped) from None

    async def _look(self) -> Linked | None:
        from oauth_helper.wiring import open_service, what_is_kept  # noqa: PLC0415 - aiohttp costs 0.3 s

        async with open_service(self.started.settings, self.credentials) as service:
            return await what_is_kept(self.request, service, lambda _event: None)

    async def _link(self, proof: Proof) -> Linked:
        from oauth_helper import wiring  # noqa: PLC0415 - as above

        async with wiring.open_service(self.started.settings, self.credentials) as service:
            return await wiring.run_direct_link(self.request, proof, service, self._tell)

    def _tell(self, event: Event) -> None:
        self.may_be_made = self.may_be_made or isinstance(event, Exchanging)
        self.started.narrator.tell(event)
        if self.lines:
            self.lines.tell(event)

    def _explained(self, stopped: StoppedError) -> StoppedError:
        narrator, name = self.started.narrator, self.request.name
        if self.may_be_made:
            stopped.message += phrase(" while ServiceStage was asked to create {name}", name=name)
            stopped.hint = phrase(
                "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
                name=as_argument(name),
            )
        elif narrator.progress.is_deleting:
            stopped.message += phrase(
                " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
            )
        else:
            stopped.message += phrase(". Nothing was created")
            stopped.nothing_created = True
        if narrator.progress.has_deleted:
            stopped.message += phrase(". The authorization that was named {name} is deleted", name=name)
        return stopped


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"
