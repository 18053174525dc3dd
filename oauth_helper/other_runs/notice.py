"""What a waiting run lays down so that others of the same user find it: where it listens, and with which KEY."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oauth_helper.authorization import RepoType, is_legal_name
from oauth_helper.errors import MachineError
from oauth_helper.other_runs.claim import Claim, notice_path
from oauth_helper.pending import Target
from oauth_helper.phrase import phrase
from oauth_helper.private_files import read_private, remove_leftovers, write_whole
from oauth_helper.secret import Secret

_FORMAT: Final = 1
_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:([0-9]{1,5})/start\?k=([A-Za-z0-9_-]{22,})")
"""Loopback by its number alone, and a KEY of at least 128 bits: a redirect is sent nowhere else."""
_PORTS: Final = range(1, 65536)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Notice:
    """Where a run that waits can be spoken to."""

    digest: str
    """Of its :class:`~oauth_helper.pending.Target`."""
    name: str
    """Of the authorization that it is to bring about."""
    repo_type: RepoType
    pid: int
    port: int
    """The listener's, on 127.0.0.1."""
    key: Secret
    """KEY; opens the listener's pages too."""
    state: str | None = None
    """What :func:`digest_of_state` gives for the state that it waits for."""


def digest_of_state(state: str) -> str:
    """Return what tells a state from any other without being good for an exchange."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def noticed(
    folder: Path, target: Target, *, address: str, repo_type: RepoType, state: Secret | None = None
) -> Iterator[None]:
    """Let others find this run, which has the claim to ``target``, until the context ends.

    ``address`` is the listener's ``/start?k=KEY``, with a KEY of its own.

    Raises:
        MachineError: On entering, the notice cannot be written.
    """
    path = notice_path(folder, target.digest)
    told = {"format": _FORMAT, "listener": address, "pid": os.getpid(), "name": target.name, "repo_type": repo_type}
    if state:
        told["state"] = digest_of_state(state.reveal())
    try:
        remove_leftovers(folder)
        write_whole(path, json.dumps(told))
    except OSError as error:
        raise MachineError(
            phrase("{path} cannot be written: {strerror}", path=path, strerror=error.strerror)
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # then it is removed when nobody has the claim any more
            path.unlink()


def read_notices(folder: Path) -> list[Notice]:
    """Return the notices of all runs that can be spoken to; those of dead ones are removed.

    What is no notice, or is not to be trusted, is passed over.

    Raises:
        MachineError: It cannot be found out who lives.
    """
    digests = sorted(path.stem for path in folder.glob("*.json") if _DIGEST.fullmatch(path.stem))
    found = (_notice(folder, digest) for digest in digests)
    return [notice for notice in found if notice]


def find_notice(folder: Path, target: Target) -> Notice | None:
    """Return the notice of the run that links ``target``, if there is one and it can be spoken to.

    Raises:
        MachineError: As :func:`read_notices`.
    """
    return _notice(folder, target.digest) if notice_path(folder, target.digest).exists() else None


def _notice(folder: Path, digest: str) -> Notice | None:
    # Asked first: on the port of a run that is dead, anybody may listen by now.
    if claim := Claim.try_take_by_digest(folder, digest):
        claim.release()
        return None
    try:
        text = read_private(notice_path(folder, digest))
        return _read(digest, text) if text is not None else None
    except (MachineError, ValueError, RecursionError):
        return None


def _read(digest: str, text: str) -> Notice:
    match record := json.loads(text):
        case {"format": 1, "listener": str(listener), "pid": int(pid), "name": str(name), "repo_type": str(repo_type)}:
            address = _ADDRESS.fullmatch(listener)
            if address and int(address[1]) in _PORTS and is_legal_name(name):
                awaited = record.get("state")
                return Notice(
                    *(digest, name, RepoType(repo_type), pid, int(address[1]), Secret(address[2])),
                    state=awaited if isinstance(awaited, str) else None,
                )
        case _:
            pass
    raise ValueError("no notice")
