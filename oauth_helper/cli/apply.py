"""The command `apply`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from oauth_helper.apply_file import (
    Applied,
    Entry,
    Method,
    Step,
    Verdict,
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
from oauth_helper.cli.secrets_input import read_file_or_stdin
from oauth_helper.environment import cannot_authorize
from oauth_helper.errors import NameTakenError, StoppedError, UsageError
from oauth_helper.events import Failed, Linked, warning_once
from oauth_helper.i18n import Text, _
from oauth_helper.journal import Journal
from oauth_helper.secret import is_plain_path
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import Session
from oauth_helper.settings import UnreadableFileError, decoded

_PLANS: Final = {Verdict.KEEP: _("keep"), Verdict.CREATE: _("create"), Verdict.BLOCKED: _("blocked")}


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
    text, origin = _read(file, quiet=invocation.quiet)
    work = _Apply(parse_entries(text, origin=origin), invocation, dry_run)
    try:
        invocation.run_with_service(work.run)
    except StoppedError as stopped:
        stopped.message += _(". {progress} exist", progress=work.progress_text())
        stopped.hint = _("Run the command again to create the others.")
        raise
    finally:
        work.print_summary()
    work.raise_first_failure()


def _read(file: Path, *, quiet: bool) -> tuple[str, str]:
    """Return the text of the file, or of standard input, and its name for people."""
    origin: str = str(file)
    if origin in {"-", "/dev/stdin"}:
        origin = _("Standard input")
    try:
        return decoded(read_file_or_stdin(file, _("Reading {name}…", name=origin), quiet=quiet)), origin
    except FileNotFoundError as error:
        if not is_plain_path(origin):
            origin = _("The file")  # the user may have given a secret in its place
        raise UsageError(
            _("{file} cannot be read: {why}", file=origin, why=error.strerror),
            hint=_("Pass the path of a TOML file, or - for standard input."),
        ) from None
    except UnreadableFileError as error:
        raise UsageError(
            _("{file} {reason}", file=origin, reason=error.reason), hint=error.hint or _("Pass a TOML file.")
        ) from None


@dataclass(slots=True)
class _Apply:
    entries: Sequence[Entry]
    invocation: Invocation
    is_dry_run: bool
    steps: Sequence[Step] = ()
    results: dict[str, Applied] = field(default_factory=dict)

    async def run(self, service: ServiceStageClient) -> None:
        reporter, settings, environ = self.invocation.reporter, self.invocation.settings, self.invocation.environ
        existing = await list_existing(service, reporter.tell)
        self.steps = plan_steps(self.entries, existing or [])
        if self.is_dry_run:
            return
        self._check()
        self._print_plan()
        output = {"as_json": self.invocation.as_json}
        chosen = browser_options(output, settings, reporter, environ=without_secrets(environ, self.entries))
        tell = warning_once(reporter.tell)
        session = Session(chosen, tell, journal=Journal.of_the_user(), is_shared=True)
        try:
            async with session:
                await apply_steps(
                    *(self.steps, service, session, self._take),
                    environ=environ,
                    timeout=settings.timeout.value,
                    may_list=existing is not None,
                )
        finally:
            reporter.stop_countdown()

    def _check(self) -> None:
        """Reject what cannot be done, as far as that is known before anything is."""
        check_steps(self.steps, self.invocation.environ)
        if self.invocation.is_unattended and (names := self._names_for_browser()):
            raise cannot_authorize(
                _("{names} must be authorized in one. Nothing was done", names=", ".join(names)),
                hint=_("Use method token or password for them, or first run it where there is a browser."),
            )

    def _missing(self) -> list[Entry]:
        return [step.entry for step in self.steps if step.verdict is Verdict.CREATE]

    def _names_for_browser(self) -> list[str]:
        return [entry.name for entry in self._missing() if entry.method is Method.OAUTH]

    def _print_plan(self) -> None:
        total, missing = len(self.steps), len(self._missing())
        counts = {"existing": total - missing, "all": total}
        text = _("{existing} of {all} exist.", **counts)
        if missing:
            text = _("{existing} of {all} exist; creating {missing}.", **counts, missing=missing)
        self.invocation.reporter.print(text)
        if names := self._names_for_browser():
            self.invocation.reporter.print(_("In the browser, one after the other: {names}.", names=", ".join(names)))

    def _take(self, result: Applied) -> None:
        self.results[result.entry.name] = result
        name, outcome, reporter = result.entry.name, result.outcome, self.invocation.reporter
        if isinstance(outcome, Failed):
            reporter.warn(_('"{name}" was not linked: {message}.', name=name, message=outcome.error.message))
        elif not outcome.kept:
            reporter.print(_('Linked "{name}" ({progress}).', name=name, progress=self.progress_text()))

    def progress_text(self) -> Text:
        existing = sum(isinstance(result.outcome, Linked) for result in self.results.values())
        return _("{existing} of {all}", existing=existing, all=len(self.entries))

    def print_summary(self) -> None:
        """Print what became of each entry, or what would be done about it."""
        if not self.steps:
            return
        if self.invocation.as_json:
            print_json([self._record(step) for step in self.steps])
            return
        head = [_("NAME"), _("GIT HOST"), _("METHOD"), _("PLAN") if self.is_dry_run else _("RESULT")]
        rows = []
        for step in self.steps:
            verdict = self._verdict(step)
            if step.verdict is Verdict.BLOCKED:
                verdict = _("{verdict}: {why}", verdict=verdict, why=step.why)
            rows.append([step.entry.name, step.entry.repo_type.display_name, step.entry.method, verdict])
            if self.is_dry_run:
                secret, address = self._secret_of(step.entry)
                rows[-1] += [secret or _("not set"), address or ""] if step.entry.secret else ["", ""]
        if self.is_dry_run:
            head += [_("SECRET"), _("SENT TO")]
        print_columns([head, *rows])

    def raise_first_failure(self) -> None:
        for result in self.results.values():
            if isinstance(result.outcome, Failed):
                error, name = result.outcome.error, result.entry.name
                error.message = _('"{name}" was not linked: {message}', name=name, message=error.message)
                error.hint = error.what_to_do + _(" Existing authorizations are kept.")
                raise error
        if self.is_dry_run:
            self._check()

    def _verdict(self, step: Step) -> Text:
        if self.is_dry_run:
            return _PLANS[step.verdict]
        result = self.results.get(step.entry.name)
        if step.verdict is Verdict.BLOCKED or (result and isinstance(result.outcome, Failed)):
            return _("failed")
        if result is None:
            return _("not reached")
        return _("kept") if isinstance(result.outcome, Linked) and result.outcome.kept else _("created")

    def _secret_of(self, entry: Entry) -> tuple[str | None, str | None]:
        """Return the variable if it is set (else its name may be the secret itself), and where its value is sent."""
        secret = entry.secret if entry.secret and self.invocation.environ.get(entry.secret) else None
        return secret, entry.address if entry.secret else None

    def _record(self, step: Step) -> Mapping[str, object]:
        entry, result = step.entry, self.results.get(step.entry.name)
        record: dict[str, object] = {"name": entry.name, "repo_type": entry.repo_type, "method": entry.method}
        record["plan" if self.is_dry_run else "result"] = self._verdict(step)
        if self.is_dry_run:
            record["secret"], record["host"] = self._secret_of(entry)
        match result.outcome if result else None:
            case Linked(authorization):
                record["authorization"] = authorization.to_json()
            case Failed(error):
                record["error"] = error.to_json()
            case _ if step.verdict is Verdict.BLOCKED:
                record["error"] = NameTakenError(step.why).to_json()
            case _:
                pass
        return record
