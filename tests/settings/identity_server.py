"""A stand-in for IAM, STS, CCE's pod identity and the metadata service of an ECS; it also lists authorizations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from aiohttp import web
from support.fake_servicestage import FakeServiceStage, Received

SECRET: Final = "PlantedSecretKey0000000000000000000000000"
_ACCESS: Final = re.compile(r"Access=([^,]+)")


@dataclass
class IdentityServer:
    """Issues keys whose names say how they were obtained; ``used`` has what authenticated each list call."""

    lifetime: timedelta = timedelta(hours=6)
    failing: Mapping[str, tuple[int, object]] = field(default_factory=dict)
    """Status and document with which a path is refused."""
    has_metadata_token: bool = True
    issued: int = 0
    used: list[str] = field(default_factory=list)
    bodies: dict[str, Any] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self.server = await FakeServiceStage(self._respond).__aenter__()
        return self

    async def __aexit__(self, *end: Any) -> None:
        await self.server.__aexit__(*end)

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which the vendor's SDK and this program find the server."""
        return {"HUAWEICLOUD_SDK_IAM_ENDPOINT": self.endpoint, "HUAWEICLOUD_SDK_STS_ENDPOINT": self.endpoint}

    def _key(self, name: str, spelling: str) -> web.Response:
        self.issued += 1
        names = {
            "iam": ("credential", "access", "secret", "securitytoken", "expires_at"),
            "cce": ("credentials", "accessKeyId", "secretAccessKey", "securityToken", "expiration"),
            "sts": ("credentials", "access_key_id", "secret_access_key", "security_token", "expiration"),
        }[spelling]
        expires_at = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        values = (f"{name}-{self.issued}", SECRET, f"token-of-{name}", expires_at)
        return web.json_response({names[0]: dict(zip(names[1:], values, strict=True))}, status=201)

    def _respond(self, request: Received) -> web.Response:
        path, _, query = request.target.partition("?")
        if path in self.failing:
            status, document = self.failing[path]
            return web.json_response(document, status=status)
        document = json.loads(request.body) if request.body else None
        self.bodies[path] = document
        found = _ACCESS.search(request.headers.get("Authorization", ""))
        by = found[1] if found else request.headers.get("X-Auth-Token", "")
        match request.method, path:
            case "POST", "/v5/agencies/assume-with-oidc":
                assert not by
                return self._key("OIDC", "sts")
            case "POST", "/v5/agencies/assume":
                return self._key(f"AGENCY-BY-{by}", "sts")
            case "POST", "/v3.0/OS-AUTH/id-token/tokens":
                assert request.headers["X-Idp-Id"]
                return web.json_response({"token": {}}, status=201, headers={"X-Subject-Token": "unscoped-token"})
            case "POST", "/v3.0/OS-CREDENTIAL/securitytokens":
                assert document
                (method,) = document["auth"]["identity"]["methods"]
                return self._key("IDP" if method == "token" else f"ROLE-BY-{by}", "iam")
            case "POST", "/v3/auth/tokens":
                assert document
                (scope,) = document["auth"]["scope"].values()
                token = {"token": {"project": {"id": "f" * 32}, "scope": scope}}
                return web.json_response(token, status=201, headers={"X-Subject-Token": "token-of-user"})
            case "GET", "/v3/projects":
                return web.json_response({"projects": [{"id": "e" * 32, "name": query.partition("=")[2]}]})
            case "POST", "/pod":
                assert request.headers["Authorization"] == "pod-token"
                return self._key("POD", "cce")
            case "PUT", "/meta-data/latest/api/token":
                assert request.headers["X-Metadata-Token-Ttl-Seconds"]
                return web.Response(status=200 if self.has_metadata_token else 404, text="metadata-token")
            case "GET", "/openstack/latest/securitykey":
                assert request.headers.get("X-Metadata-Token") == (
                    "metadata-token" if self.has_metadata_token else None
                )
                return self._key("ECS", "iam")
            case _:
                assert path.endswith("/git/auths"), path
                self.used.append(by)
                return web.json_response({"authorizations": [], "count": 0})
