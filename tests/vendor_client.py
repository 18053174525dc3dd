"""The clients of the vendor's own Python SDK, whose blocking calls are made in a thread."""

from __future__ import annotations

import asyncio
import re
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientSession, web

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox

_HTTP_INFO: Final = re.compile(r"_(?P<name>.+)_http_info")
"""The SDK's class methods that say how an operation is asked for."""
Operation = tuple[str, str]
"""Method and path, with its parameters in braces."""


class Vendor:
    """The SDK's ServiceStage client; ``called`` has the operations asked for."""

    def __init__(self, sandbox: Sandbox, key: AccessKey, project_id: str | None) -> None:
        # Not at the top: the SDK writes a file into the home folder while it is imported.
        self.v2 = import_module("huaweicloudsdkservicestage.v2")
        self.errors = import_module("huaweicloudsdkcore.exceptions.exceptions")
        region = import_module("huaweicloudsdkcore.region.region").Region(sandbox.region, sandbox.endpoint)
        builder = self.v2.ServiceStageClient.new_builder()
        builder.with_credentials(_basic(key, project_id).with_iam_endpoint(sandbox.iam_endpoint))
        if project_id is None:
            builder.with_region(region)  # the SDK asks IAM for the project of the region's name
        else:
            builder.with_endpoint(sandbox.endpoint)
        self._client = builder.build()
        self.called: list[str] = []

    async def call(self, name: str, request: Any) -> Any:
        self.called.append(name)
        return await asyncio.to_thread(getattr(self._client, name), request)

    def close(self) -> None:
        self._client.close()


class VendorIam:
    """The SDK's IAM client; ``called`` has the operations asked for."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.v3 = import_module("huaweicloudsdkiam.v3")
        self.errors = import_module("huaweicloudsdkcore.exceptions.exceptions")
        builder = self.v3.IamClient.new_builder().with_endpoint(sandbox.iam_endpoint)
        # IAM is a global service to the SDK: it wants an account's id, which it looks up unless it has one.
        credentials = import_module("huaweicloudsdkcore.auth.credentials").GlobalCredentials(
            sandbox.access_key.access_key, sandbox.access_key.secret_key.reveal(), "0" * 32
        )
        self._client = builder.with_credentials(credentials).build()
        self.called: list[str] = []

    async def call(self, name: str, request: Any) -> Any:
        self.called.append(name)
        return await asyncio.to_thread(getattr(self._client, name), request)

    def close(self) -> None:
        self._client.close()


def operations(client: str) -> dict[str, Operation]:
    """Return what an SDK client, such as ``huaweicloudsdkiam.v3.IamClient``, can ask for, by its methods' names."""
    module, _, name = client.rpartition(".")
    of_client = getattr(import_module(module), name)
    empty = type("Request", (), {"attribute_map": {}})()
    found = {}
    for attribute in dir(of_client):
        if match := _HTTP_INFO.fullmatch(attribute):
            told = getattr(of_client, attribute)(empty)
            found[match["name"]] = (told["method"], told["resource_path"])
    return found


async def consent(authorization_url: str) -> dict[str, str]:
    """Consent at the sandbox's Git host; return the code and the state that come back."""
    async with (
        ClientSession() as session,
        session.post(authorization_url, data={"decision": "authorize"}, allow_redirects=False) as response,
    ):
        query = parse_qs(urlsplit(response.headers["Location"]).query)
    return {"code": query["code"][0], "state": query["state"][0]}


def served(application: web.Application) -> set[Operation]:
    """Return what an application of the sandbox's answers."""
    return {(route.method, route.resource.canonical) for route in application.router.routes() if route.resource}


def _basic(key: AccessKey, project_id: str | None) -> Any:
    credentials = import_module("huaweicloudsdkcore.auth.credentials")
    return credentials.BasicCredentials(key.access_key, key.secret_key.reveal(), project_id)
