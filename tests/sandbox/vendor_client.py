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
CLIENTS: Final = {"huaweicloudsdkservicestage.v2": "ServiceStageClient", "huaweicloudsdkiam.v3": "IamClient"}
Operation = tuple[str, str]
"""Method and path, with its parameters in braces."""


class Vendor:
    """A client of the SDK, which waits in a thread; ``models`` is its module, ``called`` the operations asked for."""

    def __init__(self, module: str, credentials: str, key: AccessKey, account: str, endpoint: str) -> None:
        # Not at the top: the SDK writes a file into the home folder while it is imported.
        self.models, kinds = import_module(module), import_module("huaweicloudsdkcore.auth.credentials")
        self.errors = import_module("huaweicloudsdkcore.exceptions.exceptions")
        signing = getattr(kinds, credentials)(key.access_key, key.secret_key.reveal(), account)
        client = getattr(self.models, CLIENTS[module])
        self._client = client.new_builder().with_credentials(signing).with_endpoint(endpoint).build()
        self.called: list[str] = []

    async def call(self, name: str, request: Any) -> Any:
        self.called.append(name)
        return await asyncio.to_thread(getattr(self._client, name), request)

    def close(self) -> None:
        self._client.close()


def servicestage_client(sandbox: Sandbox, key: AccessKey | None = None) -> Vendor:
    key = key or sandbox.access_key
    return Vendor("huaweicloudsdkservicestage.v2", "BasicCredentials", key, sandbox.project_id, sandbox.endpoint)


def iam_client(sandbox: Sandbox) -> Vendor:
    # IAM is a global service to the SDK: it wants an account's id, which it looks up unless it has one.
    key = sandbox.access_key
    return Vendor("huaweicloudsdkiam.v3", "GlobalCredentials", key, "0" * 32, sandbox.iam_endpoint)


def operations(module: str) -> dict[str, Operation]:
    """Return the operations of an SDK client by the names of its methods."""
    of_client = getattr(import_module(module), CLIENTS[module])
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
