"""The Git host and the cloud console of the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal, Protocol
from urllib.parse import quote, urlencode

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.models import RepoType
from oauth_helper.secret import Secret

CALLBACK_PATH: Final = "/servicestage/oauth"
LOGIN: Final = "octocat"
"""The only user, always signed in."""

_SIGN_IN_PATH: Final = "/authui/login.html"
_ISSUER_PATH: Final = "/login/oauth"
_RFC_ERRORS: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"
_PROFILE: Final = "read your profile"
_REPOSITORIES: Final = "read and write your repositories"
_HOOKS: Final = "write repository hooks"


@dataclass(frozen=True, slots=True)
class OAuthApplication:
    """An application registered with a Git host (RFC 6749 section 2)."""

    repo_type: RepoType
    client_id: str
    redirect_uri: str
    scope: str
    response_type: str | None = "code"
    """The ``response_type`` of its authorization requests (section 3.1.1); None if they have none."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a Git host says about its user."""

    host: str
    login: str
    home: str
    avatar: str


class AuthorizationServer(Protocol):
    """Asks for consent, issues codes and exchanges them: the sandbox's Git host, or an OpenID provider."""

    def register(self, repo_type: RepoType, *, redirect_uri: str) -> OAuthApplication:
        """Return ServiceStage's application for a type, whose responses go to ``redirect_uri`` only."""

    def authorization_endpoint(self, application: OAuthApplication, /) -> str:
        """Return the URL that asks for consent (RFC 6749 section 3.1), possibly with a query of its own."""

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return the account whose consent ``code`` represents, or None if the code is refused.

        Raises:
            InternalError: The server gave no usable response.
        """


@dataclass(frozen=True, slots=True)
class Provider:
    """A repository type as the sandbox plays it."""

    credential: Literal["token", "password"]
    """What ServiceStage accepts for it without a browser."""
    authorization_path: str = ""
    """The path that asks for consent; empty without OAuth."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """The scopes of ServiceStage's application, and what they mean."""


PROVIDERS: Final[Mapping[str, Provider]] = {
    RepoType.GITHUB: Provider(
        "token",
        "/login/oauth/authorize",
        {"read:user": _PROFILE, "repo": _REPOSITORIES, "write:repo_hook": _HOOKS},
    ),
    RepoType.GITLAB: Provider(
        "token", "/oauth/authorize", {"api": "use the whole API in your name", "read_user": _PROFILE}
    ),
    RepoType.GITEE: Provider(
        "token", "/oauth/authorize", {"user_info": _PROFILE, "projects": _REPOSITORIES, "hook": _HOOKS}
    ),
    RepoType.BITBUCKET: Provider(
        "password",
        "/site/oauth2/authorize",
        {"account": _PROFILE, "repository:write": _REPOSITORIES, "webhook": _HOOKS},
    ),
    # No edition of the manual that has its OAuth says where it asks for consent.
    RepoType.DEVCLOUD: Provider("password"),
}
"""By the spelling on the wire, which is lower case."""

REPO_TYPES: Final = tuple(RepoType(word) for word, provider in PROVIDERS.items() if provider.authorization_path)
"""The types that users link in a browser."""

