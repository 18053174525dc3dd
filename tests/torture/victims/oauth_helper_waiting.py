"""oauth-helper's listener with the real desk and judge behind it, for one story after the other in one process.

A line on standard input opens a story; it tells where it waits, when the judge has decided (on the machine's monotonic
clock), and when the listener is closed.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from urllib.parse import urlencode

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.desk import Desk
from oauth_helper.events import Captured, Event, Linked
from oauth_helper.listener import Listener
from oauth_helper.redirect import AuthorizationRequest
from torture.victims.telling import tell


def _note(event: Event) -> None:
    if isinstance(event, Captured):
        tell(captured_at=time.monotonic_ns())


async def story() -> None:
    """Wait for a redirect; the authorization is at hand at once."""
    async with Listener() as listener:
        redirect_uri = f"{listener.address}/servicestage/oauth"
        state = f"$2a$10${secrets.token_hex(26)}"
        url = "https://github.com/login/oauth/authorize?" + urlencode({"redirect_uri": redirect_uri, "state": state})
        desk = Desk(AuthorizationRequest.parse(url, RepoType.GITHUB), _note)
        await listener.serve(desk)
        tell(opened=url)
        response = await desk.redirect()
        tell(code=response.code.reveal())
        desk.end(Linked(Authorization(name="my-auth", repo_type="github", repo_user="octocat", status=0)))
    tell(ended="")


if __name__ == "__main__":
    for _ in sys.stdin:
        asyncio.run(story())
