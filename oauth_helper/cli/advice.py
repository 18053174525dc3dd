"""The words for a wait that takes long: what was ignored meanwhile, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Final

from oauth_helper.events import Advice, Stray
from oauth_helper.phrase import NOTHING, Phrase, phrase

_KINDS: Final[Mapping[str, Phrase]] = {
    Stray.HTTPS: phrase("HTTPS"),
    Stray.LOCALHOST: phrase("for localhost"),
    Stray.ALREADY_OPENED: phrase("already opened"),
    Stray.OTHER_USER: phrase("by another user"),
    "foreign-state": phrase("of another attempt"),
    "wrong-repo-type": phrase("of another Git host"),
    "wrong-issuer": phrase("of another server"),
    "missing-code": phrase("not whole"),
    "repeated-parameter": phrase("not whole"),
    "no-redirect": phrase("no address"),
    "too-long": phrase("too long"),
    "unreadable": phrase("not readable"),
}
"""What is ignored, in two words; what a user can do nothing about is a stray request."""
_USUAL_KIND: Final = phrase("stray")


def ignored_in_words(counts: Mapping[str, int]) -> Phrase:
    """Return what stands on the waiting line, such as ``Ignored: 2 of another attempt, 1 HTTPS.``; else nothing."""
    kinds: dict[Phrase, int] = {}
    for reason, count in counts.items():
        kind = _KINDS.get(reason, _USUAL_KIND)
        kinds[kind] = kinds.get(kind, 0) + count
    most_first = sorted(kinds.items(), key=lambda kind: -kind[1])
    said = [phrase("{count} {kind}", count=count, kind=kind) for kind, count in most_first]
    return phrase("Ignored: {kinds}.", kinds=reduce(_and, said)) if said else NOTHING


def _and(text: Phrase, more: Phrase) -> Phrase:
    return phrase("{text}, {more}", text=text, more=more)


_WORDS: Final[Mapping[Advice, Phrase]] = {
    Advice.HTTPS: phrase(
        "Your browser forces HTTPS, which an address of this machine itself does not speak. Open the address as it is "
        "printed, with http:// in front, or allow HTTP for it in the browser."
    ),
    Advice.LOCALHOST: phrase(
        "Something asked for localhost. Open the address with 127.0.0.1 in it, just as it is printed."
    ),
    Advice.OTHER_USER: phrase(
        "Another user of this machine has asked for the page, and was refused. If it is you, open it as the user who "
        "runs this command."
    ),
    Advice.OTHER_ATTEMPT: phrase(
        "That was the address of an earlier attempt, or of somebody else's. Leave that tab, and authorize in the one "
        "that was opened now."
    ),
}
"""The words that are the same wherever a user can paste."""


def advice_in_words(advice: Advice, *, in_window: bool, takes_pastes: bool) -> Phrase:
    """Return the advice for people; that of :attr:`Advice.UNREACHED` depends on where we run, and is a direction."""
    match advice:
        case Advice.NOT_WHOLE if takes_pastes:
            return phrase(
                "The address that came was not whole. Copy all of it from the address bar, and paste it into the page, "
                "or here."
            )
        case Advice.NOT_WHOLE:
            return phrase(
                "The address that came was not whole. Copy all of it from the address bar, and paste it into the page."
            )
        case Advice.UNDECIDED:
            return _nothing_yet(in_window=in_window, takes_pastes=takes_pastes)
        case _:
            return _WORDS[advice]


def _nothing_yet(*, in_window: bool, takes_pastes: bool) -> Phrase:
    if in_window:
        here = phrase("The window is open, and nothing has come back yet. Authorize there.")
        return here + phrase(" To go on in your own browser instead, press b and Enter.") if takes_pastes else here
    if takes_pastes:
        return phrase(
            "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into the "
            "page, or here."
        )
    return phrase(
        "Nothing has come back yet. Once you have authorized, paste the address where the browser ends into the page."
    )
