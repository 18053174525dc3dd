"""What a visitor sees on an HTML page: links by their id, and forms with their fields and buttons. No I/O."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, ClientResponse, ClientSession, CookieJar, web
from yarl import URL

from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.errors import MachineError
from oauth_helper.i18n import Text, _
from oauth_helper.models import RepoType
from oauth_helper.sandbox.faults import DURATION, Exchange, Fault, FaultInjector, address_of, open_port, serving
from oauth_helper.sandbox.gateway import EVERY_ACTION, Action, Gateway, Iam, Project
from oauth_helper.sandbox.git_host import LOGIN, REPO_TYPES, AuthorizationServer, Console, GitHost
from oauth_helper.sandbox.oidc import Registration, Warn, open_git_host
from oauth_helper.sandbox.servicestage import PasswordBody, ServiceStage
from oauth_helper.secret import Secret

_WITHOUT_VALUE: Final = frozenset({"button", "checkbox", "file", "image", "radio", "reset", "submit"})
"""Kinds of ``input`` that send nothing of themselves while nobody touches them."""

Attributes = Mapping[str, str]


@dataclass(slots=True)
class Button:
    """A button that sends its form."""

    name: str
    value: str = field(repr=False)
    label: str = ""


@dataclass(slots=True)
class Form:
    """A form as it stands: what would be sent, if a button were pressed now."""

    method: str
    action: str = field(repr=False)
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    buttons: list[Button] = field(default_factory=list)

    def press(self, button: Button | None) -> dict[str, str]:
        """Return the fields that are sent when ``button`` is pressed."""
        return {**self.fields, button.name: button.value} if button and button.name else dict(self.fields)


class PageReader(HTMLParser):
    """Reads a page; afterwards ``links`` and ``forms`` say what was on it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        """Address of each link that has an id."""
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._button: Button | None = None

    @classmethod
    def read(cls, html: str) -> Self:
        """Return a reader that has read ``html`` to its end."""
        reader = cls()
        reader.feed(html)
        reader.close()
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in what a tag adds."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and "id" in attributes and "href" in attributes:
            self.links[attributes["id"]] = attributes["href"]
        elif tag == "form":
            self._form = Form(attributes.get("method", "get").lower(), attributes.get("action", ""))
            self.forms.append(self._form)
        elif self._form is not None and "disabled" not in attributes:
            self._read_control(self._form, tag, attributes)

    def _read_control(self, form: Form, tag: str, attributes: Attributes) -> None:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        kind = attributes.get("type", "submit" if tag == "button" else "text").lower()
        if tag == "button" and kind == "submit":
            self._button = Button(name, value)
            form.buttons.append(self._button)
        elif tag == "input" and kind == "submit":
            form.buttons.append(Button(name, value, label=value))
        elif name and (tag == "textarea" or (tag == "input" and kind not in _WITHOUT_VALUE)):
            form.fields[name] = value

    def handle_data(self, data: str) -> None:
        """Take in a button's label."""
        if self._button is not None:
            self._button.label += data

    def handle_endtag(self, tag: str) -> None:
        """Notice that a form or a button ends."""
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None


