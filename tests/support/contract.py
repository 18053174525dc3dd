"""ServiceStage's contract, which every request of ours to a sandbox must keep: the tests check each of them.

Source: the API reference, chapter "Git Repository Access". The vendor's signer verifies the signature.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

_EVERY_REQUEST: Final = {"Host", "Content-Type"}
_SIGNED: Final = {"X-Project-Id", "X-Sdk-Date", "Authorization"}
_LIBRARY: Final = {"User-Agent", "Accept", "Accept-Encoding", "Content-Length"}
_AUTHORIZATION: Final = re.compile(
    r"SDK-HMAC-SHA256 Access=(?P<key>\S+), SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_OPERATIONS: Final = {
    "list": ("GET", "auths"),
    "redirect": ("GET", "auths/[a-z]+/redirect"),
    "oauth": ("POST", "auths/[a-z]+/oauth"),
    "personal": ("POST", "auths/[a-z]+/personal"),
    "password": ("POST", "auths/[a-z]+/password"),
    "delete": ("DELETE", "auths/[A-Za-z0-9._-]+"),
    "namespaces": ("GET", "repos/namespaces"),
    "projects": ("GET", "repos/[^/?:]+/projects"),
    "branches": ("GET", "repos/[^/?:]+/[^/?]+/branches"),
}
_BODIES: Final[Mapping[str, tuple[set[str], ...]]] = {
    "oauth": ({"name", "code", "state"},),
    "personal": ({"name", "token"}, {"name", "token", "host"}),
    "password": ({"name", "user", "password"}, {"name", "token"}),
}
_WITH_TAG: Final = {"redirect", "oauth"}
_BY_AUTHORIZATION: Final = {"namespaces", "projects", "branches"}


def vendor_authorization(
    method: str, target: str, headers: Mapping[str, str], body: bytes, access_key: str, secret_key: str
) -> str:
    """Return the Authorization that the vendor's SDK computes for this request."""
    names = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    path, _, query = target.partition("?")
    request = SdkRequest(
        method=method,
        resource_path=path,
        query_params=parse_qsl(query, keep_blank_values=True),
        header_params={name: headers[name] for name in names},
        body=body,
    )
    signed = Signer(BasicCredentials(access_key, secret_key)).sign(request)
    return str(signed.header_params["Authorization"])


def operation_of(method: str, target: str, project_id: str) -> str:
    """Return the name of the operation; empty if there is none."""
    path = target.partition("?")[0]
    for name, (expected, pattern) in _OPERATIONS.items():
        if method == expected and re.fullmatch(f"/v1/{project_id}/git/{pattern}", path):
            return name
    return ""


def contract_faults(
    method: str, target: str, headers: Mapping[str, str], body: bytes, project_id: str, secret_keys: Mapping[str, str]
) -> list[str]:
    """Return what the contract forbids in a request; ``secret_keys`` are found by access key."""
    operation = operation_of(method, target, project_id)
    if not operation:
        return ["no such operation"]
    names = set(headers.keys())
    needed = _EVERY_REQUEST | ({"X-Repo-Auth"} if operation in _BY_AUTHORIZATION else set())
    needed |= {"X-Auth-Token"} if "X-Auth-Token" in names else _SIGNED
    needed |= names & {"X-Security-Token"}  # of a temporary key
    expected = {"Content-Type": "application/json"} | ({"X-Project-Id": project_id} if "Authorization" in names else {})
    query = {name for name, _ in parse_qsl(target.partition("?")[2], keep_blank_values=True)}
    fields = read_object(body)
    faults = [f"header {name}, {count} times" for name, count in Counter(headers.keys()).items() if count > 1]
    faults += [f"without {name}" for name in needed - names]
    faults += [f"with {name}" for name in names - needed - _LIBRARY]
    faults += [f"{name}: {headers.get(name)}" for name, value in expected.items() if headers.get(name) != value]
    if query - ({"tag"} if operation in _WITH_TAG else set()):
        faults.append(f"query {sorted(query)}")
    if bodies := _BODIES.get(operation):
        if set(fields) not in bodies or not all(isinstance(one, str) and one for one in fields.values()):
            faults.append(f"a body with {sorted(fields)}")
    elif body:
        faults.append("a body")
    if "Authorization" in names and not faults:
        faults += _signature_faults(method, target, headers, body, needed - {"Authorization"}, secret_keys)
    return faults


def _signature_faults(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    signed: set[str],
    secret_keys: Mapping[str, str],
) -> list[str]:
    sent = headers["Authorization"]
    found = _AUTHORIZATION.fullmatch(sent)
    if found is None:
        return ["Authorization has another form than the guide's"]
    if found["key"] not in secret_keys:
        return []  # a wrong key, sent on purpose: the sandbox refuses it
    faults = [] if found["names"].split(";") == sorted(map(str.lower, signed)) else [f"signed {found['names']}"]
    by_vendor = vendor_authorization(method, target, headers, body, found["key"], secret_keys[found["key"]])
    return faults + ([] if by_vendor == sent else ["the signature"])


def read_object(raw: bytes) -> dict[str, Any]:
    """Read a body; anything but an object has no fields."""
    document = json.loads(raw or b"null")
    return document if isinstance(document, dict) else {}
