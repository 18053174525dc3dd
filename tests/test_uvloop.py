"""The Python API on uvloop, as who has an application on it calls us: ``uvloop.run(...)``."""

from __future__ import annotations

import os

import pytest
from command import surroundings

from oauth_helper import RepoType, ServiceStageClient, link
from oauth_helper.authorization import Authorization
from oauth_helper.browsers.process import BrowserProcess
from oauth_helper.sandbox import Sandbox

uvloop = pytest.importorskip("uvloop", reason="uvloop is not for this platform")


def test_a_link_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", surroundings()["BROWSER"])

    async def linked() -> Authorization:
        async with (
            Sandbox() as sandbox,
            ServiceStageClient(
                sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key
            ) as service,
        ):
            return await link(service, RepoType.GITHUB, name="my-auth")

    assert uvloop.run(linked()).name == "my-auth"


@pytest.mark.skipif(os.name != "posix", reason="the browser that is played is a shell script")
def test_a_browser_of_our_own_is_started_heard_and_ended() -> None:
    browser = ("sh", "-c", "echo DevTools listening on ws://127.0.0.1:1/devtools >&2; exec sleep 60")

    async def opened_and_closed() -> tuple[str, bool]:
        async with BrowserProcess.started(browser, environ=dict(os.environ)) as process:
            endpoint = await process.endpoint_within(30)
        return endpoint, await process.exits_within(0)

    assert uvloop.run(opened_and_closed()) == ("ws://127.0.0.1:1/devtools", True)
