"""The words for a wait that takes long: what was ignored meanwhile, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from oauth_helper.events import Advice, Stray, Waiting

_USUAL_HOST: Final = "THIS-MACHINE"

_KINDS: Final[Mapping[str, str]] = {
    Stray.HTTPS: "HTTPS",
    Stray.LOCALHOST: "for localhost",
    Stray.ALREADY_OPENED: "already opened",
    Stray.OTHER_USER: "by another user",
    "foreign-state": "of another attempt",
    "wrong-repo-type": "of another Git host",
    "wrong-issuer": "of another server",
    "missing-code": "not whole",
    "repeated-parameter": "not whole",
    "no-redirect": "no address",
    "too-long": "too long",
    "unreadable": "not readable",
}
"""What is ignored, in two words; what a user can do nothing about is a stray request."""
_USUAL_KIND: Final = "stray"


def ignored_in_words(counts: Mapping[str, int]) -> str:
    """Return what stands on the waiting line, such as ``Ignored: 2 of another attempt, 1 HTTPS.``."""
    kinds: dict[str, int] = {}
    for reason, count in counts.items():
        kind = _KINDS.get(reason, _USUAL_KIND)
        kinds[kind] = kinds.get(kind, 0) + count
    most_first = sorted(kinds.items(), key=lambda kind: -kind[1])
    return f"Ignored: {', '.join(f'{count} {kind}' for kind, count in most_first)}." if kinds else ""


def ssh_command(waiting: Waiting, environ: Mapping[str, str]) -> str:
    """Return the command with which the listener can be reached from the machine in front of the user."""
    port = urlsplit(waiting.listener).port
    connection = environ.get("SSH_CONNECTION", "").split()  # ssh(1): client address and port, server address and port
    host = connection[2] if len(connection) == 4 else _USUAL_HOST
    return f"ssh -L {port}:127.0.0.1:{port} {host}"


_WORDS: Final[Mapping[Advice, str]] = {
    Advice.HTTPS: (
        "Your browser forces HTTPS, which an address of this machine itself does not speak. Open the address as it is "
        "printed, with http:// in front, or allow HTTP for it in the browser."
    ),
    Advice.LOCALHOST: ("Something asked for localhost. Open the address with 127.0.0.1 in it, just as it is printed."),
    Advice.OTHER_USER: (
        "Another user of this machine has asked for the page, and was refused. If it is you, open it as the user who "
        "runs this command."
    ),
    Advice.OTHER_ATTEMPT: (
        "That was the address of an earlier attempt, or of somebody else's. Leave that tab, and authorize in the one "
        "that was opened now."
    ),
    Advice.NOT_WHOLE: (
        "The address that came was not whole. Copy all of it from the address bar, and paste it into the page{here}."
    ),
    Advice.UNREACHED: (
        "Nothing has reached me yet. If your browser runs on another machine, {hand_over}, or first run there:\n  {ssh}"
    ),
    Advice.UNDECIDED: (
        "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into the "
        "page{here}."
    ),
}
_IN_WINDOW: Final = "The window is open, and nothing has come back yet. Authorize there."
_OWN_BROWSER: Final = " To go on in your own browser instead, press b and Enter."


def in_words(
    advice: Advice, waiting: Waiting, *, in_window: bool, takes_pastes: bool, environ: Mapping[str, str]
) -> str:
    """Return the advice for people; an address or command in it has a line of its own, that begins with blanks."""
    if advice is Advice.UNDECIDED and in_window:
        return _IN_WINDOW + (_OWN_BROWSER if takes_pastes else "")
    return _WORDS[advice].format(
        here=", or here" if takes_pastes else "",
        hand_over="paste the address where it ends here" if takes_pastes else "hand its end to `oauth-helper deliver`",
        ssh=ssh_command(waiting, environ),
    )
