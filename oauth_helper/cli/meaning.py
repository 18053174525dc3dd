"""What the error that ends a link means for what stands, where its text does not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oauth_helper.phrase import phrase

if TYPE_CHECKING:
    from oauth_helper.cli.narration import Narrator
    from oauth_helper.errors import OAuthHelperError

_SAID_ALREADY: Final = "Nothing was created"


def add_meaning(error: OAuthHelperError, narrator: Narrator) -> None:
    """Say that nothing was created, where nothing can have been. To say it twice is no fault."""
    if narrator.may_be_created or _SAID_ALREADY in f"{error.message} {error.hint}":
        return
    error.hint = phrase("Nothing was created. {what_to_do}", what_to_do=error.hint)
