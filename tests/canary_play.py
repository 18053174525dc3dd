"""What users and scripts do in a flow, and how they find the command: by its events alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from canary_run import Run, Started
from link_script import LINK, consent

TOKEN = {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}
"""For who has no access key."""


@asynccontextmanager
async def waiting(run: Run, *options: str, **more: str) -> AsyncIterator[tuple[Started, str]]:
    """Start a link whose addresses are opened by hand; give it and the authorization URL, once it waits."""
    run.opens_by_hand = True
    async with run.started(*LINK, "--events", "--no-browser", *options, **more) as link:
        yield link, (await link.event("waiting"))["authorization_url"]


def listener(link: Started) -> str:
    """The address of the page."""
    return str(link.told("waiting")[-1]["listener"])


def straight(link: Started, redirect: str) -> str:
    """The address at the listener where who swaps the host brings ``redirect``."""
    return f"{listener(link).partition('/start')[0]}/servicestage/oauth?{urlsplit(redirect).query}"


async def bring(run: Run, link: Started, redirect: str) -> None:
    """Bring ``redirect`` straight to the listener."""
    async with run.browser() as browser:
        await run.visit(browser, straight(link, redirect))


async def link_by_hand(run: Run, *options: str, **more: str) -> None:
    """Link from start to end."""
    async with waiting(run, *options, **more) as (link, url):
        await bring(run, link, await consent(url))
        await link.ended(0)
