"""A whole link, against the sandbox: who visits the listener is about to need a connection."""

from __future__ import annotations

import os

from oauth_helper.authorization import RepoType
from oauth_helper.events import Event, Visited
from oauth_helper.link_request import LinkRequest
from oauth_helper.sandbox import Sandbox
from oauth_helper.sandbox.visitor import play_user
from oauth_helper.servicestage import ServiceStageClient
from oauth_helper.wiring import Ways, run_link


class WatchedClient(ServiceStageClient):
    """Counts the signs it is given."""

    signs: int = 0

    def expect_request(self) -> None:
        self.signs += 1
        super().expect_request()


async def test_a_visit_to_the_listener_is_a_sign() -> None:
    told: list[Event] = []
    ways = Ways(visitor=play_user, environ={"PATH": os.defpath})
    async with (
        Sandbox() as sandbox,
        WatchedClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        await run_link(LinkRequest(RepoType.GITHUB, "my-auth"), service, ways, told.append, journal=None)
    assert service.signs == len([event for event in told if isinstance(event, Visited)]) > 0
