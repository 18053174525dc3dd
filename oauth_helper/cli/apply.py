"""The command ``apply``: bring about all that a file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.apply_file import Entry, Method, Step, Verdict, check_steps, parse_declaration, plan_steps
from oauth_helper.cli.console import spoken
from oauth_helper.cli.help import command, option
from oauth_helper.cli.options import BROWSER_OPTION, Run, connection_options, output_options, run, start_run
from oauth_helper.cli.output import print_columns, print_json
from oauth_helper.cli.secrets_input import read_given
from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.environment import nobody_could_authorize
from oauth_helper.errors import NameTakenError, StoppedError, UsageError
from oauth_helper.events import Failed, Linked, warning_once
from oauth_helper.i18n import Text, _
from oauth_helper.secret import is_plain_path
from oauth_helper.settings import MAXIMUM_TIMEOUT, UnreadableFileError, decoded

if TYPE_CHECKING:
    from oauth_helper.apply_file import Applied
    from oauth_helper.servicestage.client import ServiceStageClient

_NOT_REACHED: Final = _("not reached")
_VERDICTS: Final = {
    Verdict.KEEP: _("keep"),
    Verdict.CREATE: _("create"),
    Verdict.BLOCKED: _("blocked"),
}


@command(
    "apply",
    help="""Link all that FILE declares and that is missing; what stands already is left as it is.

    FILE is TOML, or - for standard input, with an [[authorization]] for each: name, repo_type, and method (oauth, the
    default: in a browser; token; password). An oauth entry may have a tag; a token entry has secret, the environment
    variable that holds the token, and may have host; a password entry has user and secret. What needs no browser comes
    first; the others are authorized one after the other, in one window. Run it again to go on where it stopped.
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@BROWSER_OPTION
@option(
    "--timeout",
    type=click.FloatRange(1, MAXIMUM_TIMEOUT),
    metavar="SECONDS",
    help="How long to wait for you, for each account.  [env: OAUTH_HELPER_TIMEOUT; default: 600]",
)
@connection_options
@output_options
def apply_command(file: Path, *, dry_run: bool, **options: Any) -> None:
    """Run ``oauth-helper apply``."""
    started = start_run(options)
    text, origin = _read(file, quiet=started.quiet)
    entries = parse_declaration(text, origin=origin)
    work = _Apply(entries, started, started.credentials(), dry_run)
    try:
        run(work.carry_out())
    except StoppedError as stopped:
        stopped.message += _(". {progress}", progress=work.progress)
        stopped.hint = _("Run the command again to go on where it stopped.")
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
        return decoded(read_given(file, _("Reading {name}…", name=origin), quiet=quiet)), origin
    except FileNotFoundError as error:
        if not is_plain_path(origin):
            origin = _("The file")  # a secret may have been given in its place
        raise UsageError(
            _("{file} cannot be read: {why}", file=origin, why=error.strerror),
            hint=_("Name a TOML file that is there, or - for standard input."),
        ) from None
    except UnreadableFileError as error:
        raise UsageError(
            _("{file} {reason}", file=origin, reason=error.reason), hint=error.hint or _("Name a TOML file.")
        ) from None


