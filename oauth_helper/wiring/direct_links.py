"""The public ``link_with_token()`` and ``link_with_password()``."""

from __future__ import annotations

from collections.abc import Callable

from oauth_helper.authorization import Authorization, RepoType
from oauth_helper.events import Event, Linked
from oauth_helper.exchange import PACE, Pace
from oauth_helper.link_request import IfExists, LinkRequest
from oauth_helper.linking import list_if_permitted
from oauth_helper.linking.directly import link_directly
from oauth_helper.pending import Target
from oauth_helper.proof import PersonalToken, Proof, UserPassword, check_type
from oauth_helper.secret import Secret
from oauth_helper.servicestage import ServiceStageClient
from oauth_helper.standing import find_standing
from oauth_helper.wiring.meeting import MeetingPlace
from oauth_helper.wiring.naming import name_for, unknown_choice
from oauth_helper.wiring.ways import Ways


async def link_with_token(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    token: Secret | str,
    host: str | None = None,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a GitHub, GitLab or Gitee account by a personal access token; return the authorization that stands then.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        token: The token.
        host: A private Git server, ``https://HOST[:PORT][/PATH]``; by default the official one.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    proof = PersonalToken(token if isinstance(token, Secret) else Secret(token), host)
    linked = await run_direct_link(_request(repo_type, name, if_exists), proof, service, tell)
    return linked.authorization


async def link_with_password(
    service: ServiceStageClient,
    repo_type: RepoType,
    *,
    name: str | None = None,
    user: str,
    password: Secret | str,
    if_exists: IfExists | str = IfExists.KEEP,
    tell: Callable[[Event], None] = lambda _event: None,
) -> Authorization:
    """Link a Bitbucket or CodeArts account by user and password; return the authorization that stands then.

    Args:
        service: An open client.
        repo_type: The kind of Git host.
        name: 4 to 63 characters of ``A-Za-z0-9._-``; by default ``REPO_TYPE-<login name>``.
        user: The user's name at the Git host; of CodeArts ``ACCOUNT/USER``.
        password: The password; of Bitbucket an app password.
        if_exists: What to do about an authorization of that name: ``keep``, ``replace`` or ``fail``.
        tell: Called with each event of the story.

    Raises:
        OAuthHelperError: What went wrong; its ``hint`` says what to do next.
    """
    proof = UserPassword(user, password if isinstance(password, Secret) else Secret(password))
    linked = await run_direct_link(_request(repo_type, name, if_exists), proof, service, tell)
    return linked.authorization


async def run_direct_link(
    request: LinkRequest,
    proof: Proof,
    service: ServiceStageClient,
    tell: Callable[[Event], None],
    *,
    pace: Pace = PACE,
    is_checked: bool = False,
    may_look: bool = True,
) -> Linked:
    """Link, and tell whether the authorization stood already; while another run links the name, wait for its end.

    With ``is_checked`` the caller has just seen that the name is free, or, without ``may_look``, that this account may
    not list.

    Raises:
        OAuthHelperError: As :func:`link_with_token`.
    """
    check_type(request.repo_type, type(proof))
    target = Target(service.endpoint, service.project_id, request.name)
    place = MeetingPlace.of_the_user(target, request.repo_type, tell)
    # Nobody can speak to this run: whoever would link the same name waits until it is over, and then looks.
    async with place.claimed_or_joined(request, Ways()) as joined:
        return joined or await link_directly(
            *(request, proof, service, tell), pace=pace, is_checked=is_checked, may_look=may_look
        )


async def what_is_kept(
    request: LinkRequest, service: ServiceStageClient, tell: Callable[[Event], None]
) -> Linked | None:
    """Return the authorization that would be kept, so that nobody is asked for a secret that is not needed.

    Raises:
        NameTakenError: What bears the name stands in the way.
    """
    if request.if_exists is IfExists.REPLACE:
        return None
    standing = find_standing(request, await list_if_permitted(request, service, tell) or [])
    return Linked(standing, kept=True) if standing else None


def _request(repo_type: RepoType, name: str | None, if_exists: IfExists | str) -> LinkRequest:
    try:
        return LinkRequest(RepoType(repo_type), name or name_for(repo_type), if_exists=IfExists(if_exists))
    except ValueError:
        raise unknown_choice(repo_type, if_exists) from None
