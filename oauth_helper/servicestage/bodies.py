"""The bodies of the calls that create authorizations. No I/O."""

from __future__ import annotations

import base64
import json
import re
from typing import Final

from oauth_helper.errors import UsageError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.secret import Secret

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def body_of(fields: dict[str, str], *, bearing: Phrase) -> bytes:
    """Return ``fields`` as JSON; ``bearing`` names what is secret in them.

    Raises:
        UsageError: There is no Unicode in them.
    """
    text = json.dumps(fields, ensure_ascii=False)
    # Bytes of a terminal that are not UTF-8 become lone surrogates (PEP 383); encoding them would fail with an
    # exception that holds the whole text, what is secret included.
    if _SURROGATES.search(text):
        raise UsageError(phrase("{bearing} has a character that is no Unicode", bearing=bearing))
    return text.encode()


def basic(user: str, password: Secret) -> Secret:
    """Return user and password as one, as the vendor's Terraform provider sends them.

    Raises:
        UsageError: There is no Unicode in them.
    """
    if _SURROGATES.search(pair := f"{user}:{password.reveal()}"):
        raise UsageError(phrase("The user or the password has a character that is no Unicode"))
    return Secret(base64.b64encode(pair.encode()).decode())
