"""Links in the sandbox through browser windows."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
from support.recorded_events import RecordedEvents

from oauth_helper.api import run_link
from oauth_helper.browsers.discovery import Family, choose, look_around
from oauth_helper.errors import NoBrowserError
from oauth_helper.events import Linked
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions

REQUEST = LinkRequest(RepoType.GITHUB, "my-auth", timeout=45)


async def program_of(family: Family) -> str:
    try:
        return choose(family, await look_around())[0].command[0]
    except NoBrowserError as error:
        pytest.skip(error.message)


def client(sandbox: Sandbox, kind: type[ServiceStageClient] = ServiceStageClient) -> ServiceStageClient:
    return kind(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key)


async def link(
    sandbox: Sandbox,
    browser: str,
    told: RecordedEvents,
    *,
    request: LinkRequest = REQUEST,
    environ: Mapping[str, str] = os.environ,
) -> Linked:
    options = BrowserOptions(browser=browser, headless=True, environ=environ)
    async with client(sandbox) as service:
        return await run_link(request, service, options, told, journal=None)