TIME_LIMIT: Final = 90.0
"""Seconds for the whole play. The listener answers the last form after the exchange, which may take 30 s."""
_PAGES_LIMIT: Final = 5
"""Forms between the listener's link and the redirect: the consent, the sign-in, and some to spare."""
_HINT: Final = _("Open the address in a browser instead.")


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as the visitor sees it."""

    address: URL = field(repr=False)
    links: dict[str, str] = field(repr=False)
    forms: list[Form]


async def play_user(start_address: str, *, time_limit: float = TIME_LIMIT) -> None:
    """Play the user of the listener at ``start_address`` (``/start?k=KEY``), who chooses Authorize.

    Returns once the listener has taken the redirect; how the exchange ended is the listener's to tell. The whole
    play may last ``time_limit`` seconds.

    Raises:
        MachineError: A page was not what a user could have gone on with, or the play took too long.
    """
    try:
        async with (
            asyncio.timeout(time_limit),
            # The servers are at IP addresses, whose cookies a jar keeps only when it is told to; and the address
            # where it all ends is to be brought back as the Git host wrote it.
            ClientSession(cookie_jar=CookieJar(unsafe=True), requote_redirect_url=False) as session,
        ):
            await _play(session, URL(start_address))
    except TimeoutError:
        raise MachineError(
            _("The sandbox's visitor was not done after {time_limit:g} s", time_limit=time_limit), hint=_HINT
        ) from None
    except (ClientError, ValueError) as error:
        # Neither its text nor the exception itself: they may hold an address, with KEY, code or state in it.
        raise _stuck(_("it met a {name__}", name__=type(error).__name__)) from None


async def _play(session: ClientSession, start: URL) -> None:
    listener = await _open(session, start)
    link = listener.links.get("authorize")
    if link is None:
        raise _stuck(_("the listener's page has no link to the Git host"))
    box = next((form for form in listener.forms if form.method == "post" and "redirect" in form.fields), None)
    if box is None:
        raise _stuck(_("the listener's page has no form for the redirect"))
    page = await _open(session, listener.address.join(URL(link)))
    for _unused in range(_PAGES_LIMIT):
        if not {"code", "error"}.isdisjoint(page.address.query):
            break
        page = await _consent(session, page)
    else:
        raise _stuck(_("the Git host and the console never came to an end"))
    await _send(session, listener, box, {**box.press(None), "redirect": str(page.address)})


async def _consent(session: ClientSession, page: _Page) -> _Page:
    """Press Authorize where there is such a button, else the first one: there it is a sign-in."""
    form = next((form for form in page.forms if form.method == "post" and form.buttons), None)
    if form is None:
        raise _stuck(_("a page on the way has no form to go on with"))
    return await _send(session, page, form, form.press(_choose(form.buttons)))


def _choose(buttons: list[Button]) -> Button:
    return next((button for button in buttons if button.label.strip().casefold() == "authorize"), buttons[0])


async def _open(session: ClientSession, address: URL) -> _Page:
    async with session.get(address) as response:
        return await _read(response)


async def _send(session: ClientSession, page: _Page, form: Form, fields: dict[str, str]) -> _Page:
    # An empty action is the page's own address (WHATWG HTML section 4.10.21.3).
    async with session.post(page.address.join(URL(form.action)), data=fields) as response:
        return await _read(response)


async def _read(response: ClientResponse) -> _Page:
    if not response.ok:
        raise _stuck(_("a page was answered with status {status}", status=response.status))
    reader = PageReader.read(await response.text())
    return _Page(response.real_url, reader.links, reader.forms)


def _stuck(reason: Text) -> MachineError:
    return MachineError(_("The sandbox's visitor cannot go on: {reason}", reason=reason), hint=_HINT)


class Sandbox:
    """Serve all four for the time of an ``async with``, each on a free port of 127.0.0.1.

    ``console_port`` is the console's port where it is not to be any: who has registered its redirect URIs wants the
    same ones again.

    Keys, tokens and the project's id are new with every instance. ``now`` is the clock of them all, in seconds
    since the epoch; a Git host's code is good for ``code_lifetime`` seconds, and where its user has decided before
    (``decision``, ``authorize`` or ``deny``) it asks nothing. ServiceStage and IAM go wrong with ``faults``; those that
    take time (``504``, ``refuse``) take ``fault_duration`` seconds. Of the two bodies that are told of for a password
    (``documented``, ``terraform``), ServiceStage understands ``password_body``.

    With ``registration`` users consent at a Git host outside, an OpenID provider, which must be there when the context
    is entered; ``warn`` is told why it refuses a code. The sandbox's own keeps what needs no consent: the token and the
    password of its user, and the repositories.
    """

    region: Final = "sandbox-1"
    """The name under which IAM knows the project."""

    endpoint: str
    """ServiceStage's address, once the context is entered; so the two below."""
    iam_endpoint: str
    console: Console
    """Counts the requests that reached it."""
    git_user: Final = LOGIN
    """The Git host's one user, for a link with a password; with ``ACCOUNT/`` before it at CodeArts."""
    git_password: Secret
    personal_token: Secret
    """Of that user."""
    expire: Callable[[str], None]
    """Have the authorization of that name no longer be good."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        code_lifetime: float = 600.0,
        decision: str | None = None,
        faults: Iterable[Fault] = (),
        fault_duration: float = DURATION,
        password_body: PasswordBody = "documented",  # noqa: S107 - a kind of body, not a password
        registration: Registration | None = None,
        console_port: int | None = None,
        warn: Warn = lambda _: None,
    ) -> None:
        self._now = now
        self._injector = FaultInjector(faults, now=now, duration=fault_duration)
        self._decision = decision
        self._code_lifetime = code_lifetime
        self._password_body = password_body
        self._registration = registration
        self._console_port = console_port
        self._warn = warn
        self._outside: AuthorizationServer | None = None
        self._stack = AsyncExitStack()
        self.project_id: str = secrets.token_hex(16)
        self.access_key: AccessKey = _new_access_key()
        """May do everything."""
        self.access_key_without_list: AccessKey = _new_access_key()
        """May do everything but list the authorizations (403)."""
        self.token: IamToken = IamToken(secrets.token_urlsafe(48))
        """May do everything, and does not expire."""
        self.user: IamUser = IamUser("sandbox-user", Secret(secrets.token_urlsafe(18)), "sandbox-account")
        """For whom IAM issues tokens."""

    @property
    def calls(self) -> Counter[str]:
        """How many requests arrived whole, by the call's name, those that went wrong included."""
        return self._injector.calls

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests for an exchange that arrived, in order."""
        return self._injector.exchanges

    @property
    def redirect_uris(self) -> dict[RepoType, str]:
        """Where the Git host's answers go, for each of the types; what an outside host is to have registered."""
        return {repo_type: self.console.redirect_uri(repo_type) for repo_type in REPO_TYPES}

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make oauth-helper use this sandbox, secrets in the clear."""
        return {
            "OAUTH_HELPER_ENDPOINT": self.endpoint,
            "OAUTH_HELPER_PROJECT_ID": self.project_id,
            "OAUTH_HELPER_IAM_ENDPOINT": self.iam_endpoint,
            "HUAWEICLOUD_SDK_AK": self.access_key.access_key,
            "HUAWEICLOUD_SDK_SK": self.access_key.secret_key.reveal(),
            "OAUTH_HELPER_TOKEN": self.token.token.reveal(),
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            numbers = (None, None, None, self._console_port)
            ports = [stack.enter_context(closing(open_port(number))) for number in numbers]
            servicestage, iam, git_host, console = (address_of(port) for port in ports)
            self.endpoint, self.iam_endpoint = servicestage, iam
            self.console = Console(console)
            if self._registration:
                self._outside = await stack.enter_async_context(open_git_host(self._registration, self._warn))
            await stack.enter_async_context(self._injector)
            doors = [
                await stack.enter_async_context(serving(application, port))
                for application, port in zip(self._applications(git_host), ports, strict=True)
            ]
            await self._injector.attend(doors[0])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _applications(self, git_address: str) -> tuple[web.Application, ...]:
        gateway = Gateway(self._now)
        gateway.accept_key(self.access_key)
        gateway.accept_key(self.access_key_without_list, EVERY_ACTION - {Action.LIST})
        gateway.accept_token(self.token)
        git_host = GitHost(git_address, now=self._now, code_lifetime=self._code_lifetime, decision=self._decision)
        server: AuthorizationServer = self._outside or git_host
        servicestage = ServiceStage(
            project_id=self.project_id,
            applications={
                repo_type: server.register(repo_type, redirect_uri=address)
                for repo_type, address in self.redirect_uris.items()
            },
            authorization_server=server,
            git_host=git_host,
            gateway=gateway,
            injector=self._injector,
            now=self._now,
            password_body=self._password_body,
        )
        self.personal_token, self.git_password = git_host.personal_token, git_host.password
        self.expire = servicestage.expire
        project = Project(self.project_id, self.region)
        iam = Iam(user=self.user, project=project, gateway=gateway, injector=self._injector, now=self._now)
        return (
            servicestage.application(),
            iam.application(),
            git_host.application(),
            self.console.application(),
        )


def _new_access_key() -> AccessKey:
    """Return a key as long as the vendor's: 20 and 40 characters."""
    return AccessKey(secrets.token_hex(10).upper(), secrets.token_hex(20))