@dataclass(slots=True)
class _Apply:
    """One run of the command."""

    entries: Sequence[Entry]
    started: Run
    credentials: FoundCredentials
    dry_run: bool
    steps: Sequence[Step] = ()
    may_list: bool = True
    results: dict[str, Applied] = field(default_factory=dict)

    async def carry_out(self) -> None:
        """Plan, say what will be done, and do it."""
        from oauth_helper.api import open_service  # noqa: PLC0415 - aiohttp costs 0.3 s
        from oauth_helper.apply_file import list_existing  # noqa: PLC0415 - aiohttp costs 0.3 s

        async with AsyncExitStack() as stack:
            stack.callback(self.started.reporter.stop_clock)
            service = await stack.enter_async_context(open_service(self.started.settings, self.credentials))
            listed = await list_existing(service, self.started.reporter.tell)
            self.may_list = listed is not None
            self.steps = plan_steps(self.entries, listed or [])
            if self.dry_run:
                return
            self._check()
            self._say_what_comes()
            await self._applying(service)

    async def _applying(self, service: ServiceStageClient) -> None:
        from oauth_helper.apply_file import apply_steps, without_secrets  # noqa: PLC0415 - as above
        from oauth_helper.journal import Journal  # noqa: PLC0415 - as above
        from oauth_helper.session import BrowserOptions, Session  # noqa: PLC0415 - as above

        settings, reporter = self.started.settings, self.started.reporter
        environ = without_secrets(self.started.environ, self.entries)
        browser_options = BrowserOptions(
            browser=settings.browser.value,
            say=reporter.insist,
            keys=reporter.keys,
            environ=environ,
            preference=spoken(),
        )
        reporter.takes_pastes = browser_options.has_prompt
        tell, journal = warning_once(reporter.tell), Journal.of_the_user()
        async with Session(browser_options, tell, journal=journal, is_shared=True) as session:
            await apply_steps(
                *(self.steps, service, session, self._take),
                environ=self.started.environ,
                timeout=settings.timeout.value,
                may_list=self.may_list,
            )

    def _say_what_comes(self) -> None:
        missing = [step.entry for step in self.steps if step.verdict is Verdict.CREATE]
        in_browser = self._in_browser()
        say, existing, all_of_them = self.started.reporter.say, len(self.steps) - len(missing), len(self.steps)
        if missing:
            say(
                _(
                    "{standing} of {all} stand already. {missing} to be created.",
                    standing=existing,
                    all=all_of_them,
                    missing=len(missing),
                )
            )
        else:
            say(_("{standing} of {all} stand already.", standing=existing, all=all_of_them))
        if in_browser:
            say(_("In the browser, one after the other: {names}.", names=", ".join(in_browser)))

    def _take(self, result: Applied) -> None:
        self.results[result.entry.name] = result
        name, outcome, reporter = result.entry.name, result.outcome, self.started.reporter
        if isinstance(outcome, Failed):
            reporter.warn(_("{name}: {message}.", name=name, message=outcome.error.message))
        elif not outcome.kept:
            reporter.say(_("Linked {name}. {progress}.", name=name, progress=self.progress))

    @property
    def progress(self) -> Text:
        """How many of them stand."""
        existing = sum(isinstance(result.outcome, Linked) for result in self.results.values())
        return _("{standing} of {all} stand", standing=existing, all=len(self.entries))

    def print_summary(self) -> None:
        """Print what became of each entry, or what would be done about it."""
        if not self.steps:
            return
        if self.started.as_json:
            print_json([self._record(step) for step in self.steps])
            return
        head = [_("NAME"), _("TYPE"), _("METHOD"), _("PLAN") if self.dry_run else _("RESULT")]
        rows = [[step.entry.name, step.entry.repo_type, step.entry.method, self._words(step)] for step in self.steps]
        if self.dry_run:
            head += [_("SECRET"), _("SENT TO")]
            for step, row in zip(self.steps, rows, strict=True):
                secret, address = self._secret_of(step.entry)
                row.extend([secret or _("not set"), address or ""] if step.entry.secret else ["", ""])
        print_columns([head, *rows])

    def raise_first_failure(self) -> None:
        """End as the first entry ended that did not come about."""
        for result in self.results.values():
            if isinstance(result.outcome, Failed):
                raise result.outcome.error
        if self.dry_run:
            self._check()

    def _check(self) -> None:
        """Refuse what cannot be done, as far as can be known before anything is."""
        check_steps(self.steps, self.started.environ)
        if self.started.is_unattended and (names := self._in_browser()):
            raise nobody_could_authorize(
                _("{names} would need one. Nothing was done", names=", ".join(names)),
                hint=_(
                    "Declare method token or password for them; or run it first where there is a browser: what stands "
                    "then is kept here."
                ),
            )

    def _in_browser(self) -> list[str]:
        missing = [step.entry for step in self.steps if step.verdict is Verdict.CREATE]
        return [entry.name for entry in missing if entry.method is Method.OAUTH]

    def _secret_of(self, entry: Entry) -> tuple[str | None, str | None]:
        """Return the variable, if it is set (else the text may be the secret itself), and where its value is sent."""
        secret = entry.secret if entry.secret and self.started.environ.get(entry.secret) else None
        return secret, entry.address if entry.secret else None

    def _word(self, step: Step) -> Text:
        if self.dry_run:
            return _VERDICTS[step.verdict]
        result = self.results.get(step.entry.name)
        if result is None:
            return _("failed") if step.verdict is Verdict.BLOCKED else _NOT_REACHED
        if isinstance(result.outcome, Failed):
            return _("failed")
        return _("kept") if result.outcome.kept else _("created")

    def _words(self, step: Step) -> Text:
        if step.verdict is Verdict.BLOCKED:
            return _("{verdict}: {why}", verdict=self._word(step), why=step.why)
        return self._word(step)

    def _record(self, step: Step) -> Mapping[str, object]:
        entry, result = step.entry, self.results.get(step.entry.name)
        record: dict[str, object] = {"name": entry.name, "repo_type": entry.repo_type, "method": entry.method}
        if self.dry_run:
            record["plan"] = self._word(step)
            record["secret"], record["host"] = self._secret_of(entry)
        else:
            record["result"] = self._word(step)
        if result and isinstance(result.outcome, Linked):
            record["authorization"] = result.outcome.authorization.to_json()
        elif result and isinstance(result.outcome, Failed):
            record["error"] = result.outcome.error.to_json()
        elif step.verdict is Verdict.BLOCKED:
            record["error"] = NameTakenError(step.why).to_json()
        return record
