"""How a story ended, as one run of ours tells it to another: as JSON, and back. No I/O."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Final

from oauth_helper.authorization import Authorization
from oauth_helper.errors import OAuthHelperError, RedirectRejectedError
from oauth_helper.events import Failed, Linked, Outcome
from oauth_helper.phrase import Phrase
from oauth_helper.phrase_document import read_phrase, write_phrase
from oauth_helper.presentable import presentable

_LONGEST: Final = 4000
"""Characters of a text that is read back; a message may name a path."""
_STATUSES: Final = range(1, 256)


class OutcomeDocumentError(ValueError):
    """What came is no such document. Its text is not repeated."""


def write_outcome(outcome: Outcome | None) -> str:
    """Return the document that tells ``outcome``; None: the end is still waited for."""
    if outcome is None:
        return json.dumps({"outcome": "waiting"})
    if isinstance(outcome, Linked):
        record = outcome.authorization.to_json()
        return json.dumps({"outcome": "linked", "kept": outcome.kept, "authorization": record})
    error = outcome.error
    told = {"kind": error.kind, "exit_status": error.exit_status} | _facts(vars(error)) | _phrases(error)
    return json.dumps({"outcome": "failed", "error": told})


def write_rejection(rejection: RedirectRejectedError) -> str:
    """Return the document that says: what was delivered is not the redirect that is waited for."""
    words = {"reason": rejection.reason, "message": rejection.message, "hint": rejection.hint}
    return json.dumps({"outcome": "rejected"} | words | _phrases(rejection))


def _phrases(error: OAuthHelperError) -> dict[str, object]:
    """Return what the words are made of: who reads them may speak another language."""
    return {"phrases": {"message": write_phrase(error.message), "hint": write_phrase(error.hint)}}


def read_outcome(document: str | bytes) -> Outcome | None:
    """Read what :func:`write_outcome` or :func:`write_rejection` gave; None where the end is still waited for.

    An error comes back as one of its own class, so that its exit status and ``except`` clauses are right; one of a
    kind that this version does not know, as an :class:`OAuthHelperError` that bears its exit status.

    Raises:
        RedirectRejectedError: The document says so.
        OutcomeDocumentError: It is no such document.
    """
    try:
        told = json.loads(document)
    except (ValueError, RecursionError):
        raise OutcomeDocumentError("no JSON") from None
    match told:
        case {"outcome": "waiting"}:
            return None
        case {"outcome": "linked", "kept": bool(kept), "authorization": dict(record)}:
            return Linked(_authorization(record), kept)
        case {"outcome": "failed", "error": dict(facts)}:
            return Failed(_error(facts))
        case {"outcome": "rejected", "reason": str(reason), "message": str(message), "hint": str(hint)}:
            said, advised = _words(told, message, hint)
            raise RedirectRejectedError(presentable(reason, limit=_LONGEST), said, hint=advised)
        case _:
            raise OutcomeDocumentError("no document of an outcome")


def _facts(attributes: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in attributes.items()
        if not name.startswith("_") and (value is None or isinstance(value, str | int | float))
    }


def _words(told: Mapping[str, object], message: str, hint: str) -> tuple[Phrase, Phrase]:
    """Return them such that they can be said in any language of ours, where the document says how."""
    phrases = told.get("phrases")
    parts = phrases if isinstance(phrases, dict) else {}
    message, hint = (presentable(text, limit=_LONGEST) for text in (message, hint))
    return read_phrase(parts.get("message"), message), read_phrase(parts.get("hint"), hint)


def _authorization(record: Mapping[str, object]) -> Authorization:
    try:
        return Authorization.from_json(record)
    except ValueError:
        raise OutcomeDocumentError("an authorization without a name") from None


def _error(told: Mapping[str, object]) -> OAuthHelperError:
    kind, status = told.get("kind"), told.get("exit_status")
    known = next((each for each in _error_classes(OAuthHelperError) if vars(each).get("kind") == kind), None)
    error_class = known or OAuthHelperError
    facts: dict[str, object] = {"code": None, "request_id": None}
    for name, value in _facts(told).items():
        if not hasattr(error_class, name):
            facts[name] = presentable(value, limit=_LONGEST) if isinstance(value, str) else value
    message, hint = facts.get("message"), facts.get("hint")
    if not isinstance(message, str) or not isinstance(hint, str) or not _needed(error_class) <= facts.keys():
        raise OutcomeDocumentError("an error with something missing")
    facts["message"], facts["hint"] = _words(told, message, hint)
    # Not by its own __init__, which may compose the message: that is done.
    error = error_class.__new__(error_class, message)
    vars(error).update(facts)
    if type(status) is int and status in _STATUSES and status != error_class.exit_status:
        error.exit_status = status
    return error


def _error_classes(root: type[OAuthHelperError]) -> Iterator[type[OAuthHelperError]]:
    yield root
    for child in root.__subclasses__():
        yield from _error_classes(child)


def _needed(error_class: type[OAuthHelperError]) -> set[str]:
    """Return what an error of this class cannot be made without; it keeps each under the same name."""
    parameters = inspect.signature(error_class).parameters.values()
    return {each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD}
