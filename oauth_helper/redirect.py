"""Parse the authorization URL and validate redirects (RFC 6749 section 4.1.2, RFC 9207)."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final
from urllib.parse import quote

from yarl import URL

from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.i18n import Text, _
from oauth_helper.models import RepoType
from oauth_helper.pasted_text import COMPARABLE_READINGS, Query, decode, hosts_in, readings
from oauth_helper.secret import Secret, redact
from oauth_helper.values import is_loopback, parse_address

__all__ = ["AuthorizationRequest", "AuthorizationResponse"]

_ONCE_ONLY: Final = ("state", "code", "error", "repo_type", "iss")
"""Parameters we act on; a repeated one makes the whole redirect worthless (RFC 6749 section 3.1)."""

_GITHUB_ISSUER: Final = "https://github.com/login/oauth"
"""The issuer that GitHub names in its metadata and in its responses (RFC 9207)."""

_MAXIMUM_LENGTH: Final = 8192
"""Characters of an authorization URL; browsers and servers refuse longer ones."""

_PRINTABLE: Final = "".join(chr(number) for number in range(0x21, 0x7F))

_APPLICATION_ERRORS: Final = frozenset(
    {
        "redirect_uri_mismatch",
        "invalid_redirect_uri",
        "application_suspended",
        "unauthorized_client",
        "invalid_client",
        "incorrect_client_credentials",
        "invalid_scope",
        "invalid_request",
        "unsupported_response_type",
    }
)
"""What Git hosts answer if they do not accept the application itself; the user can do nothing about it."""

_CUT_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]?\Z")
_CUT_HERE: Final = ".…"
"""What programs put where they shorten an address."""

_SPLITS_A_LINK: Final = re.compile(r"[^A-Za-z0-9%&=+?#/:;@.,_~$-]|[^A-Za-z0-9]\Z")
"""Terminals and chats end a link before most of these characters, and leave punctuation at its end out of it."""

_USUAL_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~/+=-]*")
"""What the codes of the known hosts are made of; RFC 6749 appendix A.11 allows every printable character."""

_MESSAGES: Final = {
    "no-redirect": _("That holds no address with code and state"),
    "foreign-state": _("That address belongs to another attempt, or its state was changed on the way"),
    "missing-code": _("That address has the right state, but no usable code"),
    "repeated-parameter": _("That address names a parameter twice, so it cannot be trusted"),
    "wrong-repo-type": _("That address is for another type of repository"),
    "wrong-issuer": _("That address names another issuer than the Git host that was asked (RFC 9207)"),
}
_AUTHORIZE_FIRST: Final = _("Sign in and authorize first, then copy the address where the browser ends.")
_COPY_IT_WHOLE: Final = _(
    "Copy the whole address from the address bar, up to its last character. Chats and editors often shorten addresses."
)
_CUT_MESSAGES: Final = {
    "before the state": _("That address is cut off: it ends before the state"),
    "in the state": _("That address is cut off: it ends in the state"),
}
_HINTS: Final = {
    "missing-code": _AUTHORIZE_FIRST,
    "foreign-state": _(
        "Copy the whole address from the tab that was opened for this attempt; do not pass it through a shell."
    ),
}
_KNOWN_STATE: Final = frozenset(_MESSAGES) - {"no-redirect", "foreign-state"}


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """A redirect that is ours: what the exchange needs (RFC 6749 section 4.1.2)."""

    code: Secret
    state: Secret


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The authorization URL, read (RFC 6749 section 4.1.1)."""

    url: Secret
    """As ServiceStage gave it, fit to be opened; it contains the state."""
    repo_type: RepoType
    host: str
    """The Git host."""
    state: Secret
    redirect_uri: str | None
    """Where the Git host will send the browser: the cloud console, as a rule. None where the URL does not say."""

    @classmethod
    def parse(cls, url: str, repo_type: RepoType | str) -> AuthorizationRequest:
        """Read an authorization URL that ServiceStage returned.

        Raises:
            UnusableAnswerError: It is not https (plain http is for loopback), has no host, or not exactly one state.
        """
        read = _read_url(url)
        if read.scheme != "https" and not (read.scheme == "http" and is_loopback(read.host)):
            raise _unusable(_("is not https"))
        if read.user or read.password:
            raise _unusable(_("holds a user name or password"))
        query = Query(read.raw_query_string)
        state = query.get("state")
        if state is None or query.count("state") != 1:
            raise _unusable(_("does not have exactly one state"))
        opened = quote(url.strip(), safe=_PRINTABLE)
        if len(opened) > _MAXIMUM_LENGTH:
            raise _unusable(_("is longer than 8 KB"))
        return cls(
            url=Secret(opened),
            repo_type=RepoType(repo_type),
            host=read.host or "",
            state=Secret(state),
            redirect_uri=query.get("redirect_uri"),
        )

    def judge(self, text: str) -> AuthorizationResponse:
        """Judge a text that a user pasted; the address may be wrapped, quoted, decoded or nested in another one.

        Raises:
            AuthorizationDeniedError: It is ours, and the Git host or the user said no.
            RedirectRejectedError: It is not ours, or not whole; ``reason`` says why.
        """
        rejected = _rejected("no-redirect")
        responses: list[AuthorizationResponse] = []
        for number, queries in enumerate(readings(text)):
            if responses and number >= COMPARABLE_READINGS:
                break
            try:
                # The later ones put lines together at will, and may leave out where a code goes on: all must agree.
                responses += self._ours(queries, every=number >= COMPARABLE_READINGS)
            except RedirectRejectedError as error:
                rejected = _more_telling(rejected, error)
        if not responses:
            raise self._explained(rejected, text)
        return _agreed(responses)

    @property
    def printed_url(self) -> Secret:
        """The URL for people and scripts: the same request, in a form that is one whole link in terminals and chats.

        Characters that would end a link early are percent-encoded, and the last character is a letter or digit.
        """
        url = self.url.reveal().rstrip("&#")
        address, question_mark, query = url.partition("?")
        if query.endswith("=") and (moved := query.rpartition("&")[2]).count("=") == 1 and "&" in query:
            query = f"{moved}&{query.removesuffix(f'&{moved}')}"  # an empty parameter: the order means nothing
        query = query.removesuffix("+") + "%20" * query.endswith("+")
        return Secret(address + question_mark + _SPLITS_A_LINK.sub(lambda found: f"%{ord(found[0]):02X}", query))

    def _explained(self, rejected: RedirectRejectedError, text: str) -> RedirectRejectedError:
        """Return the rejection with words that say what happened, if the text shows a common mistake."""
        if rejected.reason not in {"no-redirect", "foreign-state"}:
            return rejected
        queries = [Query(query) for query in chain.from_iterable(islice(readings(text), COMPARABLE_READINGS))]
        answers = [query for query in queries if query.has_value("code") or query.has_value("error")]
        hosts = hosts_in(text)
        console = hosts_in(self.redirect_uri or "")
        is_at_git_host = any(f".{host}".endswith(f".{self.host}") for host in hosts) and not set(hosts) & set(console)
        if rejected.reason == "foreign-state" and not is_at_git_host:
            if self._is_cut_in_state(next((query for query in queries if query.last[0] == "state"), Query(""))):
                return _rejected("foreign-state", _CUT_MESSAGES["in the state"], _COPY_IT_WHOLE)
            if answers and not any(query.count("state") for query in queries):
                return _rejected("foreign-state", _CUT_MESSAGES["before the state"], _COPY_IT_WHOLE)
        if is_at_git_host or (hosts and not answers):
            return _rejected(rejected.reason, None, _AUTHORIZE_FIRST)
        return rejected

    def _is_cut_in_state(self, query: Query) -> bool:
        """Whether the last parameter is the beginning of the state."""
        name, value = query.last
        begun = decode(_CUT_ESCAPE.sub("", value.rstrip(_CUT_HERE)))
        if name != "state" or begun is None:
            return False
        return len(begun) < len(self.state.reveal()) and Secret(self.state.reveal()[: len(begun)]).matches(begun)

    def _ours(self, queries: Iterable[str], *, every: bool) -> list[AuthorizationResponse]:
        rejected = _rejected("no-redirect")
        responses: list[AuthorizationResponse] = []
        for query in queries:
            try:
                responses.append(self.judge_query(query))
            except RedirectRejectedError as error:
                rejected = _more_telling(rejected, error)
            if responses and not every:
                break
        if not responses:
            raise rejected
        return responses

    def judge_query(self, query: str) -> AuthorizationResponse:
        """Judge the raw query of a request. It is neither searched nor unwrapped.

        The state comes first, in constant time and for errors too, so that nobody who does not know it can bring
        about anything (RFC 9700 section 4.7, RFC 8252 section 8.9). An error that bears it counts whoever says to
        have issued it: all it can bring about is that nothing is created.

        Raises:
            AuthorizationDeniedError: It is ours, and the Git host or the user said no.
            RedirectRejectedError: It is not ours, or not whole; ``reason`` says why.
        """
        response = Query(query)
        if not any(response.has_value(name) for name in ("code", "state", "error")):
            raise _rejected("no-redirect")
        if not any(self.state.matches(state) for state in response.all_of("state")):
            raise _rejected("foreign-state")
        if any(response.count(name) > 1 for name in _ONCE_ONLY):
            raise _rejected("repeated-parameter")
        if response.has_value("error"):
            error, description = (self._starred(response.text_of(name)) for name in ("error", "error_description"))
            raise AuthorizationDeniedError(error, description, hint=self._hint_for(error))
        self._check_sender(response)
        code = response.get("code")
        if code is None or not code.isprintable() or code.isspace():
            raise _rejected("missing-code")
        return AuthorizationResponse(Secret(code), self.state)

    def _hint_for(self, error: str) -> Text:
        """Return what to do about an error of the Git host (RFC 6749 section 4.1.2.1, OpenID Connect, GitHub)."""
        match error.strip().casefold():
            case "access_denied":
                return _("Nothing was created. Run the command again and choose Authorize to link the account.")
            case "server_error" | "temporarily_unavailable":
                return _("Nothing was created. The Git host has a problem of its own; run it again in a few minutes.")
            case "login_required" | "interaction_required" | "consent_required" | "account_selection_required":
                return _(
                    "Nothing was created. Sign in at {host} in your browser, then run the command again.",
                    host=self.host,
                )
            case "unverified_user_email":
                return _(
                    "Nothing was created. Confirm your email address at {host}, then run the command again.",
                    host=self.host,
                )
            case error if error in _APPLICATION_ERRORS:
                return _(
                    "Nothing was created, and authorizing again does not help: {host} does not accept ServiceStage's "
                    "application. Report this error to Huawei Cloud. Until then, try --with-{proof}.",
                    host=self.host,
                    proof=self.repo_type.git_credential,
                )
            case _:
                return _(
                    "Nothing was created. Look this error up in the documentation of {host}. Without a browser, "
                    "try --with-{proof}.",
                    host=self.host,
                    proof=self.repo_type.git_credential,
                )

    def _starred(self, text: str) -> str:
        """Return what a Git host says without the state, should it repeat it; cut where it is shown."""
        return redact(text, [self.state], limit=max(len(text), 1))

    def _check_sender(self, response: Query) -> None:
        if response.has_value("repo_type") and (response.get("repo_type") or "").casefold() != self.repo_type:
            raise _rejected("wrong-repo-type")
        if response.has_value("iss") and not self._is_issuer(response.get("iss") or ""):
            raise _rejected("wrong-issuer")

    def _is_issuer(self, issuer: str) -> bool:
        """Whether ``issuer`` names the server that was asked (RFC 9207 section 2.4)."""
        if self.host == "github.com":
            return issuer == _GITHUB_ISSUER
        if not issuer.isascii() or not issuer.isprintable() or any(character in issuer for character in " \\?#@"):
            return False
        asked = parse_address(self.url.reveal(), encoded=True)
        try:
            named = parse_address(issuer, encoded=True)
            origin = (named.scheme, named.host, named.port)
        except ValueError:
            return False
        return origin == (asked.scheme, asked.host, asked.port)


