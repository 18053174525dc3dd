"""The clients of the vendor's own Python SDK, whose blocking calls are made in a thread."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from support.link_script import consent

from oauth_helper.credentials import AccessKey
from oauth_helper.sandbox import Sandbox

_HTTP_INFO: Final = re.compile(r"_(?P<name>.+)_http_info")
"""The SDK's class methods that say how an operation is asked for."""
Operation = tuple[str, str]
"""Method and path, with its parameters in braces."""


class _VendorClient:
    """A client of the SDK, which waits in a thread; ``called`` has the operations asked for."""

    def _use(self, client: Any) -> None:
        self._client = client
        self.called: list[str] = []

    async def call(self, name: str, request: Any) -> Any:
        self.called.append(name)
        return await asyncio.to_thread(getattr(self._client, name), request)

    def close(self) -> None:
        self._client.close()


class Vendor(_VendorClient):
    """The SDK's ServiceStage client."""

    def __init__(self, endpoint: str, key: AccessKey, project_id: str) -> None:
        # Not at the top: the SDK writes a file into the home folder while it is imported.
        self.v2 = import_module("huaweicloudsdkservicestage.v2")
        self.errors = import_module("huaweicloudsdkcore.exceptions.exceptions")
        credentials = import_module("huaweicloudsdkcore.auth.credentials")
        basic = credentials.BasicCredentials(key.access_key, key.secret_key.reveal(), project_id)
        self._use(self.v2.ServiceStageClient.new_builder().with_credentials(basic).with_endpoint(endpoint).build())


class VendorIam(_VendorClient):
    """The SDK's IAM client."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.v3 = import_module("huaweicloudsdkiam.v3")
        self.errors = import_module("huaweicloudsdkcore.exceptions.exceptions")
        builder = self.v3.IamClient.new_builder().with_endpoint(sandbox.iam_endpoint)
        # IAM is a global service to the SDK: it wants an account's id, which it looks up unless it has one.
        credentials = import_module("huaweicloudsdkcore.auth.credentials").GlobalCredentials(
            sandbox.access_key.access_key, sandbox.access_key.secret_key.reveal(), "0" * 32
        )
        self._use(builder.with_credentials(credentials).build())


def operations(client: str) -> dict[str, Operation]:
    """Return the operations of an SDK client (``huaweicloudsdkiam.v3.IamClient``) by the names of its methods."""
    module, _, name = client.rpartition(".")
    of_client = getattr(import_module(module), name)
    empty = type("Request", (), {"attribute_map": {}})()
    found = {}
    for attribute in dir(of_client):
        if match := _HTTP_INFO.fullmatch(attribute):
            told = getattr(of_client, attribute)(empty)
            found[match["name"]] = (told["method"], told["resource_path"])
    return found


async def code_and_state(authorization_url: str) -> dict[str, str]:
    """Authorize at the sandbox's Git host; return code and state."""
    came_back = dict(parse_qsl(urlsplit(await consent(authorization_url)).query))
    return {name: came_back[name] for name in ("code", "state")}


def served(routes: Iterable[web.RouteDef]) -> set[Operation]:
    """Return the operations that an application serves."""
    return {(route.method, route.path) for route in routes}
