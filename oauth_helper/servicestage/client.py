"""ServiceStage's API, one method per call."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from oauth_helper.credentials import Credentials, CredentialSource
from oauth_helper.errors import IllegalNameError, NoSuchAuthorizationError, OAuthHelperError, RefusedError, UsageError
from oauth_helper.i18n import Text, _
from oauth_helper.models import Authorization, Namespace, Project, RepoType, is_legal_name
from oauth_helper.secret import Secret, safe_text
from oauth_helper.servicestage.api_errors import Answer
from oauth_helper.servicestage.iam import Iam
from oauth_helper.servicestage.signing import Query, encode
from oauth_helper.servicestage.transport import FIELD_VALUE, RETRIES, Retries, Transport
from oauth_helper.values import check_endpoint, parse_address, stays_nearby

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")
_RENEWAL: Final = 8.0
"""Seconds in which temporary credentials are fetched again."""
_PARAMETER_INVALID: Final = "SVCSTG.REPO.0400"
T = TypeVar("T")


class ServiceStageClient:
    """Talk to the ServiceStage of one region and project. An async context manager.

    Every call may raise CredentialsError, RefusedError or UnavailableError; see :mod:`oauth_helper.errors`.

    Args:
        endpoint: Such as ``https://servicestage.cn-north-4.myhuaweicloud.com``.
        project_id: The IAM project of that region.
        credentials: An access key, a project-scoped token, or what ``find_credentials()`` returns.
        ca_bundle: A file of certificates (PEM) to trust instead of the system's.
        retries: When calls without side effects are sent again because ServiceStage is busy or a connection broke.

    Raises:
        SettingsError: One of these is unusable.
    """

    _source: CredentialSource | None = None
    _needed_until: datetime | None = None

    def __init__(
        self,
        endpoint: str,
        *,
        project_id: str,
        credentials: Credentials | CredentialSource,
        ca_bundle: str | os.PathLike[str] | None = None,
        retries: Retries = RETRIES,
    ) -> None:
        if isinstance(credentials, CredentialSource):
            self._source, self._iam = credentials, Iam(credentials.iam, retries=retries)
        self._transport = Transport(
            endpoint,
            credentials=None if isinstance(credentials, CredentialSource) else credentials,
            project_id=project_id,
            ca_bundle=ca_bundle,
            retries=retries,
        )
        self.endpoint: str = check_endpoint(endpoint)
        """Normalised: without a slash at its end and the scheme's own port."""
        self.project_id = project_id
        self.proxy: str | None = self._transport.proxy
        """Host and port of the proxy through which ServiceStage is reached, if there is one."""
        self._auths = f"/v1/{encode(project_id)}/git/auths"
        self._repos = f"/v1/{encode(project_id)}/git/repos"

    async def __aenter__(self) -> Self:
        await self.renew_credentials()
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def last_clock_skew(self) -> float | None:
        """Seconds by which the server's clock was ahead of this machine's at the last answer; ``None`` if unknown."""
        return self._transport.last_clock_skew

    def kept_open(self, *, until: datetime | None = None) -> AbstractAsyncContextManager[None]:
        """Keep a connection open for the next request, which comes before ``until``. It never raises."""
        self._needed_until = until
        return self._transport.kept_open()

    @property
    def must_renew_credentials(self) -> bool:
        """Whether temporary credentials expire before the time that was given to :meth:`kept_open`."""
        expires_at = self._source.expires_at if self._source else None
        return bool(expires_at and self._needed_until and expires_at < self._needed_until)

    async def renew_credentials(self) -> None:
        """Fetch credentials that were not fetched yet, or expire too soon; if that fails, earlier ones stay in use."""
        if self._source is None:
            return
        until, self._needed_until = self._needed_until, None
        try:
            # Within an exchange there is little time; the earlier credentials may do, and the redirect is saved.
            async with asyncio.timeout(_RENEWAL if self._source.expires_at else None):
                self._transport.use(await self._source.current(self._iam, until=until))
        except (OAuthHelperError, TimeoutError):
            if not self._source.expires_at:
                raise

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        """Return all authorizations of the project (API page "Obtaining All Git Repository Authorizations").

        Without ``retry``, send one request only.
        """
        await self.renew_credentials()
        answer = await self._transport.request("GET", self._auths, is_safe=retry)
        document = answer.json_object()
        records = document.get("authorizations")
        if records is None and document.get("count") == 0:
            return []
        if not isinstance(records, list):
            raise answer.unusable(_("has no list of authorizations"))
        # A record without a name cannot matter. One with a name must not be dropped: the name would seem to be free.
        return [_authorization(answer, record) for record in records if isinstance(record, dict) and record.get("name")]

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        """Return a fresh authorization URL of the Git host, exactly as it came.

        Each has its own single-use state (API page "Obtaining an Authorization Redirection URL").
        ``tag`` names the site (``intl``); give the same one to :meth:`create_oauth`.
        """
        path = f"{self._auths}/{repo_type.value}/redirect"
        answer = await self._transport.request("GET", path, query=_query(tag), is_safe=True)
        url = answer.json_object().get("url")
        if not isinstance(url, str) or not url:
            raise answer.unusable(_("has no authorization URL"))
        if _is_local(url) and not _is_local(self.endpoint):
            raise answer.unusable(_("has an authorization URL that leads to this machine or its own network"))
        return url

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        """Turn code and state into an authorization: one POST (API page "Creating OAuth Authorization").

        It is never sent twice. If there is no usable answer, ``sent`` of the UnavailableError says whether the
        authorization may exist nevertheless. IllegalNameError: the name is refused, code and state were not used.
        """
        fields = {"name": name, "code": code.reveal(), "state": state.reveal()}
        return await self._create(repo_type, "oauth", fields, (code, state), _("The code or the state"), tag)

    async def create_personal(
        self, repo_type: RepoType, *, name: str, token: Secret, host: str | None = None
    ) -> Authorization:
        """Create an authorization with a personal access token: one POST, as :meth:`create_oauth`.

        Source: API page "Creating Private Token Authorization". ``host`` is the address of a private Git server.
        """
        fields = {"name": name, "token": token.reveal(), **({"host": host} if host else {})}
        return await self._create(repo_type, "personal", fields, (token,), _("The token or the host"))

    async def create_password(self, repo_type: RepoType, *, name: str, user: str, password: Secret) -> Authorization:
        """Create an authorization with user and password (API page "Creating Password Authorization").

        If the server refuses the manual's body as an invalid parameter, and so has created nothing, the body of the
        vendor's Terraform provider follows.
        """
        what = _("The user or the password")
        documented = {"name": name, "user": user, "password": password.reveal()}
        pair = f"{user}:{password.reveal()}".encode("utf-8", "surrogatepass")
        together = Secret(base64.b64encode(pair).decode())
        secrets = (together, password)
        try:
            return await self._create(repo_type, "password", documented, secrets, what)
        except RefusedError as error:
            if error.code != _PARAMETER_INVALID:
                raise
            refused = error
        try:
            fields = {"name": name, "token": together.reveal()}
            return await self._create(repo_type, "password", fields, secrets, what)
        except RefusedError as error:
            # If the server understands neither, its answer to the manual's body says more.
            raise (refused if error.code == _PARAMETER_INVALID else error) from None

    async def _create(
        self,
        repo_type: RepoType,
        kind: str,
        fields: dict[str, str],
        secrets: Collection[Secret],
        what: Text,
        tag: str | None = None,
    ) -> Authorization:
        if not is_legal_name(fields["name"]):
            raise IllegalNameError(_("The name has characters or a length that ServiceStage refuses"))
        body = json.dumps(fields, ensure_ascii=False)
        # A terminal's bytes that are not UTF-8 become lone surrogates (PEP 383). Encoding them would raise an exception
        # that holds the whole text, secrets included.
        if _SURROGATES.search(body):
            raise UsageError(_("{bearing} has a character that is no Unicode", bearing=what))
        path = f"{self._auths}/{repo_type.value}/{kind}"
        answer = await self._transport.request("POST", path, query=_query(tag), body=body.encode(), secrets=secrets)
        return _authorization(answer, answer.json_object().get("authorization"))

    async def delete_authorization(self, name: str) -> None:
        """Delete the authorization of that name (API page "Deleting Git Repository Authorization").

        It need not be legal, as another client may have chosen it. IllegalNameError: no address can contain it.
        """
        segment = _segment(_("authorization"), name, IllegalNameError)
        answer = await self._transport.request("DELETE", f"{self._auths}/{segment}")
        if answer.body.strip():  # the API answers 204 without a body; the page of a proxy deletes nothing
            answer.json_object()

    async def list_namespaces(self, authorization_name: str) -> list[Namespace]:
        """Return the users, groups and organizations that an authorization can see (API page "Obtaining Namespaces").

        NoSuchAuthorizationError: there is no authorization of that name.
        """
        return await self._list(authorization_name, "namespaces", "/namespaces", Namespace.from_json)

    async def list_projects(self, authorization_name: str, namespace: str) -> list[Project]:
        """Return the projects of a namespace (name or id); UsageError if no address can contain that."""
        segment = _segment(_("namespace"), namespace)
        return await self._list(authorization_name, "projects", f"/{segment}/projects", Project.from_json)

    async def list_branches(self, authorization_name: str, namespace: str, project: str) -> list[str]:
        """Return the names of a project's branches; raises as :meth:`list_projects`."""
        # A project's path has colons instead of slashes.
        segments = _segment(_("namespace"), namespace), _segment(_("project"), project.replace("/", ":"))
        return await self._list(authorization_name, "branches", f"/{'/'.join(segments)}/branches", _name)

    async def _list(self, authorization_name: str, key: str, path: str, read: Callable[[Any], T]) -> list[T]:
        """Ask the Git host by that authorization; return what is readable in the list ``key`` of the answer."""
        if not FIELD_VALUE.fullmatch(authorization_name):
            message = _("There is no authorization named {name!r}", name=safe_text(authorization_name))
            raise NoSuchAuthorizationError(message)
        headers = {"X-Repo-Auth": authorization_name}
        answer = await self._transport.request("GET", f"{self._repos}{path}", headers=headers, is_safe=True)
        document = answer.json_object()
        records = document.get(key)
        if records is None and key in document:  # Go and Java write an empty list as null
            return []
        if not isinstance(records, list):
            raise answer.unusable(_("has no list of {key}", key=key))
        found = []
        for record in records:
            with suppress(ValueError, TypeError):  # neither name nor id, or no object
                found.append(read(record))
        return found


def _name(branch: object) -> str:
    if not isinstance(branch, str) or not branch:
        raise ValueError
    return branch


def _segment(what: Text, text: str, error: type[OAuthHelperError] = UsageError) -> str:
    # Proxies resolve "." and ".." (RFC 3986 section 5.2.4): the request would reach another resource.
    if not text.strip(".") or not text.isprintable():
        message = _("There can be no {what} named {text!r}", what=what, text=safe_text(text))
        raise error(message, hint=_("Give it as `oauth-helper list` or `oauth-helper repos` does."))
    return encode(text)


def _query(tag: str | None) -> Query:
    if tag and not tag.isprintable():
        raise UsageError(_("The tag has control characters in it"))
    return (("tag", tag),) if tag else ()


def _authorization(answer: Answer, record: object) -> Authorization:
    try:
        return Authorization.from_json(record if isinstance(record, dict) else {})
    except ValueError:
        raise answer.unusable(_("has no readable authorization")) from None


def _is_local(url: str) -> bool:
    """Whether a browser would find this machine or its own network at ``url``."""
    try:
        return stays_nearby(parse_address(url.strip(), encoded=True).host or "")
    except ValueError:  # AuthorizationRequest.parse says what is wrong with it
        return False
