"""A whole link, against the sandbox: who visits the listener is about to need a connection."""

from __future__ import annotations

import os

from oauth_helper.api import run_link
from oauth_helper.events import Event, Visited
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox, play_user
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions


class WatchedClient(ServiceStageClient):
    """Counts the signs it is given."""

    signs: int = 0

    def expect_request(self) -> None:
        self.signs += 1
        super().expect_request()


async def test_a_visit_to_the_listener_is_a_sign() -> None:
    told: list[Event] = []
    browser_options = BrowserOptions(simulated_user=play_user, environ={"PATH": os.defpath})
    async with (
        Sandbox() as sandbox,
        WatchedClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        await run_link(LinkRequest(RepoType.GITHUB, "my-auth"), service, browser_options, told.append, journal=None)
    assert service.signs == len([event for event in told if isinstance(event, Visited)]) > 0
