"""The command `apply`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from oauth_helper.apply_file import (
    Applied,
    Entry,
    Method,
    Step,
    apply_steps,
    check_steps,
    list_existing,
    parse_entries,
    plan_steps,
    without_secrets,
)
from oauth_helper.cli.help import command, option
from oauth_helper.cli.link import browser_options
from oauth_helper.cli.options import BROWSER_OPTION, Invocation, connection_options, output_options, timeout_option
from oauth_helper.cli.output import print_columns, print_json
from oauth_helper.cli.secrets_input import input_name, read_text
from oauth_helper.environment import cannot_authorize
from oauth_helper.errors import NameTakenError, StoppedError
from oauth_helper.events import Failed, Linked, Outcome, warning_once
from oauth_helper.i18n import Text, _
from oauth_helper.journal import Journal
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import Session


@command(
    "apply",
    help="""Create the authorizations that FILE declares and that don't exist yet. Existing ones are kept.

    FILE is TOML, or - for standard input. Each [[authorization]] has a name, a repo_type and a method: oauth (in a
    browser, the default), token or password. An oauth entry may have a tag. A token entry has a secret, the name of the
    environment variable that holds the token, and may have a host. A password entry has a user and a secret. Entries
    that need no browser come first; the others are authorized one after the other, in one window. If it stops, run it
    again.
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@option("--dry-run", is_flag=True, help="Only print what would be done.")
@BROWSER_OPTION
@timeout_option("Seconds to wait for you to authorize, for each account (default: 600).")
@connection_options
@output_options
def apply_command(file: Path, *, dry_run: bool, **options: Any) -> None:
    """Run ``oauth-helper apply``."""
    invocation = Invocation(options)
    origin = input_name(file)
    hint = _("Pass the path of a TOML file, or - for standard input.")
    text = read_text(file, hint, _("Reading {name}…", name=origin), quiet=invocation.quiet)
    work = _Apply(parse_entries(text, origin=origin), invocation, is_dry_run=dry_run)
    try:
        invocation.run_with_service(work.run)
    except StoppedError as stopped:
        stopped.message += _(". {progress} exist", progress=work.progress_text())
        stopped.hint = _("Run the command again to create the others.")
        raise
    finally:
        work.print_summary()
    work.raise_first_failure()


