"""ServiceStage's API, one method per call."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Self, TypeVar

from oauth_helper.credentials import Credentials
from oauth_helper.errors import IllegalNameError, NoSuchAuthorizationError, RefusedError, UsageError
from oauth_helper.i18n import Text, _
from oauth_helper.models import Authorization, Namespace, Project, RepoType, is_legal_name
from oauth_helper.secret import Secret, safe_text
from oauth_helper.servicestage.api_errors import Answer
from oauth_helper.servicestage.signing import encode
from oauth_helper.servicestage.transport import RETRIES, Connection, Retries
from oauth_helper.values import check_endpoint, parse_address, stays_nearby

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def body_of(fields: dict[str, str], *, bearing: Text) -> bytes:
    """Return ``fields`` as JSON; ``bearing`` names what is secret in them.

    Raises:
        UsageError: There is no Unicode in them.
    """
    text = json.dumps(fields, ensure_ascii=False)
    # Bytes of a terminal that are not UTF-8 become lone surrogates (PEP 383); encoding them would fail with an
    # exception that holds the whole text, what is secret included.
    if _SURROGATES.search(text):
        raise UsageError(_("{bearing} has a character that is no Unicode", bearing=bearing))
    return text.encode()


def basic(user: str, password: Secret) -> Secret:
    """Return user and password as one, as the vendor's Terraform provider sends them.

    Raises:
        UsageError: There is no Unicode in them.
    """
    if _SURROGATES.search(pair := f"{user}:{password.reveal()}"):
        raise UsageError(_("The user or the password has a character that is no Unicode"))
    return Secret(base64.b64encode(pair.encode()).decode())


_FIELD_VALUE: Final = re.compile(r"[!-~]+")
"""What can stand in a header; every legal name does."""

T = TypeVar("T")


def authorized_by(name: str) -> dict[str, str]:
    """Return the header that says by which authorization the Git host is asked.

    Raises:
        NoSuchAuthorizationError: There can be none of that name.
    """
    if not _FIELD_VALUE.fullmatch(name):
        raise NoSuchAuthorizationError(_("There is no authorization named {name!r}", name=safe_text(name)))
    return {"X-Repo-Auth": name}


def namespace_segment(namespace: str) -> str:
    """Return a namespace as it stands in an address: a slash in it is escaped.

    Raises:
        UsageError: It cannot stand there.
    """
    return _segment(_("namespace"), namespace)


def project_segment(project: str) -> str:
    """Return a project as it stands in an address: a slash in it is written as a colon.

    Raises:
        UsageError: It cannot stand there.
    """
    return _segment(_("project"), project.replace("/", ":"))


def read_objects(answer: Answer, key: str, read: Callable[[dict[str, object]], T]) -> list[T]:
    """Return the objects of the list ``key``; those of which nothing can be asked are passed over."""
    found: list[T] = []
    for record in _list_of(answer, key):
        try:
            found.append(read(record if isinstance(record, dict) else {}))
        except ValueError:
            continue
    return found


def read_names(answer: Answer, key: str) -> list[str]:
    """Return the names in the list ``key``."""
    return [name for name in _list_of(answer, key) if isinstance(name, str) and name]


def _list_of(answer: Answer, key: str) -> list[object]:
    document = answer.json_object()
    listed = document.get(key)
    if listed is None and key in document:  # as Go and Java write an empty list
        return []
    if not isinstance(listed, list):
        raise answer.unusable(_("has no list of {key}", key=key))
    return listed


def _segment(what: Text, text: str) -> str:
    # Proxies resolve "." and ".." (RFC 3986 section 5.2.4): the request would reach something else.
    if not text.strip(".") or not text.isprintable():
        raise UsageError(
            _("There can be no {what} named {text!r}", what=what, text=safe_text(text)),
            hint=_("Give the {what} as `oauth-helper repos` does.", what=what),
        )
    return encode(text)


_PARAMETER_INVALID: Final = "SVCSTG.REPO.0400"


class ServiceStageClient:
    """Talk to the ServiceStage of one region and project. An async context manager.

    Every call raises CredentialsError, RefusedError or UnavailableError (or an error below them) where it does not
    return; see :mod:`oauth_helper.errors`.

    Args:
        endpoint: Such as ``https://servicestage.cn-north-4.myhuaweicloud.com``.
        project_id: The IAM project of that region.
        credentials: An access key or a project-scoped token.
        ca_bundle: A file of certificates (PEM) to trust instead of the system's.
        retries: When calls without side effects are sent again because ServiceStage is busy or a connection broke.

    Raises:
        SettingsError: One of these is unusable.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        project_id: str,
        credentials: Credentials,
        ca_bundle: str | os.PathLike[str] | None = None,
        retries: Retries = RETRIES,
    ) -> None:
        self._connection = Connection(
            endpoint, credentials=credentials, project_id=project_id, ca_bundle=ca_bundle, retries=retries
        )
        self.endpoint = check_endpoint(endpoint)
        """Without what does not matter: a slash at its end, the scheme's own port."""
        self.project_id = project_id
        """As it was given."""
        self._auths = f"/v1/{encode(project_id)}/git/auths"
        self._repos = f"/v1/{encode(project_id)}/git/repos"

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    @property
    def last_clock_skew(self) -> float | None:
        """Seconds by which the server's clock was ahead of this machine's at the last answer; ``None`` if unknown."""
        return self._connection.last_clock_skew

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy through which ServiceStage is reached, if there is one."""
        return self._connection.proxy

    def kept_ready(self) -> AbstractAsyncContextManager[None]:
        """Keep a connection open within the context, on which the next request leaves at once. It never raises."""
        return self._connection.kept_ready()

    def expect_request(self) -> None:
        """Do nothing: the open connection is always fresh enough. Called until the session drops ``stirs``."""

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        """Return all authorizations of the project (API page "Obtaining All Git Repository Authorizations").

        Without ``retry``, send one request only, whatever comes of it.
        """
        answer = await self._connection.request("GET", self._auths, is_safe=retry)
        document = answer.json_object()
        records = document.get("authorizations")
        if records is None and document.get("count") == 0:
            return []
        if not isinstance(records, list):
            raise answer.unusable(_("has no list of authorizations"))
        # A record without a name can be neither ours nor in our way, nor can anything be done with it. One that has
        # a name but cannot be read must not be dropped: its name would seem to be free.
        return [_authorization(answer, record) for record in records if isinstance(record, dict) and record.get("name")]

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        """Return a fresh authorization URL of the Git host, exactly as it came.

        Each one bears a state of its own, for a single use (API page "Obtaining an Authorization Redirection URL").
        ``tag`` names the site (``intl``); give the same one to :meth:`create_oauth`.
        """
        path = f"{self._auths}/{repo_type.value}/redirect"
        answer = await self._connection.request("GET", path, query=_query(tag), is_safe=True)
        url = answer.json_object().get("url")
        if not isinstance(url, str) or not url:
            raise answer.unusable(_("has no authorization URL"))
        if _leads_nearby(url) and not _leads_nearby(check_endpoint(self.endpoint)):
            raise answer.unusable(_("has an authorization URL that leads to this machine or its own network"))
        return url

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        """Turn code and state into an authorization: one POST (API page "Creating OAuth Authorization").

        It is never sent twice. Where there was no usable answer, the UnavailableError's ``sent`` says whether the
        authorization may stand nevertheless.

        Raises:
            IllegalNameError: ServiceStage would refuse the name; the code and the state were not used.
        """
        _check_name(name)
        fields = {"name": name, "code": code.reveal(), "state": state.reveal()}
        body = body_of(fields, bearing=_("The code or the state"))
        answer = await self._connection.request(
            "POST", f"{self._auths}/{repo_type.value}/oauth", query=_query(tag), body=body, secrets=(code, state)
        )
        return _authorization(answer, answer.json_object().get("authorization"))

    async def create_personal(
        self, repo_type: RepoType, *, name: str, token: Secret, host: str | None = None
    ) -> Authorization:
        """Make an authorization of a personal access token: one POST (API page "Creating Private Token Authorization").

        ``host`` is the address of a private Git server, as it is; by default the official one is meant. As with
        :meth:`create_oauth`, it is never sent twice.

        Raises:
            IllegalNameError: ServiceStage would refuse the name.
        """
        fields = {"name": name, "token": token.reveal(), **({"host": host} if host else {})}
        body = body_of(fields, bearing=_("The token or the host"))
        return await self._create(repo_type, "personal", name, body, (token,))

    async def create_password(self, repo_type: RepoType, *, name: str, user: str, password: Secret) -> Authorization:
        """Make an authorization of user and password (API page "Creating Password Authorization").

        The manual's body is sent first. A server that refuses it as an invalid parameter, and so has created nothing,
        is sent the one of the vendor's Terraform provider, which differs.

        Raises:
            IllegalNameError: ServiceStage would refuse the name.
        """
        together = basic(user, password)
        secrets = (together, password)
        documented = {"name": name, "user": user, "password": password.reveal()}
        body = body_of(documented, bearing=_("The user or the password"))
        try:
            return await self._create(repo_type, "password", name, body, secrets)
        except RefusedError as error:
            if error.code != _PARAMETER_INVALID:
                raise
            refused = error
        other = body_of({"name": name, "token": together.reveal()}, bearing=_("The user or the password"))
        try:
            return await self._create(repo_type, "password", name, other, secrets)
        except RefusedError as error:
            # Where neither is understood, what is said of the manual's is nearer to the truth.
            raise (refused if error.code == _PARAMETER_INVALID else error) from None

    async def _create(
        self, repo_type: RepoType, kind: str, name: str, body: bytes, secrets: Collection[Secret]
    ) -> Authorization:
        _check_name(name)
        path = f"{self._auths}/{repo_type.value}/{kind}"
        answer = await self._connection.request("POST", path, body=body, secrets=secrets)
        return _authorization(answer, answer.json_object().get("authorization"))

    async def delete_authorization(self, name: str) -> None:
        """Delete the authorization of that name (API page "Deleting Git Repository Authorization").

        A name that our rule would refuse is let through: a server may have accepted it by another way.

        Raises:
            IllegalNameError: The name cannot stand in an address.
        """
        # Proxies resolve "." and ".." (RFC 3986 section 5.2.4): the request would reach something else.
        if not name.isprintable() or not name.strip("."):
            raise IllegalNameError(_("There can be no authorization of that name"))
        answer = await self._connection.request("DELETE", f"{self._auths}/{encode(name)}")
        # The API answers 204 without a body. A page of a proxy or a sign-in portal deletes nothing.
        if answer.body.strip():
            answer.json_object()

    async def list_namespaces(self, authorization_name: str) -> list[Namespace]:
        """Return the users, groups and organizations that an authorization can see (API page "Obtaining Namespaces").

        Raises:
            NoSuchAuthorizationError: There is no authorization of that name.
        """
        return read_objects(await self._ask(authorization_name, "/namespaces"), "namespaces", Namespace.from_json)

    async def list_projects(self, authorization_name: str, namespace: str) -> list[Project]:
        """Return the projects of a namespace, which is given by its name or id.

        Raises:
            NoSuchAuthorizationError: There is no authorization of that name.
            UsageError: The namespace cannot stand in an address.
        """
        path = f"/{namespace_segment(namespace)}/projects"
        return read_objects(await self._ask(authorization_name, path), "projects", Project.from_json)

    async def list_branches(self, authorization_name: str, namespace: str, project: str) -> list[str]:
        """Return the names of a project's branches; raises as :meth:`list_projects`."""
        path = f"/{namespace_segment(namespace)}/{project_segment(project)}/branches"
        return read_names(await self._ask(authorization_name, path), "branches")

    async def _ask(self, authorization_name: str, path: str) -> Answer:
        headers = authorized_by(authorization_name)
        return await self._connection.request("GET", f"{self._repos}{path}", headers=headers, is_safe=True)


def _check_name(name: str) -> None:
    if not is_legal_name(name):
        raise IllegalNameError(_("The name has characters or a length that ServiceStage refuses"))


def _query(tag: str | None) -> tuple[tuple[str, str], ...]:
    if not tag:
        return ()
    if not tag.isprintable():
        raise UsageError(_("The tag has control characters in it"))
    return (("tag", tag),)


def _authorization(answer: Answer, record: object) -> Authorization:
    try:
        return Authorization.from_json(record if isinstance(record, dict) else {})
    except ValueError:
        raise answer.unusable(_("has no readable authorization")) from None


def _leads_nearby(url: str) -> bool:
    try:
        return stays_nearby(parse_address(url.strip(), encoded=True).host or "")
    except ValueError:  # AuthorizationRequest.parse says what is wrong with it
        return False
