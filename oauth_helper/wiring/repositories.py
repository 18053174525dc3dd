"""Walk through what an authorization can see: gently, a few requests at a time."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from oauth_helper.repository import Namespace, Project

AT_ONCE: Final = 4
"""Requests. Behind each, ServiceStage asks the Git host, which limits how often it may."""


class Service(Protocol):
    """The two calls that a walk needs."""

    async def list_namespaces(self, authorization_name: str) -> list[Namespace]:
        """Return the namespaces that an authorization can see."""

    async def list_projects(self, authorization_name: str, namespace: str) -> list[Project]:
        """Return the projects in one of them."""


async def walk_repositories(service: Service, authorization_name: str) -> list[tuple[Namespace, list[Project]]]:
    """Return each namespace that an authorization can see, in the API's order, with its projects.

    Raises:
        OAuthHelperError: What went wrong first; nothing more is asked after that.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def projects_of(namespace: Namespace) -> list[Project]:
        async with gate:
            return await service.list_projects(authorization_name, namespace.key)

    namespaces = await service.list_namespaces(authorization_name)
    asking = [asyncio.create_task(projects_of(namespace)) for namespace in namespaces]
    try:
        return list(zip(namespaces, await asyncio.gather(*asking), strict=True))
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
