"""The places of a run where a secret could stand, each without what may stand there; and the search of them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from canaries import Canary, Search
from canary_exceptions import (
    entry_without_redirect,
    page_without_addresses,
    without_addresses,
    without_exports,
    without_start,
    without_waiting,
)
from link_script import until

if TYPE_CHECKING:
    from canary_run import Run

_OF_THE_TESTS = ("CANARY_", "COVERAGE_", "PYTEST_")
_NEVER_SECRET = frozenset({("oauth_helper.sandbox", "__init__", 32), ("oauth_helper.sandbox", "_new_access_key", 20)})
"""The sandbox's project and access keys: who asked for them, and how long they are."""
_NO_SECRETS_OF = ("oauth_helper.sandbox.faults", "oauth_helper.browsers.window")
"""Rooms whose random values are request ids, and the self-test's mark."""


class LeakError(AssertionError):
    """A secret stands where none may; a line for each, which begins with the place and the secret's name."""


async def search(run: Run) -> None:
    """Wait until the browsers are closed, and fail if a secret stands where none may."""
    await until(lambda: not list((run.folder / "pages").glob("open-*")))
    wanted = Search(canaries(run))
    found = [f"{name}: {hit}" for name, text in _places(run) for hit in wanted.hits(text)]
    if found:
        raise LeakError("\n".join(["", *found]))


def canaries(run: Run) -> list[Canary]:
    """Return all secrets of the run."""
    issued = [
        Canary(f"{asked['module']}.{asked['function']}", asked["value"])
        for asked in _notes(run, "issued")
        if _is_secret(asked)
    ]
    return [*run.planted, *run.sandbox.learned.values(), *issued]


def _is_secret(asked: dict[str, str]) -> bool:
    module, function = asked["module"], asked["function"]
    return (
        module.startswith("oauth_helper")
        and module not in _NO_SECRETS_OF
        and (module, function, len(asked["value"])) not in _NEVER_SECRET
        and function != "register"  # the client id, which stands in the authorization URL
    )


def _notes(run: Run, name: str) -> list[dict[str, Any]]:
    path = run.folder / "notes" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _places(run: Run) -> Iterator[tuple[str, str | bytes]]:
    yield "log", (run.folder / "notes" / "log").read_bytes()
    urls = run.sandbox.authorization_urls if run.opens_by_hand else ()
    for number, command in enumerate(run.commands):
        yield f"stdout {number}", without_exports(command.out) if run.prints_sandbox else without_waiting(command.out)
        yield f"stderr {number}", without_addresses(command.err, urls)
    for screen in run.screens:
        yield "screen", without_addresses(screen.shown, urls)
    yield from _of_children(run)
    kept = [page.read_text() for page in (run.folder / "pages").glob("*.html")]
    for page in [*run.pages, *kept]:
        yield "page", page_without_addresses(page)
    yield from _left_behind(run)


def _of_children(run: Run) -> Iterator[tuple[str, str]]:
    for child in _notes(run, "children"):
        argv, environ = child["argv"], child["environ"]
        yield f"argv of {argv[:3]}", "\n".join(argv if run.is_window else without_start(argv))
        theirs = {key: value for key, value in environ.items() if not key.startswith(_OF_THE_TESTS)}
        yield f"environment of {argv[:3]}", "\n".join(f"{key}={value}" for key, value in theirs.items())


def _left_behind(run: Run) -> Iterator[tuple[str, str | bytes]]:
    for path in sorted(path for name in ("home", "tmp", "runtime") for path in (run.folder / name).rglob("*")):
        place = str(path.relative_to(run.folder))
        yield "name of a file", place
        if path.is_file() and path not in run.own_files:
            is_entry = run.keeps_redirect and path.name.startswith("pending-")
            yield place, entry_without_redirect(path) if is_entry else path.read_bytes()
