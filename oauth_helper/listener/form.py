"""The form in which an address is brought: read within limits."""

from __future__ import annotations

import asyncio
from typing import Final

from oauth_helper.errors import RedirectRejectedError
from oauth_helper.events import Way
from oauth_helper.listener import web
from oauth_helper.phrase import phrase

TOO_LONG: Final = RedirectRejectedError("too-long", phrase("That is longer than any address"))
_UNREADABLE: Final = RedirectRejectedError("unreadable", phrase("What was sent could not be read"))


async def read_form(request: web.BaseRequest, patience: float) -> tuple[str, Way]:
    """Return the address that was offered, empty where there is none, and who brought it.

    ``patience`` is how many seconds the form may take to arrive.

    Raises:
        RedirectRejectedError: It is too long; or too slow, cut off, not in its own format or charset, or has too many
            fields.
    """
    try:
        async with asyncio.timeout(patience):
            form = await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise TOO_LONG from None
    except (OSError, ValueError, LookupError, web.HTTPException, web.RequestPayloadError):
        raise _UNREADABLE from None
    text = form.get("redirect")
    way = Way.DELIVER if form.get("way") == Way.DELIVER else Way.PAGE
    return text if isinstance(text, str) else "", way
