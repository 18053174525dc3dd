"""ServiceStage's API, as far as a link needs it ("ServiceStage API Reference", chapter "Git Repository Access")."""

from __future__ import annotations

import json
import os
import re
from types import TracebackType
from typing import Final, Self

from oauth_helper.authorization import Authorization, RepoType, is_legal_name
from oauth_helper.credentials import Credentials
from oauth_helper.errors import IllegalNameError, UsageError
from oauth_helper.secret import Secret
from oauth_helper.servicestage.answer import Answer
from oauth_helper.servicestage.connection import Connection
from oauth_helper.servicestage.signing import encode

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


class ServiceStageClient:
    """Talk to the ServiceStage of one region and project. An async context manager.

    Every call raises CredentialsError, RefusedError or UnavailableError (or an error below them) where it does not
    return; see :mod:`oauth_helper.errors`.

    Args:
        endpoint: Such as ``https://servicestage.cn-north-4.myhuaweicloud.com``.
        project_id: The IAM project of that region.
        credentials: An access key or a project-scoped token.
        ca_bundle: A file of certificates (PEM) to trust instead of the system's.

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
    ) -> None:
        self._connection = Connection(endpoint, credentials=credentials, project_id=project_id, ca_bundle=ca_bundle)
        self.endpoint = endpoint
        """As it was given."""
        self.project_id = project_id
        """As it was given."""
        self._auths = f"/v1/{encode(project_id)}/git/auths"

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

    async def list_authorizations(self) -> list[Authorization]:
        """Return all authorizations of the project (API page "Obtaining All Git Repository Authorizations")."""
        answer = await self._connection.request("GET", self._auths)
        document = answer.json_object()
        records = document.get("authorizations")
        if records is None and document.get("count") == 0:
            return []
        if not isinstance(records, list):
            raise answer.unusable("has no list of authorizations")
        # A record without a name can be neither ours nor in our way, nor can anything be done with it. One that has
        # a name but cannot be read must not be dropped: its name would seem to be free.
        return [_authorization(answer, record) for record in records if isinstance(record, dict) and record.get("name")]

    async def authorization_url(self, repo_type: RepoType, *, tag: str | None = None) -> str:
        """Return a fresh authorization URL of the Git host, exactly as it came.

        Each one bears a state of its own, for a single use (API page "Obtaining an Authorization Redirection URL").
        ``tag`` names the site (``intl``); give the same one to :meth:`create_oauth`.
        """
        answer = await self._connection.request("GET", f"{self._auths}/{repo_type.value}/redirect", query=_query(tag))
        url = answer.json_object().get("url")
        if not isinstance(url, str) or not url:
            raise answer.unusable("has no authorization URL")
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
        if not is_legal_name(name):
            raise IllegalNameError("The name has characters or a length that ServiceStage refuses")
        body = _json({"name": name, "code": code.reveal(), "state": state.reveal()})
        answer = await self._connection.request(
            "POST", f"{self._auths}/{repo_type.value}/oauth", query=_query(tag), body=body, secrets=(code, state)
        )
        return _authorization(answer, answer.json_object().get("authorization"))

    async def delete_authorization(self, name: str) -> None:
        """Delete the authorization of that name (API page "Deleting Git Repository Authorization").

        A name that our rule would refuse is let through: a server may have accepted it by another way.

        Raises:
            IllegalNameError: The name cannot stand in an address.
        """
        # Proxies resolve "." and ".." (RFC 3986 section 5.2.4): the request would reach something else.
        if not name.isprintable() or not name.strip("."):
            raise IllegalNameError("There can be no authorization of that name")
        await self._connection.request("DELETE", f"{self._auths}/{encode(name)}")


def _query(tag: str | None) -> tuple[tuple[str, str], ...]:
    if not tag:
        return ()
    if not tag.isprintable():
        raise UsageError("The tag has control characters in it")
    return (("tag", tag),)


def _json(fields: dict[str, str]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False)
    # Bytes of a terminal that are not UTF-8 become lone surrogates (PEP 383); encoding them would fail with an
    # exception that holds the whole text, code and state included.
    if _SURROGATES.search(text):
        raise UsageError("The code or the state has a character that is no Unicode")
    return text.encode()


def _authorization(answer: Answer, record: object) -> Authorization:
    try:
        return Authorization.from_json(record if isinstance(record, dict) else {})
    except ValueError:
        raise answer.unusable("has no readable authorization") from None
