"""The Git host and the cloud console of the sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, urlencode

from aiohttp import web
from aiohttp.typedefs import Handler

from oauth_helper.i18n import Language, Text, _, language_of_browser
from oauth_helper.listener.pages import render
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret

CALLBACK_PATH: Final = "/servicestage/oauth"
LOGIN: Final = "octocat"
"""The only user, always signed in."""

_SIGN_IN_PATH: Final = "/authui/login.html"
_RFC_ERRORS: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"
_PROFILE: Final = _("read your profile")
_REPOSITORIES: Final = _("read and write your repositories")
_HOOKS: Final = _("write repository hooks")


class Provider(NamedTuple):
    """A repository type as the sandbox plays it."""

    credential: Literal["token", "password"]
    """What ServiceStage accepts for it without a browser."""
    authorization_path: str = ""
    """The path that asks for consent; empty without OAuth."""
    scopes: Mapping[str, Text] = {}
    """The scopes of ServiceStage's application, and what they mean."""


PROVIDERS: Final[Mapping[str, Provider]] = {
    RepoType.GITHUB: Provider(
        "token",
        "/login/oauth/authorize",
        {"read:user": _PROFILE, "repo": _REPOSITORIES, "write:repo_hook": _HOOKS},
    ),
    RepoType.GITLAB: Provider(
        "token", "/oauth/authorize", {"api": _("use the whole API in your name"), "read_user": _PROFILE}
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


class OAuthApplication(NamedTuple):
    """An application registered with a Git host (RFC 6749 section 2)."""

    repo_type: RepoType
    client_id: str
    redirect_uri: str
    scope: str
    response_type: str | None = "code"
    """The ``response_type`` of its authorization requests (section 3.1.1); None if they have none."""


class Account(NamedTuple):
    """What a Git host says about its user."""

    host: str
    login: str
    home: str
    avatar: str


_HEADERS: Final = {
    # No `form-action`: Chromium would apply it to the redirect that answers the form, too.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def _page(request: web.Request, page: str, /, *, status: int = 200, **values: object) -> web.Response:
    language = language_of_browser(request.headers.get("Accept-Language", "")) or Language.ENGLISH
    html = render("oauth_helper.sandbox", "pages.html", language, page=page, **values)
    return web.Response(text=html, status=status, content_type="text/html", headers=_HEADERS)


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

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(CALLBACK_PATH, self._callback),
            web.get(_SIGN_IN_PATH, self._sign_in),
            web.post(_SIGN_IN_PATH, self._sign_in),
        ]

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request."""
        self.requests += 1
        return await handler(request)

    async def _callback(self, request: web.Request) -> web.Response:
        if Secret(request.cookies.get(self._cookie, "")) not in self._sessions:
            service = quote(self._address + request.raw_path, safe="")
            return _redirect(f"{_SIGN_IN_PATH}?service={service}")
        return _page(request, "console")

    async def _sign_in(self, request: web.Request) -> web.Response:
        values = request.query if request.method == "GET" else await request.post()
        service = str(values.get("service", ""))
        if not service.startswith(f"{self._address}/") or not service.isascii() or not service.isprintable():
            raise web.HTTPBadRequest(text="The sign-in leads back to addresses of this console only.")
        if request.method == "GET":
            return _page(request, "sign-in", service=service)
        session = Secret(secrets.token_urlsafe(16))
        self._sessions.add(session)
        response = _redirect(service)
        response.set_cookie(self._cookie, session.reveal(), httponly=True, samesite="Lax")
        return response


@dataclass(eq=False)
class GitHost:
    """A Git host; with a decision (``authorize`` or ``deny``) it does not ask, as GitHub after an earlier consent."""

    address: str
    _now: Callable[[], float]
    _code_lifetime: float
    _decision: str | None
    # With the prefix of GitHub's tokens, secret scanners recognise it.
    personal_token: Secret = field(default_factory=lambda: Secret(f"ghp_{secrets.token_hex(18)}"))
    password: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(18)))
    _applications: dict[str, OAuthApplication] = field(default_factory=dict)
    _codes: dict[Secret, tuple[OAuthApplication, float]] = field(default_factory=dict)

    def register(self, repo_type: RepoType, redirect_uri: str) -> OAuthApplication:
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

    def knows_user(self, user: str, password: Secret) -> bool:
        """Whether user and password are right; ``ACCOUNT/USER`` may name any account."""
        return user.rpartition("/")[2] == LOGIN and password == self.password

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        paths = sorted({PROVIDERS[repo_type].authorization_path for repo_type in REPO_TYPES})
        return [route(path, self._authorize) for path in paths for route in (web.get, web.post)]

    async def _authorize(self, request: web.Request) -> web.Response:
        # The form repeats the request in hidden fields; a script may leave it in the address (section 3.1).
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        parameters = {**request.query, **form}
        application = self._applications.get(parameters.get("client_id", ""))
        # Without a valid redirect_uri only the user learns of it (RFC 6749 section 4.1.2.1), except from GitHub, which
        # then uses the registered one.
        if len(set(request.query)) != len(request.query):
            return _error_page(request, _("The request has a parameter more than once."))
        if application is None or PROVIDERS[application.repo_type].authorization_path != request.path:
            return _error_page(request, _("No application is registered with this client ID."))
        if parameters.get("redirect_uri") != application.redirect_uri:
            if application.repo_type is not RepoType.GITHUB:
                return _error_page(request, _("The application is not registered with this redirect_uri."))
            description = "The redirect_uri MUST match the registered callback URL for this application."
            return self._respond(application, parameters, error="redirect_uri_mismatch", error_description=description)
        if application.response_type and parameters.get("response_type") != application.response_type:
            error, description = "unsupported_response_type", "The server does not support this response type."
            return self._respond(application, parameters, error=error, error_description=description)
        match self._decision if request.method == "GET" else form.get("decision", ""):
            case None:
                provider = PROVIDERS[application.repo_type]
                return _page(request, "consent", application=application, provider=provider, parameters=parameters)
            case "authorize":
                return self._respond(application, parameters, code=self._new_code(application).reveal())
            case "deny":
                description = "The user has denied your application access."
                return self._respond(application, parameters, error="access_denied", error_description=description)
            case _:
                return _error_page(request, _("The form has two buttons; choose one of them."))

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
        issuer = {"iss": f"{self.address}/login/oauth"} if application.repo_type is RepoType.GITHUB else {}
        # The registered URI has a query of its own. urlencode writes `+` for a space, as the real hosts do here.
        return _redirect(f"{application.redirect_uri}&{urlencode({**values, **issuer, **state})}")


def _error_page(request: web.Request, text: Text) -> web.Response:
    return _page(request, "error", status=400, text=text)
