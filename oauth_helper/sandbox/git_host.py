"""The sandbox's Git host: asks its one user for consent, hands out codes, and takes them back in exchange.

One address plays them all, each at the path of the real one; the client id tells which.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from oauth_helper.authorization import RepoType
from oauth_helper.sandbox.authorization_server import Account, OAuthApplication
from oauth_helper.sandbox.git_hosts import PLAYED_HOSTS
from oauth_helper.sandbox.pages import avatar, page
from oauth_helper.secret import Secret

LOGIN: Final = "octocat"
"""The one user, who is always signed in."""

REPO_TYPES: Final = tuple(RepoType(word) for word, host in PLAYED_HOSTS.items() if host.has_oauth)
"""The types with which users consent."""
_ISSUER_PATH: Final = "/login/oauth"
_RFC_ERRORS: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a code was given out for, and until when (seconds since the epoch)."""

    application: OAuthApplication
    expires_at: float


class GitHost:
    """A Git host at ``address``, whose codes live for ``code_lifetime`` seconds.

    Where its user has decided before (``decision``, the value of one of the consent form's two buttons), it asks
    nothing and redirects at once, as GitHub does for consent given before.
    """

    def __init__(
        self, address: str, *, now: Callable[[], float], code_lifetime: float, decision: str | None = None
    ) -> None:
        self.address = address
        self._decision = decision
        self._now = now
        self._code_lifetime = code_lifetime
        self._applications: dict[str, OAuthApplication] = {}
        self._codes: dict[Secret, _Grant] = {}
        # A prefix as GitHub's tokens have; without one, no scanner of secrets would know it.
        self.personal_token: Secret = Secret(f"ghp_{secrets.token_hex(18)}")
        """Its user's personal access token."""
        self.password: Secret = Secret(secrets.token_urlsafe(18))
        """Its user's password."""

    def register(self, repo_type: RepoType, *, redirect_uri: str) -> OAuthApplication:
        """Register an application, whose answers go to ``redirect_uri`` and nowhere else."""
        # The manual's sample is for GitHub, and has no response_type; RFC 6749 section 4.1.1 and the others need it.
        response_type = None if repo_type is RepoType.GITHUB else "code"
        client_id, scope = secrets.token_hex(10), " ".join(PLAYED_HOSTS[repo_type].scopes)
        registered = OAuthApplication(repo_type, client_id, redirect_uri, scope, response_type)
        self._applications[registered.client_id] = registered
        return registered

    def authorization_endpoint(self, application: OAuthApplication) -> str:
        """Return the address where the host asks for consent (RFC 6749 section 3.1)."""
        return self.address + PLAYED_HOSTS[application.repo_type].authorization_path

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return whose consent ``code`` stands for; None where it is not good. Either way it is used up.

        The token request (RFC 6749 section 4.1.3), without a socket in between: both ends live in this process.
        """
        grant = self._codes.pop(code, None)
        if grant is None or grant.application != application or self._now() >= grant.expires_at:
            return None
        return self.account()

    def account(self) -> Account:
        """Return what the host tells about its one user."""
        home = f"{self.address}/{LOGIN}"
        return Account(self.address, LOGIN, home, f"{home}/avatar.svg")

    def knows_token(self, token: Secret) -> bool:
        """Whether ``token`` is its user's personal access token."""
        return token == self.personal_token

    def knows_user(self, user: str, password: Secret) -> bool:
        """Whether its user signs in with these; where users have accounts (``ACCOUNT/USER``), in whichever."""
        return user.rpartition("/")[2] == LOGIN and password == self.password

    def application(self) -> web.Application:
        """Return what is to be served."""
        application = web.Application()
        for path in sorted({host.authorization_path for host in PLAYED_HOSTS.values() if host.has_oauth}):
            application.router.add_get(path, self._ask)
            application.router.add_post(path, self._decide)
        application.router.add_get(f"/{LOGIN}", _profile)
        application.router.add_get(f"/{LOGIN}/avatar.svg", _avatar)
        return application

    async def _ask(self, request: web.Request) -> web.Response:
        parameters = dict(request.query)
        refusal = self._refuse(request, parameters)
        if refusal is not None:
            return refusal
        application = self._applications[parameters["client_id"]]
        if self._decision:
            return self._carry_out(self._decision, application, parameters)
        return _consent_page(application, request.path, parameters)

    async def _decide(self, request: web.Request) -> web.Response:
        # The form brings the request along in hidden fields; a script may leave it in the address (section 3.1).
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        parameters = {**request.query, **form}
        refusal = self._refuse(request, parameters)
        if refusal is not None:
            return refusal
        return self._carry_out(form.get("decision"), self._applications[parameters["client_id"]], parameters)

    def _carry_out(
        self, decision: str | None, application: OAuthApplication, parameters: Mapping[str, str]
    ) -> web.Response:
        match decision:
            case "authorize":
                return self._answer(application, parameters, {"code": self._new_code(application).reveal()})
            case "deny":
                description = "The user has denied your application access."
                return self._answer_error(application, parameters, "access_denied", description)
            case _:
                return _error_page("Neither authorized nor denied", "The form has two buttons; one must be chosen.")

    def _refuse(self, request: web.Request, parameters: Mapping[str, str]) -> web.Response | None:
        """Return the answer to an authorization request that cannot be granted, None for one that can.

        Without a trustworthy redirect_uri the user is told and nobody else (RFC 6749 section 4.1.2.1). GitHub
        alone then turns to the registered one.
        """
        if len(set(request.query)) != len(request.query):
            return _error_page("Repeated parameter", "A parameter of the request is there more than once.")
        application = self._applications.get(parameters.get("client_id", ""))
        if application is None or PLAYED_HOSTS[application.repo_type].authorization_path != request.path:
            return _error_page("Unknown application", "No application is registered under this client id.")
        if parameters.get("redirect_uri") != application.redirect_uri:
            if application.repo_type is not RepoType.GITHUB:
                return _error_page("Invalid redirect_uri", "The application is not registered with this address.")
            description = "The redirect_uri MUST match the registered callback URL for this application."
            return self._answer_error(application, parameters, "redirect_uri_mismatch", description)
        if application.response_type is not None and parameters.get("response_type") != application.response_type:
            description = "The authorization server does not support this response type."
            return self._answer_error(application, parameters, "unsupported_response_type", description)
        return None

    def _new_code(self, application: OAuthApplication) -> Secret:
        # GitHub's codes have 20 hexadecimal digits, Doorkeeper's (GitLab, Gitee) 64; Bitbucket's are undocumented.
        code = Secret(secrets.token_hex(10 if application.repo_type is RepoType.GITHUB else 32))
        self._codes[code] = _Grant(application, self._now() + self._code_lifetime)
        return code

    def _answer_error(
        self, application: OAuthApplication, parameters: Mapping[str, str], error: str, description: str
    ) -> web.Response:
        answer = {"error": error, "error_description": description, "error_uri": _RFC_ERRORS}
        return self._answer(application, parameters, answer)

    def _answer(
        self, application: OAuthApplication, parameters: Mapping[str, str], answer: Mapping[str, str]
    ) -> web.Response:
        state = {"state": parameters["state"]} if "state" in parameters else {}
        # RFC 9207; GitHub sends it since 2026, with refusals too, the others do not.
        issuer = {"iss": self.address + _ISSUER_PATH} if application.repo_type is RepoType.GITHUB else {}
        # The registered address has a query of its own. urlencode writes `+` for a space, as the real hosts do here.
        location = f"{application.redirect_uri}&{urlencode({**answer, **issuer, **state})}"
        # Not HTTPFound: it would write the address anew, and `%24` as `$`.
        return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def _consent_page(application: OAuthApplication, path: str, parameters: Mapping[str, str]) -> web.Response:
    meanings = PLAYED_HOSTS[application.repo_type].scopes
    scopes = "".join(
        f"<li><code>{escape(scope)}</code> <span>{meanings.get(scope, '')}</span></li>"
        for scope in parameters.get("scope", "").split()
    )
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in parameters.items()
    )
    return page(
        f"Authorize ServiceStage · {application.repo_type.display_name}",
        f"""<p class="host">{application.repo_type.display_name} <small>of the sandbox</small></p>
<h1>Authorize Huawei Cloud ServiceStage</h1>
<p>The application <b>ServiceStage</b> asks for access to the account <b>{LOGIN}</b>:</p>
<ul>{scopes}</ul>
<form method="post" action="{path}">{hidden}
<button class="main" type="submit" name="decision" value="authorize">Authorize</button>
<button type="submit" name="decision" value="deny">Deny</button></form>
<p class="note">No account is real here. The answer goes to {escape(application.redirect_uri)}</p>""",
    )


def _error_page(title: str, text: str) -> web.Response:
    return page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>", status=400)


async def _profile(_: web.Request) -> web.Response:
    return page(LOGIN, f"<h1>{LOGIN}</h1><p>The one account of the sandbox's Git host.</p>")


async def _avatar(_: web.Request) -> web.Response:
    return web.Response(text=avatar(LOGIN), content_type="image/svg+xml")
