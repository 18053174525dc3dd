"""What the calls about repositories send, and what is made of their answers. No I/O.

Source: API reference, pages servicestage_06_0098 to 0107 ("Obtaining Namespaces" and what follows).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from oauth_helper.errors import NoSuchAuthorizationError, UsageError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.presentable import presentable
from oauth_helper.servicestage.answer import Answer
from oauth_helper.servicestage.signing import encode

_FIELD_VALUE: Final = re.compile(r"[!-~]+")
"""What can stand in a header; every legal name does."""

T = TypeVar("T")


def authorized_by(name: str) -> dict[str, str]:
    """Return the header that says by which authorization the Git host is asked.

    Raises:
        NoSuchAuthorizationError: There can be none of that name.
    """
    if not _FIELD_VALUE.fullmatch(name):
        raise NoSuchAuthorizationError(phrase("There is no authorization named {name!r}", name=presentable(name)))
    return {"X-Repo-Auth": name}


def namespace_segment(namespace: str) -> str:
    """Return a namespace as it stands in an address: a slash in it is escaped.

    Raises:
        UsageError: It cannot stand there.
    """
    return _segment(phrase("namespace"), namespace)


def project_segment(project: str) -> str:
    """Return a project as it stands in an address: a slash in it is written as a colon.

    Raises:
        UsageError: It cannot stand there.
    """
    return _segment(phrase("project"), project.replace("/", ":"))


def read_objects(answer: Answer, key: str, read: Callable[[dict[str, object]], T]) -> list[T]:
    """Return the objects of the list ``key``; those of which nothing can be asked are passed over."""
    found: list[T] = []
    for record in _list_of(answer, key):
        try:
            found.append(read(record if isinstance(record, dict) else {}))
        except ValueError:
            continue
    return found


def read_names(answer: Answer, key: str) -> list[str]:
    """Return the names in the list ``key``."""
    return [name for name in _list_of(answer, key) if isinstance(name, str) and name]


def _list_of(answer: Answer, key: str) -> list[object]:
    document = answer.json_object()
    listed = document.get(key)
    if listed is None and key in document:  # as Go and Java write an empty list
        return []
    if not isinstance(listed, list):
        raise answer.unusable(phrase("has no list of {key}", key=key))
    return listed


def _segment(what: Phrase, text: str) -> str:
    # Proxies resolve "." and ".." (RFC 3986 section 5.2.4): the request would reach something else.
    if not text.strip(".") or not text.isprintable():
        raise UsageError(
            phrase("There can be no {what} named {text!r}", what=what, text=presentable(text)),
            hint=phrase("Give the {what} as `oauth-helper repos` does.", what=what),
        )
    return encode(text)
