"""The command ``apply``: bring about all that a file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from oauth_helper.browser_choice import MAXIMUM_TIMEOUT
from oauth_helper.cli.options import BROWSER_OPTION, Run, connection_options, output_options, start_run
from oauth_helper.cli.output import print_columns, print_json
from oauth_helper.cli.running import run
from oauth_helper.cli.secret_input import read_given
from oauth_helper.cli.speech import spoken
from oauth_helper.cli.spoken_help import command, option
from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.declaration import Entry, Method, Step, Verdict, check_steps, parse_declaration, plan_steps
from oauth_helper.errors import NameTakenError, StoppedError, UsageError
from oauth_helper.events import Failed, Linked
from oauth_helper.files import UnreadableFileError, decoded
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import is_plain_path
from oauth_helper.whereabouts import nobody_could_authorize

if TYPE_CHECKING:
    from oauth_helper.servicestage import ServiceStageClient
    from oauth_helper.wiring import Applied

_NOT_REACHED: Final = phrase("not reached")
_VERDICTS: Final = {
    Verdict.KEEP: phrase("keep"),
    Verdict.CREATE: phrase("create"),
    Verdict.BLOCKED: phrase("blocked"),
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
        stopped.message += phrase(". {progress}", progress=work.progress)
        stopped.hint = phrase("Run the command again to go on where it stopped.")
        raise
    finally:
        work.print_summary()
    work.raise_first_failure()


def _read(file: Path, *, quiet: bool) -> tuple[str, str]:
    """Return the text of the file, or of standard input, and its name for people."""
    origin: str = str(file)
    if origin in {"-", "/dev/stdin"}:
        origin = phrase("Standard input")
    try:
        return decoded(read_given(file, phrase("Reading {name}…", name=origin), quiet=quiet)), origin
    except FileNotFoundError as error:
        if not is_plain_path(origin):
            origin = phrase("The file")  # a secret may have been given in its place
        raise UsageError(
            phrase("{file} cannot be read: {why}", file=origin, why=error.strerror),
            hint=phrase("Name a TOML file that is there, or - for standard input."),
        ) from None
    except UnreadableFileError as error:
        raise UsageError(
            phrase("{file} {reason}", file=origin, reason=error.reason), hint=error.hint or phrase("Name a TOML file.")
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
        from oauth_helper.wiring import list_if_permitted, open_service  # noqa: PLC0415 - aiohttp costs 0.3 s

        async with AsyncExitStack() as stack:
            stack.callback(self.started.narrator.stop_clock)
            service = await stack.enter_async_context(open_service(self.started.settings, self.credentials))
            listed = await list_if_permitted(service, self.started.narrator.tell)
            self.may_list = listed is not None
            self.steps = plan_steps(self.entries, listed or [])
            if self.dry_run:
                return
            self._check()
            self._say_what_comes()
            await self._applying(service)

    async def _applying(self, service: ServiceStageClient) -> None:
        from oauth_helper.journal import Journal  # noqa: PLC0415 - as above
        from oauth_helper.wiring import Applying, Ways, without_secrets  # noqa: PLC0415 - as above

        settings, narrator = self.started.settings, self.started.narrator
        environ = without_secrets(self.started.environ, self.entries)
        ways = Ways(
            browser=settings.browser.value,
            say=narrator.insist,
            keys=narrator.keys,
            environ=environ,
            preference=spoken(),
        )
        narrator.takes_pastes = ways.has_prompt
        applying = Applying(
            service,
            ways,
            narrator.tell,
            self._take,
            environ=self.started.environ,
            journal=Journal.of_the_user(),
            timeout=settings.timeout.value,
            may_list=self.may_list,
        )
        await applying.carry_out(self.steps)

    def _say_what_comes(self) -> None:
        missing = [step.entry for step in self.steps if step.verdict is Verdict.CREATE]
        in_browser = self._in_browser()
        say, standing, all_of_them = self.started.narrator.say, len(self.steps) - len(missing), len(self.steps)
        if missing:
            say(
                phrase(
                    "{standing} of {all} stand already. {missing} to be created.",
                    standing=standing,
                    all=all_of_them,
                    missing=len(missing),
                )
            )
        else:
            say(phrase("{standing} of {all} stand already.", standing=standing, all=all_of_them))
        if in_browser:
            say(phrase("In the browser, one after the other: {names}.", names=", ".join(in_browser)))

    def _take(self, result: Applied) -> None:
        self.results[result.entry.name] = result
        name, outcome, narrator = result.entry.name, result.outcome, self.started.narrator
        if isinstance(outcome, Failed):
            narrator.warn(phrase("{name}: {message}.", name=name, message=outcome.error.message))
        elif not outcome.kept:
            narrator.say(phrase("Linked {name}. {progress}.", name=name, progress=self.progress))

    @property
    def progress(self) -> Phrase:
        """How many of them stand."""
        standing = sum(isinstance(result.outcome, Linked) for result in self.results.values())
        return phrase("{standing} of {all} stand", standing=standing, all=len(self.entries))

    def print_summary(self) -> None:
        """Print what became of each entry, or what would be done about it."""
        if not self.steps:
            return
        if self.started.as_json:
            print_json([self._record(step) for step in self.steps])
            return
        head = [phrase("NAME"), phrase("TYPE"), phrase("METHOD"), phrase("PLAN") if self.dry_run else phrase("RESULT")]
        rows = [[step.entry.name, step.entry.repo_type, step.entry.method, self._words(step)] for step in self.steps]
        if self.dry_run:
            head += [phrase("SECRET"), phrase("SENT TO")]
            for step, row in zip(self.steps, rows, strict=True):
                secret, address = self._secret_of(step.entry)
                row.extend([secret or phrase("not set"), address or ""] if step.entry.secret else ["", ""])
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
                phrase("{names} would need one. Nothing was done", names=", ".join(names)),
                hint=phrase(
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

    def _word(self, step: Step) -> Phrase:
        if self.dry_run:
            return _VERDICTS[step.verdict]
        result = self.results.get(step.entry.name)
        if result is None:
            return phrase("failed") if step.verdict is Verdict.BLOCKED else _NOT_REACHED
        if isinstance(result.outcome, Failed):
            return phrase("failed")
        return phrase("kept") if result.outcome.kept else phrase("created")

    def _words(self, step: Step) -> Phrase:
        if step.verdict is Verdict.BLOCKED:
            return phrase("{verdict}: {why}", verdict=self._word(step), why=step.why)
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
