"""What our client really sends, caught on a socket: the vendor's signer, given its parts, signs it alike.

Whatever lies between our signer and the wire (the library's own escaping, a header that it adds or changes, a body
written another way) would make the two differ.
"""

from __future__ import annotations

import asyncio
import json
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from fake_servicestage import PROJECT, RECORD, FakeServiceStage, Received, answering
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from support.thoroughness import at_most
from vendor_client import Vendor

from oauth_helper.credentials import AccessKey
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.signing import encode
from oauth_helper.servicestage.transport import Connection

Call = tuple[str, Mapping[str, Any]]
"""A method's name, and what it is given."""

NAMES: Final = st.text(string.ascii_letters + string.digits + "._-", min_size=4, max_size=63)
FIELD_VALUES: Final = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
TEXTS: Final = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=20)
SEGMENTS: Final = TEXTS.filter(lambda text: text.strip("."))
SECRETS: Final = TEXTS.map(Secret)
TAGS: Final = st.none() | TEXTS | st.sampled_from([" intl ", "a+b", "%2F", "/&=?#", "."])
TYPES: Final = st.sampled_from(RepoType)
KEYS: Final = st.builds(AccessKey, FIELD_VALUES, TEXTS, st.none() | FIELD_VALUES)
QUERIES: Final = st.lists(st.tuples(TEXTS, st.just("") | TEXTS), max_size=5)
MORE_HEADERS: Final = st.dictionaries(
    # Beside those of every request, which the client itself sets.
    st.from_regex(r"X-More(-[a-z0-9]{1,9}){1,2}", fullmatch=True),
    FIELD_VALUES,
    max_size=3,
)
ANYTHING: Final = {
    "url": "https://example.com",
    "authorization": RECORD,
    **dict.fromkeys(("authorizations", "namespaces", "projects", "branches"), ()),
}


def call(method: str, /, **arguments: SearchStrategy[Any]) -> SearchStrategy[Call]:
    return st.tuples(st.just(method), st.fixed_dictionaries(arguments))


CALLS: Final = st.one_of(
    call("list_authorizations"),
    call("authorization_url", repo_type=TYPES, tag=TAGS),
    call("create_oauth", repo_type=TYPES, name=NAMES, code=SECRETS, state=SECRETS, tag=TAGS),
    call("create_personal", repo_type=TYPES, name=NAMES, token=SECRETS, host=TAGS),
    call("create_password", repo_type=TYPES, name=NAMES, user=TEXTS, password=SECRETS),
    call("delete_authorization", name=SEGMENTS),
    call("list_namespaces", authorization_name=FIELD_VALUES),
    call("list_projects", authorization_name=FIELD_VALUES, namespace=SEGMENTS),
    call("list_branches", authorization_name=FIELD_VALUES, namespace=SEGMENTS, project=SEGMENTS),
)
"""Every call of our client, with whatever may be given to it."""


@contextmanager
def fake() -> Iterator[tuple[asyncio.Runner, FakeServiceStage]]:
    """Serve while the context lasts; a runner of our own, as Hypothesis calls no coroutines."""
    with asyncio.Runner() as runner:
        server = FakeServiceStage(answering(ANYTHING))
        runner.run(server.__aenter__())
        try:
            yield runner, server
        finally:
            runner.run(server.__aexit__(None, None, None))


def judge(received: Received, key: AccessKey) -> None:
    """Compare what came with what the vendor's signer makes of it, and with the headers that must be signed."""
    signed = received.signed_by_vendor(key.access_key, key.secret_key.reveal())
    assert received.headers["Authorization"] == signed.header_params["Authorization"]
    assert received.target == signed.uri
    names = received.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    unsigned = {name.lower() for name in received.headers} - set(names)
    assert unsigned <= {"authorization", "user-agent", "accept", "accept-encoding", "content-length"}