def _read_url(url: str) -> URL:
    stripped = url.strip()
    if any(character in string.whitespace.replace(" ", "") or not character.isprintable() for character in stripped):
        raise _unusable(_("holds control characters"))
    try:
        read = parse_address(stripped, encoded=True)
        host = read.host
    except ValueError:
        raise _unusable(_("cannot be read")) from None
    if not host:
        raise _unusable(_("has no host"))
    return read


def _unusable(what: Text) -> UnusableAnswerError:
    return UnusableAnswerError(
        _("The authorization URL that ServiceStage returned {what}", what=what),
        sent=True,
        nothing_created=True,
        hint=_("Nothing was created. Check --endpoint; if it is right, report this to the vendor's support."),
    )


def _rejected(reason: str, message: Text | None = None, hint: Text | None = None) -> RedirectRejectedError:
    return RedirectRejectedError(reason, message or _MESSAGES[reason], hint=hint or _HINTS.get(reason))


def _agreed(responses: list[AuthorizationResponse]) -> AuthorizationResponse:
    """Return what the readings of one text agree on.

    They can differ in a code that comes last, by what stands behind it. A code that is cut off or has a word glued to
    it would use up the state, so rather than to guess, the text is refused.
    """
    first, last = responses[0], responses[-1]
    usual = [response for response in responses if _USUAL_CODE.fullmatch(response.code.reveal())] or responses
    if len({response.code for response in usual}) == 1:
        return usual[0]
    if first in usual and first == last:  # blanks or none, the line breaks are wraps
        return first
    raise RedirectRejectedError(
        "missing-code",
        _("It cannot be told where the code ends in that text"),
        hint=_("Paste the address alone, with nothing behind it and no blank within."),
    )


def _more_telling(one: RedirectRejectedError, other: RedirectRejectedError) -> RedirectRejectedError:
    """Of two readings of one text, return the one that recognised more; the earlier one where both did alike."""
    return max(one, other, key=lambda error: (error.reason in _KNOWN_STATE, error.reason != "no-redirect"))