_HEADERS: Final = {
    # No `form-action`: Chromium would apply it to the redirect that answers the form, too.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1c2024; --soft: #5d6570; --line: #d9dde2;
  --main: #1f7a43; --main-ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --ground: #101316; --card: #1a1e23; --ink: #e8eaed; --soft: #a2abb5;
  --line: #343b43; --main: #3fb56d; --main-ink: #06210f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { width: 100%; max-width: 32rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; line-height: 1.25; }
ul { margin: 1rem 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 8px; }
li { padding: .6rem .9rem; display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
li + li { border-top: 1px solid var(--line); }
form { display: flex; gap: .75rem; margin: 1.5rem 0 0; }
button { flex: 1; padding: .65rem 1rem; font: inherit; font-weight: 600; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: 8px; cursor: pointer; }
button.main { color: var(--main-ink); background: var(--main); border-color: var(--main); }
button:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
.host { margin: 0 0 .5rem; font-weight: 600; }
.note, li span, small { color: var(--soft); font-size: .875rem; font-weight: 400; }
.note { margin: 1.5rem 0 0; }
"""


def page(title: str, body: str, *, status: int = 200) -> web.Response:
    """Return a page. ``body`` is HTML whose variable parts are escaped; ``title`` is text."""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body><main>
{body}
</main></body></html>
"""
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def _error_page(title: str, text: str) -> web.Response:
    return page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>", status=400)


def _redirect(location: str) -> web.Response:
    # Not HTTPFound: it would encode the address again, and write `%24` as `$`.
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


class Console:
    """The cloud console at ``address`` (``http://127.0.0.1:PORT``), which shows every link as failed."""

    def __init__(self, address: str) -> None:
        self._address = address
        # Cookies are shared by all ports: the name keeps two sandboxes on one machine apart.
        self._cookie = f"sandbox_console_{address.rpartition(':')[2]}"
        self._sessions: set[Secret] = set()
        self.requests: int = 0
        """How many requests reached the console so far."""

    def redirect_uri(self, repo_type: str) -> str:
        """Return the redirect URI that ServiceStage's OAuth applications are registered with."""
        return f"{self._address}{CALLBACK_PATH}?repo_type={repo_type}"

    def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application(middlewares=[self._count])
        application.router.add_get(CALLBACK_PATH, self._callback)
        application.router.add_get(_SIGN_IN_PATH, self._sign_in_page)
        application.router.add_post(_SIGN_IN_PATH, self._sign_in)
        return application

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests += 1
        return await handler(request)

    async def _callback(self, request: web.Request) -> web.Response:
        if Secret(request.cookies.get(self._cookie, "")) not in self._sessions:
            service = quote(self._address + request.raw_path, safe="")
            return _redirect(f"{_SIGN_IN_PATH}?service={service}")
        return page(
            "Authorization failed · Console",
            """<p class="host">Console <small>of the sandbox</small></p>
<h1>Failed to create the authorization</h1>
<p>Copy the whole address of this page from the address bar, and paste it where oauth-helper waits for it.</p>
<p class="note">The real console says this here, too. The code and the state in the address are still unused.</p>""",
        )

    async def _sign_in_page(self, request: web.Request) -> web.Response:
        service = self._own_address(request.query.get("service", ""))
        return page(
            "Sign in · Console",
            f"""<p class="host">Console <small>of the sandbox</small></p>
<h1>Sign in to the console</h1>
<p>This stands for the sign-in of the real console. It needs no account and no password.</p>
<form method="post" action="{_SIGN_IN_PATH}"><input type="hidden" name="service" value="{escape(service)}">
<button class="main" type="submit">Log In</button></form>""",
        )

    async def _sign_in(self, request: web.Request) -> web.Response:
        service = self._own_address(str((await request.post()).get("service", "")))
        session = Secret(secrets.token_urlsafe(16))
        self._sessions.add(session)
        response = _redirect(service)
        response.set_cookie(self._cookie, session.reveal(), httponly=True, samesite="Lax")
        return response

    def _own_address(self, service: str) -> str:
        """Return where the sign-in leads back to, which is always an address of this console."""
        if not service.startswith(f"{self._address}/") or not service.isascii() or not service.isprintable():
            raise web.HTTPBadRequest(text="The sign-in leads back to addresses of this console only.")
        return service


class GitHost:
    """A Git host at ``address``, whose codes are valid for ``code_lifetime`` seconds.

    With ``decision`` (``authorize`` or ``deny``) it does not ask and redirects at once, as GitHub does after an
    earlier consent.
    """

    def __init__(
        self, address: str, *, now: Callable[[], float], code_lifetime: float, decision: str | None = None
    ) -> None:
        self.address = address
        self._decision = decision
        self._now = now
        self._code_lifetime = code_lifetime
        self._applications: dict[str, OAuthApplication] = {}
        self._codes: dict[Secret, tuple[OAuthApplication, float]] = {}
        # With the prefix of GitHub's tokens, secret scanners recognise it.
        self.personal_token: Secret = Secret(f"ghp_{secrets.token_hex(18)}")
        """The user's personal access token."""
        self.password: Secret = Secret(secrets.token_urlsafe(18))
        """The user's password."""

    def register(self, repo_type: RepoType, *, redirect_uri: str) -> OAuthApplication:
        """Register an application, whose responses go to ``redirect_uri`` only."""
        # The manual's sample for GitHub has no response_type; RFC 6749 section 4.1.1 and the other hosts need it.
        response_type = None if repo_type is RepoType.GITHUB else "code"
        client_id, scope = secrets.token_hex(10), " ".join(PROVIDERS[repo_type].scopes)
        application = OAuthApplication(repo_type, client_id, redirect_uri, scope, response_type)
        self._applications[client_id] = application
        return application

    def authorization_endpoint(self, application: OAuthApplication) -> str:
        """Return the URL that asks for consent (RFC 6749 section 3.1)."""
        return self.address + PROVIDERS[application.repo_type].authorization_path

    async def exchange(self, application: OAuthApplication, code: Secret) -> Account | None:
        """Return the account whose consent ``code`` represents, or None; the code is used up (section 4.1.3)."""
        issued_for, expires_at = self._codes.pop(code, (None, 0.0))
        return self.account() if issued_for == application and self._now() < expires_at else None

    def account(self) -> Account:
        """Return what the host says about its user."""
        home = f"{self.address}/{LOGIN}"
        return Account(self.address, LOGIN, home, f"{home}/avatar.svg")

    def knows_token(self, token: Secret) -> bool:
        """Whether ``token`` is the user's personal access token."""
        return token == self.personal_token

    def knows_user(self, user: str, password: Secret) -> bool:
        """Whether user and password are right; ``ACCOUNT/USER`` may name any account."""
        return user.rpartition("/")[2] == LOGIN and password == self.password

    def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application()
        for path in sorted({PROVIDERS[repo_type].authorization_path for repo_type in REPO_TYPES}):
            application.router.add_get(path, self._authorize)
            application.router.add_post(path, self._authorize)
        application.router.add_get(f"/{LOGIN}", _profile)
        application.router.add_get(f"/{LOGIN}/avatar.svg", _avatar)
        return application

    async def _authorize(self, request: web.Request) -> web.Response:
        # The form repeats the request in hidden fields; a script may leave it in the address (section 3.1).
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        parameters = {**request.query, **form}
        refusal = self._refuse(request, parameters)
        if refusal is not None:
            return refusal
        application = self._applications[parameters["client_id"]]
        decision = self._decision if request.method == "GET" else form.get("decision", "")
        if decision is None:
            return _consent_page(application, request.path, parameters)
        match decision:
            case "authorize":
                return self._respond(application, parameters, code=self._new_code(application).reveal())
            case "deny":
                description = "The user has denied your application access."
                return self._respond(application, parameters, error="access_denied", error_description=description)
            case _:
                return _error_page("Neither authorized nor denied", "The form has two buttons; one must be chosen.")

    def _refuse(self, request: web.Request, parameters: Mapping[str, str]) -> web.Response | None:
        """Return the response to an invalid authorization request, or None for a valid one.

        Without a valid redirect_uri only the user learns of it (RFC 6749 section 4.1.2.1), except from GitHub, which
        then uses the registered one.
        """
        if len(set(request.query)) != len(request.query):
            return _error_page("Repeated parameter", "A parameter of the request is there more than once.")
        application = self._applications.get(parameters.get("client_id", ""))
        if application is None or PROVIDERS[application.repo_type].authorization_path != request.path:
            return _error_page("Unknown application", "No application is registered with this client id.")
        if parameters.get("redirect_uri") != application.redirect_uri:
            if application.repo_type is not RepoType.GITHUB:
                return _error_page("Invalid redirect_uri", "The application is not registered with this address.")
            description = "The redirect_uri MUST match the registered callback URL for this application."
            return self._respond(application, parameters, error="redirect_uri_mismatch", error_description=description)
        if application.response_type is not None and parameters.get("response_type") != application.response_type:
            description = "The authorization server does not support this response type."
            return self._respond(
                application, parameters, error="unsupported_response_type", error_description=description
            )
        return None

    def _new_code(self, application: OAuthApplication) -> Secret:
        # GitHub's codes have 20 hexadecimal digits, Doorkeeper's (GitLab, Gitee) 64; Bitbucket's are undocumented.
        code = Secret(secrets.token_hex(10 if application.repo_type is RepoType.GITHUB else 32))
        self._codes[code] = application, self._now() + self._code_lifetime
        return code

    def _respond(self, application: OAuthApplication, parameters: Mapping[str, str], **values: str) -> web.Response:
        if "error" in values:
            values["error_uri"] = _RFC_ERRORS
        state = {"state": parameters["state"]} if "state" in parameters else {}
        # RFC 9207: GitHub has sent it since 2026, also with errors; the others do not.
        issuer = {"iss": self.address + _ISSUER_PATH} if application.repo_type is RepoType.GITHUB else {}
        # The registered URI has a query of its own. urlencode writes `+` for a space, as the real hosts do here.
        return _redirect(f"{application.redirect_uri}&{urlencode({**values, **issuer, **state})}")


def _consent_page(application: OAuthApplication, path: str, parameters: Mapping[str, str]) -> web.Response:
    host = application.repo_type.display_name
    meanings = PROVIDERS[application.repo_type].scopes
    scopes = "".join(
        f"<li><code>{escape(scope)}</code> <span>{meanings.get(scope, '')}</span></li>"
        for scope in parameters.get("scope", "").split()
    )
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in parameters.items()
    )
    return page(
        f"Authorize ServiceStage · {host}",
        f"""<p class="host">{host} <small>of the sandbox</small></p>
<h1>Authorize Huawei Cloud ServiceStage</h1>
<p>The application <b>ServiceStage</b> requests access to the account <b>{LOGIN}</b>:</p>
<ul>{scopes}</ul>
<form method="post" action="{path}">{hidden}
<button class="main" type="submit" name="decision" value="authorize">Authorize</button>
<button type="submit" name="decision" value="deny">Deny</button></form>
<p class="note">This account is not real. The response goes to {escape(application.redirect_uri)}</p>""",
    )


async def _profile(_request: web.Request) -> web.Response:
    return page(LOGIN, f"<h1>{LOGIN}</h1><p>The only account of the sandbox's Git host.</p>")


async def _avatar(_request: web.Request) -> web.Response:
    image = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="32" r="32" fill="#1f7a43"/>'
        '<text x="32" y="43" font-family="sans-serif" font-size="32" text-anchor="middle" fill="#fff">'
        f"{LOGIN[:1].upper()}</text></svg>"
    )
    return web.Response(text=image, content_type="image/svg+xml")
