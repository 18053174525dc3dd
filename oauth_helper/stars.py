"""Provider text, with stars where it repeats a secret of ours. No I/O."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, quote_plus

from oauth_helper.presentable import presentable
from oauth_helper.secret import Secret

_STARS: Final = "********"


def starred(text: str, secrets: Collection[Secret], *, limit: int) -> str:
    """Return provider text presentable, cut to ``limit`` characters, with stars where it repeats a secret of ours.

    The gateway echoes the request it could not verify, a security token included. Stars come before the cut: the
    first half of a secret is too much.
    """
    line = presentable(text, limit=max(len(text), 1))
    forms = {form for secret in secrets for form in _forms(secret.reveal())} - {""}
    for form in sorted(forms, key=len, reverse=True):
        line = re.sub(re.escape(form), _STARS, line, flags=re.IGNORECASE)
    return presentable(line, limit=limit)


def _forms(value: str) -> tuple[str, ...]:
    escaped = (quoted(value, safe=safe, errors="replace") for quoted in (quote, quote_plus) for safe in ("", "/"))
    as_shown = presentable(value, limit=max(len(value), 1))
    return (value, as_shown, json.dumps(value)[1:-1], html.escape(value), *escaped)