def test_whatever_our_client_is_asked_for_is_sent_as_the_vendor_signs_it() -> None:
    with fake() as (runner, server):

        @settings(max_examples=at_most(500, by_default=50))
        @given(asked=CALLS, key=KEYS, project_id=FIELD_VALUES, prefix=st.sampled_from(["", "/gateway", "/a/b/"]))
        def check(asked: Call, key: AccessKey, project_id: str, prefix: str) -> None:
            async def ask() -> None:
                endpoint = server.endpoint + prefix
                async with ServiceStageClient(endpoint, project_id=project_id, credentials=key) as client:
                    await getattr(client, asked[0])(**asked[1])

            runner.run(ask())
            judge(server.received.pop(), key)
            assert not server.received

        check()


def test_whatever_a_connection_is_given_is_sent_as_the_vendor_signs_it() -> None:
    with fake() as (runner, server):

        @settings(max_examples=at_most(500, by_default=50))
        @given(
            method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
            path=st.lists(SEGMENTS.map(encode), max_size=4).map(lambda segments: "/" + "/".join(segments)),
            query=QUERIES,
            headers=MORE_HEADERS,
            body=st.binary(max_size=300),
            key=KEYS,
        )
        def check(key: AccessKey, method: str, path: str, **given_too: Any) -> None:
            async def ask() -> None:
                async with Connection(server.endpoint, credentials=key, project_id=PROJECT) as connection:
                    await connection.request(method, path, **given_too)

            runner.run(ask())
            received = server.received.pop()
            judge(received, key)
            assert (received.method, received.body) == (method, given_too["body"])

        check()


IN_THE_SDK: Final = {
    "list_authorizations": ("list_authorizations", "ListAuthorizationsRequest", ""),
    "authorization_url": ("show_redirect_url", "ShowRedirectUrlRequest", ""),
    "create_oauth": ("create_o_auth", "CreateOAuthRequest", "OAuth"),
    "create_personal": ("create_personal_auth", "CreatePersonalAuthRequest", "AccessToken"),
    "create_password": ("create_password_auth", "CreatePasswordAuthRequest", "AccessPassword"),
    "delete_authorization": ("delete_authorize", "DeleteAuthorizeRequest", ""),
    "list_namespaces": ("list_namespaces", "ListNamespacesRequest", ""),
    "list_projects": ("list_projects", "ListProjectsRequest", ""),
    "list_branches": ("list_branches", "ListBranchesRequest", ""),
}
"""By our method's name: the SDK's method, the class of its request, and that of the request's body."""


def as_the_sdk_has_it(v2: Any, asked: Call) -> tuple[str, Any]:
    """Return the SDK's method, and the request that stands for the same."""
    method, request, body = IN_THE_SDK[asked[0]]
    given_too = {_their_name(name): _their_value(name, value) for name, value in asked[1].items() if value}
    if not body:
        return method, getattr(v2, request)(**given_too)
    beside = {name: given_too.pop(name) for name in ("repo_type", "tag") if name in given_too}
    return method, getattr(v2, request)(**beside, body=getattr(v2, body)(**given_too))


def _their_name(name: str) -> str:
    return "x_repo_auth" if name == "authorization_name" else name


def _their_value(name: str, value: str | RepoType | Secret) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    # "A slash is written as a colon", says their comment: it is left to whoever calls.
    return value.replace("/", ":") if name == "project" else str(value)


def test_the_vendors_client_sends_the_same_request(clean_surroundings: object) -> None:
    key = AccessKey("AccessKey", "SecretKey", "security-token")
    with fake() as (runner, server):
        vendor = Vendor(server.endpoint, key, PROJECT)

        @settings(max_examples=at_most(500, by_default=50))
        @given(asked=CALLS)
        def check(asked: Call) -> None:
            async def ask() -> None:
                async with ServiceStageClient(server.endpoint, project_id=PROJECT, credentials=key) as client:
                    await getattr(client, asked[0])(**asked[1])
                await vendor.call(*as_the_sdk_has_it(vendor.v2, asked))

            runner.run(ask())
            theirs, ours = server.received.pop(), server.received.pop()
            assert (ours.method, ours.target) == (theirs.method, theirs.target)
            assert json.loads(ours.body or b"null") == json.loads(theirs.body or b"null")
            for name in ("Host", "Content-Type", "X-Project-Id", "X-Security-Token", "X-Repo-Auth"):
                assert ours.headers.get(name) == theirs.headers.get(name)

        check()
        vendor.close()
