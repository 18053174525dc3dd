"""Leaks of every kind, to be planted in every room of the package: each is found by a flow that passes there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from canary_play import bring, waiting
from canary_run import Run
from link_script import LINK, consent
from mutated_package import Plant

Flow = Callable[[Run], Awaitable[None]]

_STDERR = '__import__("sys").stderr'
_LOG = '__import__("logging").getLogger("any").debug'
_COPY = '(__import__("pathlib").Path.home() / "copy").write_text'
_KEY = r"oauth_helper\.listener\.start"


async def straight(run: Run) -> None:
    """A script, whose user swaps the host in the address bar."""
    async with waiting(run, "-vv", "--timeout", "2") as (link, url):
        await bring(run, link, await consent(url))
        await link.ended()


async def by_browser(run: Run) -> None:
    """A browser that pastes into the page."""
    async with run.started(*LINK, "--events", "-vv", "--timeout", "3") as link:
        await link.ended()


async def by_terminal(run: Run) -> None:
    """A user who pastes into the terminal."""
    run.opens_by_hand = True
    async with run.on_terminal(*LINK, "--no-browser", "--timeout", "5") as screen:
        await screen.until("Paste the redirect's address here")
        screen.type(f"\x1b[200~{await consent(next(iter(run.sandbox.authorization_urls)))}\x1b[201~")
        await screen.ended()


@dataclass(frozen=True)
class Leak:
    """What is planted, who passes there, and what the search has to say, as a regular expression."""

    plant: Plant
    flow: Flow
    found: str


def _leak(place: str, line: str, found: str, flow: Flow = straight) -> Leak:
    module, _, function = place.partition(":")
    return Leak(Plant(module, function, line), flow, found)


LEAKS = [
    _leak("redirect/authorization_request.py:AuthorizationRequest.judge_query", "print(query)", "stdout 0: code"),
    _leak(
        "desk/judging.py:Desk.judge",
        'from oauth_helper.errors import MachineError; raise MachineError(f"cannot judge {text}")',
        "log: code",
        by_browser,
    ),
    _leak("listener/reception.py:Reception._direct", f"print(query[:90], file={_STDERR})", "stderr 0: code"),
    _leak(
        "listener/reception.py:Reception._pasted",
        '__import__("warnings").warn(key.reveal())',
        f"log: {_KEY}",
        by_browser,
    ),
    _leak(
        "servicestage/client.py:ServiceStageClient.create_oauth",
        f'{_LOG}(__import__("base64").b64encode(b"x" + code.reveal().encode()))',
        "log: code",
    ),
    _leak(
        "servicestage/signing.py:sign",
        f"print(key.secret_key.reveal().encode().hex(), file={_STDERR})",
        "stderr 0: SK",
    ),
    _leak("journal.py:Journal.write", f"{_COPY}(json.dumps(pending.to_json()))", "home/copy: code"),
    _leak("exchange/sending.py:Exchange._forget", "return", r"home/\S+/pending-\S+: code"),
    _leak("other_runs/notice.py:noticed", f"{_COPY}(address)", f"home/copy: {_KEY}"),
    _leak("terminal/prompt.py:TerminalPrompt._judge", "self._say(text)", "screen: code", by_terminal),
    _leak("cli/narration.py:Narrator.tell", 'self.insist(f"{event}")', "stderr 0: state"),
    _leak("cli/event_lines.py:EventLines.tell", "print(event)", f"stdout 0: {_KEY}"),
    _leak(
        "session.py:Session._open_default",
        '__import__("os").environ["LAST"] = self._receiver.authorization_url',
        "environment of .*: state",
        by_browser,
    ),
    _leak("browsers/default.py:_start", 'command.append(f"--last={command[-1]}")', f"argv of .*: {_KEY}", by_browser),
    _leak("credential_chain.py:find_credentials", f"{_LOG}(dict(environ))", "log: SK"),
]
