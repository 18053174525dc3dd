"""Links in the sandbox through browser windows."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
from support.recorded_events import RecordedEvents

from oauth_helper.browsers.discovery import Family, choose_here
from oauth_helper.errors import NoBrowserError
from oauth_helper.events import Linked
from oauth_helper.link_steps import link_in_browser
from oauth_helper.models import LinkRequest, RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.session import BrowserOptions, Session

REQUEST = LinkRequest(RepoType.GITHUB, "my-auth", timeout=45)


async def program_of(family: Family) -> str:
    try:
        return (await choose_here(family, os.environ))[0].command[0]
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
    async with client(sandbox) as service, Session(options, told) as session:
        return await link_in_browser(request, service, session)
