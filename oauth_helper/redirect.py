"""Parse the authorization URL and validate redirects (RFC 6749 section 4.1.2, RFC 9207)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, islice
from typing import Final
from urllib.parse import quote

from msgspec import Struct
from multidict import MultiDict
from yarl import URL

from oauth_helper.errors import (
    AuthorizationDeniedError,
    OAuthHelperError,
    RedirectRejectedError,
    UnusableAnswerError,
    UsageError,
)
from oauth_helper.i18n import N_, Text, _
from oauth_helper.models import RepoType
from oauth_helper.pasted_text import COMPARABLE, decode, hosts_in, interpretations, parse_query
from oauth_helper.secret import Secret, redact
from oauth_helper.values import is_loopback, parse_address

__all__ = ["AuthorizationRequest", "AuthorizationResponse"]

_ONCE_ONLY: Final = ("state", "code", "error", "repo_type", "iss")
"""The parameters that we use. If one is repeated, the whole redirect is invalid (RFC 6749 section 3.1)."""
_GITHUB_ISSUER: Final = "https://github.com/login/oauth"  # the issuer in GitHub's metadata and responses (RFC 9207)
_MAXIMUM_LENGTH: Final = 8192  # characters of an authorization URL; browsers and servers refuse longer ones
_PRINTABLE: Final = "".join(chr(number) for number in range(0x21, 0x7F))
_CUT_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]?\Z")
_ENDS_A_LINK: Final = re.compile(r"[^A-Za-z0-9%&=+?#/:;@.,_~$-]|[^A-Za-z0-9]\Z")
"""Terminals and chats end a link before most of these characters, and leave punctuation at its end out of it."""
_USUAL_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~/+=-]*")
"""The codes of the known hosts; RFC 6749 appendix A.11 allows every printable character."""

_MESSAGES: Final = {
    "no-redirect": _("That isn't the final address (no code and state in it)"),
    "foreign-state": _("That address belongs to another attempt, or its state was changed on the way"),
    "missing-code": _("That address has the right state, but no usable code"),
    "repeated-parameter": _("That address names a parameter twice, so it cannot be trusted"),
    "wrong-repo-type": _("That address is for another type of repository"),
    "wrong-issuer": _("That address names another issuer than the Git host that was asked (RFC 9207)"),
}
_SPECIFICITY: Final = {"no-redirect": 0, "foreign-state": 1}
_AUTHORIZE_FIRST: Final = _("Sign in and authorize first, then copy the address where the browser ends.")
_HINTS: Final = {
    "missing-code": _AUTHORIZE_FIRST,
    "foreign-state": _(
        "Copy the whole address from the tab that was opened for this attempt; do not pass it through a shell."
    ),
}
_COPY_IT_WHOLE: Final = _(
    "Copy the whole address from the address bar, up to its last character. Chats and editors often shorten addresses."
)

_NO_STATE: Final = _("Without a state, any page could bring another redirect. Pass --no-state to accept that.")
_OTHER_DENIAL: Final = N_(
    "If it happens again, look this error up in the documentation of {host}: it may not accept ServiceStage's "
    "application. Report that to Huawei Cloud. Until then, try --with-{proof}."
)
_DENIAL_HINTS: Final = {
    "access_denied": N_("Run the command again and choose Authorize to link the account."),
    "unverified_user_email": N_("Confirm your email address at {host}, then run the command again."),
    **dict.fromkeys(
        ("server_error", "temporarily_unavailable"),
        N_("The Git host has a problem of its own; run it again in a few minutes."),
    ),
    **dict.fromkeys(
        ("login_required", "interaction_required", "consent_required", "account_selection_required"),
        N_("Sign in at {host} in your browser, then run the command again."),
    ),
}
"""What to do about an error of the Git host (RFC 6749 section 4.1.2.1, OpenID Connect, GitHub)."""


class AuthorizationResponse(Struct, frozen=True):
    """A valid redirect (RFC 6749 section 4.1.2)."""

    code: Secret
    state: Secret  # empty if the request had none
    parameters: Mapping[str, Secret] = {}  # all parameters, decoded, in their order
    redirect: Secret = Secret("")
    """The complete address to which the browser was sent; empty if the redirect URI is not known."""


class AuthorizationRequest(Struct, frozen=True):
    """A parsed authorization URL (RFC 6749 section 4.1.1)."""

    url: Secret  # the URL as it was given, encoded for a browser; it contains the state
    host: str  # the authorization server, such as a Git host
    state: Secret | None  # None: any redirect with a code is ours
    redirect_uri: str | None  # where the server will send the browser. None if the URL does not contain it
    repo_type: RepoType | None = None  # what ServiceStage links; None: the URL is not one of ServiceStage

    @classmethod
    def parse(
        cls,
        url: str,
        repo_type: RepoType | str | None = None,
        *,
        redirect_uri: str | None = None,
        needs_state: bool = True,
    ) -> AuthorizationRequest:
        """Parse an authorization URL of ServiceStage or, without ``repo_type``, one whose redirect is to be captured.

        The URL is https (http is for loopback only), has a host, and exactly one state. For a capture ``redirect_uri``
        counts if the URL does not contain one, and without ``needs_state`` the URL may lack a state.

        Raises:
            UnusableAnswerError: ServiceStage returned an URL that cannot be used.
            UsageError: The URL for a capture cannot be used.
        """

        def unusable(what: Text, hint: Text | None = None) -> OAuthHelperError:
            if repo_type is None:
                return UsageError(_("The authorization URL {what}", what=what), hint=hint)
            return UnusableAnswerError(
                _("The authorization URL that ServiceStage returned {what}", what=what),
                sent=True,
                nothing_created=True,
                hint=_("Nothing was created. Check --endpoint; if it is right, report this to the vendor's support."),
            )

        url = url.strip()
        if not url.isprintable():
            raise unusable(_("holds control characters"))
        try:
            parsed = parse_address(url, encoded=True)
        except ValueError:
            raise unusable(_("cannot be read")) from None
        if not parsed.host:
            raise unusable(_("has no host"))
        if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(parsed.host)):
            raise unusable(_("is not https"))
        if parsed.user or parsed.password:
            raise unusable(_("holds a user name or password"))
        query = parse_query(parsed.raw_query_string)
        state, written = (
            value if value.isprintable() else "" for value in map(query.get, ("state", "redirect_uri"), ("", ""))
        )
        if len(query.getall("state", ())) > 1 or (needs_state and not state):
            raise unusable(_("does not have exactly one state"), None if state else _NO_STATE)
        encoded = quote(url, safe=_PRINTABLE)
        if len(encoded) > _MAXIMUM_LENGTH:
            raise unusable(_("is longer than 8 KB"))
        redirect_uri = written or redirect_uri
        if repo_type is None and (problem := _why_not_capturable(query, redirect_uri)):
            raise unusable(*problem)
        return cls(
            Secret(encoded),
            parsed.host,
            Secret(state) if state else None,
            redirect_uri,
            None if repo_type is None else RepoType(repo_type),
        )

    @property
    def printed_url(self) -> Secret:
        """The same request as a URL that terminals and chats show as one link.

        Characters that would end a link early are percent-encoded, and the last character is a letter or digit.
        """
        url = self.url.reveal().rstrip("&#")
        address, question_mark, query = url.partition("?")
        if query.endswith("=") and (moved := query.rpartition("&")[2]).count("=") == 1 and "&" in query:
            query = f"{moved}&{query.removesuffix(f'&{moved}')}"  # the order of parameters has no meaning
        query = query.removesuffix("+") + "%20" * query.endswith("+")
        return Secret(address + question_mark + _ENDS_A_LINK.sub(lambda match: f"%{ord(match[0]):02X}", query))

    def judge(self, text: str) -> AuthorizationResponse:
        """Find the redirect in pasted text and validate it; it may be wrapped, quoted, decoded or nested.

        Raises:
            AuthorizationDeniedError: It is ours, and the Git host or the user denied the authorization.
            RedirectRejectedError: It is not ours or incomplete; ``reason`` says why.
        """
        rejection = _rejected("no-redirect")
        responses: list[AuthorizationResponse] = []
        for number, queries in enumerate(interpretations(text)):
            is_comparable = number < COMPARABLE
            if responses and not is_comparable:
                break
            for query in queries:
                try:
                    responses.append(self.judge_query(query))
                except RedirectRejectedError as error:  # the most specific one is reported
                    rejection = max(rejection, error, key=lambda one: _SPECIFICITY.get(one.reason, 2))
                else:
                    # The later interpretations join arbitrary lines and may lose a part of the code: all must agree.
                    if is_comparable:
                        break
        if not responses:
            raise self._explained(rejection, text)
        return _agreed(responses)

    def judge_query(self, query: str) -> AuthorizationResponse:
        """Validate the raw query of a request to the redirect URI.

        The state is compared first, in constant time and for errors too, so that only a client that knows it has any
        effect (RFC 9700 section 4.7, RFC 8252 section 8.9). An error with the right state counts whatever its issuer:
        its only effect is that nothing is created.

        Raises as :meth:`judge` does.
        """
        response = parse_query(query)
        if not any(value for name, value in response.items() if name in {"code", "state", "error"}):
            raise _rejected("no-redirect")
        if self.state and not any(self.state.matches(state) for state in response.getall("state", ())):
            raise _rejected("foreign-state")
        if any(len(response.getall(name, ())) > 1 for name in (_ONCE_ONLY if self.repo_type else response)):
            raise _rejected("repeated-parameter")
        texts = _texts(query)
        if response.get("error"):
            raise self._denied(texts)
        if self.repo_type and (repo_type := response.get("repo_type")) and repo_type.casefold() != self.repo_type:
            raise _rejected("wrong-repo-type")
        if (issuer := response.get("iss")) and not self._is_issuer(issuer):
            raise _rejected("wrong-issuer")
        code = response.get("code", "")
        if not code.strip() or not code.isprintable():
            raise _rejected("missing-code")
        parameters = {
            name: Secret(response[name] if name in _ONCE_ONLY else texts[name]) for name in dict.fromkeys(response)
        }
        return AuthorizationResponse(Secret(code), self.state or Secret(""), parameters, self._redirect(query))

    def _redirect(self, query: str) -> Secret:
        """Return the redirect URI as a browser writes it, with this query."""
        try:
            callback = parse_address(self.redirect_uri or "")
            encoded = quote(query.encode(errors="surrogateescape"), safe=_PRINTABLE)
            return Secret(f"{callback.origin()}{callback.raw_path}?{encoded}")
        except ValueError:  # it is not known, or an app's
            return Secret("")

    def _denied(self, texts: MultiDict[str]) -> AuthorizationDeniedError:
        secrets = [self.state] if self.state else []
        named = (texts.get(name, "") for name in ("error", "error_description"))
        error, description = (redact(text, secrets, limit=max(len(text), 1)) for text in named)
        if self.repo_type is None:
            hint = _(
                "Run the command again and authorize, or look the error up in the documentation of {host}.",
                host=self.host,
            )
            return AuthorizationDeniedError(error, description, hint=hint, is_link=False)
        advice = _DENIAL_HINTS.get(error.strip().casefold(), _OTHER_DENIAL)
        hint = _(advice, host=self.host, proof=self.repo_type.git_credential)
        return AuthorizationDeniedError(error, description, hint=hint)

    def _is_issuer(self, issuer: str) -> bool:
        """Whether ``issuer`` is the server of the authorization URL (RFC 9207 section 2.4)."""
        if self.host == "github.com":
            return issuer == _GITHUB_ISSUER
        if not issuer.isascii() or not issuer.isprintable() or any(character in issuer for character in " \\?#@"):
            return False
        try:
            named, asked = parse_address(issuer, encoded=True), URL(self.url.reveal(), encoded=True)
        except ValueError:
            return False
        return (named.scheme, named.host, named.port) == (asked.scheme, asked.host, asked.port)

    def _explained(self, rejection: RedirectRejectedError, text: str) -> RedirectRejectedError:
        """Return the rejection with a better message or hint if the text shows a common mistake."""
        if rejection.reason not in {"no-redirect", "foreign-state"}:
            return rejection
        queries = list(chain.from_iterable(islice(interpretations(text), COMPARABLE)))
        parameters = [parameter for query in queries for parameter in parse_query(query).items()]
        has_response = any(value for name, value in parameters if name in {"code", "error"})
        hosts = set(hosts_in(text))
        is_at_git_host = any(f".{host}".endswith(f".{self.host}") for host in hosts)
        is_at_git_host = is_at_git_host and hosts.isdisjoint(hosts_in(self.redirect_uri or ""))
        if rejection.reason == "foreign-state" and not is_at_git_host:
            last = (query.rpartition("&")[2].partition("=") for query in queries)
            end = next((value for name, _equals, value in last if decode(name) == "state"), None)
            is_cut = has_response and not any(name == "state" for name, _value in parameters)
            if is_cut or self._is_start_of_state(end):
                return _rejected("foreign-state", _("That address is cut off: its state is incomplete"), _COPY_IT_WHOLE)
        if is_at_git_host or (hosts and not has_response):
            return _rejected(rejection.reason, hint=_AUTHORIZE_FIRST)
        return rejection

    def _is_start_of_state(self, value: str | None) -> bool:
        """Whether a raw value is the beginning of the state. Programs end a shortened address with dots."""
        if value is None or self.state is None:
            return False
        start = decode(_CUT_ESCAPE.sub("", value.rstrip(".…")))
        return len(start) < len(self.state.reveal()) and Secret(self.state.reveal()[: len(start)]).matches(start)


def _texts(query: str) -> MultiDict[str]:
    """Return the parameters as texts for people: ``+`` is a space (RFC 6749 appendix B), bad bytes are replaced."""
    parameters = parse_query(query.replace("+", "%20")).items()
    return MultiDict(
        (name, value.encode(errors="surrogateescape").decode(errors="replace")) for name, value in parameters
    )


def _why_not_capturable(query: MultiDict[str], redirect_uri: str | None) -> tuple[Text, Text] | None:
    """Return why no request will contain the response, and what to do about it."""
    if redirect_uri is None:
        return _("has no redirect_uri"), _("Pass --redirect-uri.")
    if (query.get("response_type") or "code") != "code" or (query.get("response_mode") or "query") != "query":
        return (
            _("asks for a response outside the query of the redirect, which no request contains"),
            _("Request response_type=code and response_mode=query, or copy the response from the browser."),
        )
    try:
        callback = parse_address(redirect_uri)
        is_web_address = callback.scheme in {"http", "https"} and bool(callback.host)
    except ValueError:
        is_web_address = False
    if not is_web_address:
        return (
            _("does not redirect to a web address but to an app, so it cannot be captured"),
            _("Use a client with an https redirect URI, or copy the address from the browser's developer tools."),
        )
    return None


def _rejected(reason: str, message: Text | None = None, hint: Text | None = None) -> RedirectRejectedError:
    return RedirectRejectedError(reason, message or _MESSAGES[reason], hint=hint or _HINTS.get(reason))


def _agreed(responses: list[AuthorizationResponse]) -> AuthorizationResponse:
    """Return the response that the interpretations of a text agree on.

    They can differ in a code at the end of the address, by the text behind it. An incomplete code, or one with a word
    attached, would use up the state, so an ambiguous text is rejected.
    """
    first, last = responses[0], responses[-1]
    usual = [response for response in responses if _USUAL_CODE.fullmatch(response.code.reveal())] or responses
    if len({response.code for response in usual}) == 1:
        return usual[0]
    if first in usual and first.code == last.code:  # with and without spaces: the line breaks are wraps
        return first
    raise RedirectRejectedError(
        "missing-code",
        _("It cannot be told where the code ends in that text"),
        hint=_("Paste the address alone, with nothing behind it and no blank within."),
    )
