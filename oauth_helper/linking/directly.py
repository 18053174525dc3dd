"""A link without a browser: what proves the account is at hand, and goes to ServiceStage as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.desk import Ending
from oauth_helper.errors import NameTakenError, OAuthHelperError, RefusedError
from oauth_helper.events import Event, Failed, Linked
from oauth_helper.exchange import PACE, Exchange, Pace
from oauth_helper.exchange.seams import Lists
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking.checking import Found, check
from oauth_helper.linking.taken import link_in_spite_of_name
from oauth_helper.pending import Pending, Target
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.proof import PersonalToken, Proof
from oauth_helper.secret import Secret

_NOT_ACCEPTED: Final = frozenset({"SVCSTG.REPO.0400", "SVCSTG.REPO.0402", "SVCSTG.REPO.0450", "SVCSTG.REPO.0451"})
"""With which ServiceStage may refuse a token or a password; no page says which it is."""
_NOTHING: Final = Secret("")


class Service(Lists, Protocol):
    """ServiceStage: the calls that a link without a browser needs."""

    @property
    def endpoint(self) -> str:
        """Where it is."""

    @property
    def project_id(self) -> str:
        """Whose authorizations these are."""

    async def create_personal(
        self, repo_type: RepoType, *, name: str, token: Secret, host: str | None = None
    ) -> Authorization:
        """Have an authorization made of a personal access token."""

    async def create_password(self, repo_type: RepoType, *, name: str, user: str, password: Secret) -> Authorization:
        """Have an authorization made of user and password."""

    async def delete_authorization(self, name: str) -> None:
        """Delete the one of that name."""


async def link_directly(
    request: LinkRequest,
    proof: Proof,
    service: Service,
    tell: Callable[[Event], None],
    *,
    pace: Pace = PACE,
    is_checked: bool = False,
    may_look: bool = True,
) -> Linked:
    """Link a Git account by a token, or by user and password.

    1. *Check*: the name is free, credentials and endpoint good.
    2. *Create*: one POST. What stood under the name is deleted right before it, if it is to be replaced. Where the
       outcome is not plain, look before anything is sent again, as with a redirect (:mod:`oauth_helper.exchange`).
       Nothing is written down: who has the token can run it again.

    With ``is_checked`` the caller has just seen that the name is free, or, without ``may_look``, that this account may
    not list. Step 1 is left out then.

    Raises:
        OAuthHelperError: What went wrong.
    """
    ending = Ending(tell)
    tell = ending.watch
    try:
        found = Found(None, () if may_look else None) if is_checked else await check(request, service, tell)
        if found.standing and request.if_exists is IfExists.KEEP:
            linked = Linked(found.standing, kept=True)
        else:
            creation = _Creation(request, proof, service, tell, pace)
            linked = await creation.carry_out(found.standing, may_look=found.known is not None)
    except OAuthHelperError as error:
        if isinstance(error, RefusedError) and error.code in _NOT_ACCEPTED:
            error.hint = _what_to_check(request, proof)
        ending.tell(Failed(error))
        raise
    ending.tell(linked)
    return linked


@dataclass(frozen=True, slots=True)
class _ByProof:
    """ServiceStage as an exchange knows it, with a proof in the place of code and state."""

    service: Service
    proof: Proof

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        return await self.service.list_authorizations(retry=retry)

    async def delete_authorization(self, name: str) -> None:
        await self.service.delete_authorization(name)

    async def create_oauth(
        self,
        repo_type: RepoType,
        *,
        name: str,
        code: Secret,  # noqa: ARG002 - there is none
        state: Secret,  # noqa: ARG002 - there is none
        tag: str | None = None,  # noqa: ARG002 - these calls have no such parameter
    ) -> Authorization:
        if isinstance(self.proof, PersonalToken):
            return await self.service.create_personal(
                repo_type, name=name, token=self.proof.token, host=self.proof.host
            )
        return await self.service.create_password(
            repo_type, name=name, user=self.proof.user, password=self.proof.password
        )


@dataclass(frozen=True, slots=True)
class _Creation:
    """One authorization that is to come about."""

    request: LinkRequest
    proof: Proof
    service: Service
    tell: Callable[[Event], None]
    pace: Pace

    async def carry_out(self, standing: Authorization | None, *, may_look: bool) -> Linked:
        """Bring it about, in the place of ``standing`` if there is one."""
        service = _ByProof(self.service, self.proof)
        pending = self._pending(standing)
        exchange = Exchange(pending, service, None, self.tell, pace=self.pace, may_look=may_look)
        try:
            return Linked(await exchange.carry_out())
        except NameTakenError as taken:
            return await link_in_spite_of_name(taken, exchange, self.request)

    def _pending(self, standing: Authorization | None) -> Pending:
        return Pending(
            target=Target(self.service.endpoint, self.service.project_id, self.request.name),
            repo_type=self.request.repo_type,
            captured_at=datetime.now(UTC),
            code=_NOTHING,
            state=_NOTHING,
            stood_since=standing.create_time if standing else None,
        )


def _what_to_check(request: LinkRequest, proof: Proof) -> Phrase:
    host = request.repo_type.display_name
    if isinstance(proof, PersonalToken):
        if proof.host:
            return phrase(
                "Check the token: that {host} lists it, with the rights to read and write repositories and hooks; and "
                "--host, that ServiceStage can reach it.",
                host=host,
            )
        return phrase(
            "Check the token: that {host} lists it, with the rights to read and write repositories and hooks, and that "
            "it comes from its official site.",
            host=host,
        )
    return phrase(
        "Check the user name and the password: that you can sign in to {host} with them over Git's HTTPS.", host=host
    )