class _Apply:
    def __init__(self, entries: Sequence[Entry], invocation: Invocation, *, is_dry_run: bool) -> None:
        self._entries, self._invocation, self._is_dry_run = entries, invocation, is_dry_run
        self._steps: Sequence[Step] = ()
        self._outcomes: dict[str, Outcome] = {}

    async def run(self, service: ServiceStageClient) -> None:
        invocation, reporter, environ = self._invocation, self._invocation.reporter, self._invocation.environ
        existing = await list_existing(service, reporter.tell)
        self._steps = plan_steps(self._entries, existing or [])
        if self._is_dry_run:
            return
        self._check()
        missing = [step.entry for step in self._steps if step.is_missing]
        counts = {"existing": len(self._steps) - len(missing), "all": len(self._steps)}
        text = _("{existing} of {all} exist.", **counts)
        if missing:
            text = _("{existing} of {all} exist; creating {missing}.", **counts, missing=len(missing))
        reporter.print(text)
        if names := self._names_for_browser():
            reporter.print(_("In the browser, one after the other: {names}.", names=names))
        chosen = browser_options(
            {"as_json": invocation.as_json},
            invocation.settings,
            reporter,
            environ=without_secrets(environ, self._entries),
        )
        session = Session(chosen, warning_once(reporter.tell), journal=Journal.of_the_user(), is_shared=True)
        try:
            async with session:
                await apply_steps(
                    *(self._steps, service, session, self._take),
                    environ=environ,
                    timeout=invocation.settings.timeout.value,
                    may_list=existing is not None,
                )
        finally:
            reporter.stop_countdown()

    def _check(self) -> None:
        """Reject what cannot be done, as far as that is known before anything is."""
        check_steps(self._steps, self._invocation.environ)
        if self._invocation.is_unattended and (names := self._names_for_browser()):
            raise cannot_authorize(
                _("{names} must be authorized in one. Nothing was done", names=names),
                hint=_("Use method token or password for them, or first run it where there is a browser."),
            )

    def _names_for_browser(self) -> str:
        return ", ".join(
            step.entry.name for step in self._steps if step.is_missing and step.entry.method is Method.OAUTH
        )

    def _take(self, result: Applied) -> None:
        name, outcome, reporter = result.entry.name, result.outcome, self._invocation.reporter
        self._outcomes[name] = outcome
        if isinstance(outcome, Failed):
            reporter.warn(_('"{name}" was not linked: {message}.', name=name, message=outcome.error.message))
        elif not outcome.kept:
            reporter.print(_('Linked "{name}" ({progress}).', name=name, progress=self.progress_text()))

    def progress_text(self) -> Text:
        existing = sum(isinstance(outcome, Linked) for outcome in self._outcomes.values())
        return _("{existing} of {all}", existing=existing, all=len(self._entries))

    def print_summary(self) -> None:
        """Print what became of each entry, or what would be done about it."""
        if not self._steps:
            return
        if self._invocation.as_json:
            print_json([self._record(step) for step in self._steps])
            return
        head = [_("NAME"), _("GIT HOST"), _("METHOD"), _("PLAN") if self._is_dry_run else _("RESULT")]
        if self._is_dry_run:
            head += [_("SECRET"), _("SENT TO")]
        rows = []
        for step in self._steps:
            result = self._result(step)
            if step.why_blocked:
                result = _("{verdict}: {why}", verdict=result, why=step.why_blocked)
            rows.append([step.entry.name, step.entry.repo_type.display_name, step.entry.method, result])
            if self._is_dry_run:
                secret, address = self._secret_of(step.entry)
                rows[-1] += [secret or _("not set"), address or ""] if step.entry.secret else ["", ""]
        print_columns([head, *rows])

    def raise_first_failure(self) -> None:
        for name, outcome in self._outcomes.items():
            if isinstance(outcome, Failed):
                error = outcome.error
                error.message = _('"{name}" was not linked: {message}', name=name, message=error.message)
                error.hint = error.what_to_do + _(" Existing authorizations are kept.")
                raise error
        if self._is_dry_run:
            self._check()

    def _result(self, step: Step) -> Text:
        """Return what became of an entry, or what would be done about it."""
        if self._is_dry_run:
            return _("blocked") if step.why_blocked else _("keep") if step.existing else _("create")
        match self._outcomes.get(step.entry.name):
            case Linked(kept=kept):
                return _("kept") if kept else _("created")
            case None if not step.why_blocked:
                return _("not reached")
            case _:
                return _("failed")

    def _secret_of(self, entry: Entry) -> tuple[str | None, str | None]:
        """Return the variable if it is set (else its name may be the secret itself), and where its value is sent."""
        if not entry.secret:
            return None, None
        site = entry.repo_type.site
        address = entry.host or (f"https://{site}" if site else None)
        return entry.secret if self._invocation.environ.get(entry.secret) else None, address

    def _record(self, step: Step) -> Mapping[str, object]:
        entry, outcome = step.entry, self._outcomes.get(step.entry.name)
        record: dict[str, object] = {"name": entry.name, "repo_type": entry.repo_type, "method": entry.method}
        record["plan" if self._is_dry_run else "result"] = self._result(step)
        if self._is_dry_run:
            record["secret"], record["host"] = self._secret_of(entry)
        if isinstance(outcome, Linked):
            record["authorization"] = outcome.authorization.to_json()
        elif outcome or step.why_blocked:
            record["error"] = (outcome.error if outcome else NameTakenError(step.why_blocked)).to_json()
        return record
