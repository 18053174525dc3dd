"""The authorization request and its response: RFC 6749 sections 4.1.1 and 4.1.2, RFC 9207. No I/O."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from yarl import URL

from oauth_helper.address import parse_address
from oauth_helper.authorization import RepoType
from oauth_helper.endpoint import is_loopback
from oauth_helper.errors import AuthorizationDeniedError, RedirectRejectedError, UnusableAnswerError
from oauth_helper.phrase import Phrase, phrase
from oauth_helper.redirect.pasted_text import COMPARABLE_READINGS, readings
from oauth_helper.redirect.query import Query
from oauth_helper.secret import Secret
from oauth_helper.stars import starred

_ONCE_ONLY: Final = ("state", "code", "error", "repo_type", "iss")
"""Parameters we act on; a repeated one makes the whole redirect worthless (RFC 6749 section 3.1)."""

_GITHUB_ISSUER: Final = "https://github.com/login/oauth"
"""What GitHub announces for itself in its metadata and sends with every response (RFC 9207)."""

_PRINTABLE: Final = "".join(chr(number) for number in range(0x21, 0x7F))

_USUAL_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~/+=-]*")
"""What the codes of the known hosts are made of; RFC 6749 appendix A.11 allows every printable character."""

_MESSAGES: Final = {
    "no-redirect": phrase("That holds no address with code and state"),
    "foreign-state": phrase("That address belongs to another attempt, or its state was changed on the way"),
    "missing-code": phrase("That address has the right state, but no usable code"),
    "repeated-parameter": phrase("That address names a parameter twice, so it cannot be trusted"),
    "wrong-repo-type": phrase("That address is for another type of repository"),
    "wrong-issuer": phrase("That address names another issuer than the Git host that was asked (RFC 9207)"),
}
_HINTS: Final = {
    "missing-code": phrase("This may be the address before you chose Authorize. Copy the one where the browser ended."),
    "foreign-state": phrase(
        "Use the tab that this run opened, and copy its whole address; do not pass it through a shell."
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
    """As ServiceStage gave it, fit to be opened; it bears the state."""
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
            raise _unusable(phrase("is not https"))
        if read.user or read.password:
            raise _unusable(phrase("holds a user name or password"))
        query = Query(read.raw_query_string)
        state = query.get("state")
        if state is None or query.count("state") != 1:
            raise _unusable(phrase("does not have exactly one state"))
        return cls(
            url=Secret(quote(url.strip(), safe=_PRINTABLE)),
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
            raise rejected
        return _agreed(responses)

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
            raise AuthorizationDeniedError(error, description)
        self._check_sender(response)
        code = response.get("code")
        if code is None or not code.isprintable() or code.isspace():
            raise _rejected("missing-code")
        return AuthorizationResponse(Secret(code), self.state)

    def _starred(self, text: str) -> str:
        """Return what a Git host says without the state, should it repeat it; cut where it is shown."""
        return starred(text, [self.state], limit=max(len(text), 1))

    def _check_sender(self, response: Query) -> None:
        if response.has_value("repo_type") and (response.get("repo_type") or "").casefold() != self.repo_type:
            raise _rejected("wrong-repo-type")
        if response.has_value("iss") and not self._is_issuer(response.get("iss") or ""):
            raise _rejected("wrong-issuer")

    def _is_issuer(self, issuer: str) -> bool:
        if self.host == "github.com":
            return issuer == _GITHUB_ISSUER
        try:
            return parse_address(issuer).host == self.host
        except ValueError:
            return False


def _read_url(url: str) -> URL:
    stripped = url.strip()
    if any(character in string.whitespace.replace(" ", "") or not character.isprintable() for character in stripped):
        raise _unusable(phrase("holds control characters"))
    try:
        read = parse_address(stripped, encoded=True)
        host = read.host
    except ValueError:
        raise _unusable(phrase("cannot be read")) from None
    if not host:
        raise _unusable(phrase("has no host"))
    return read


def _unusable(what: Phrase) -> UnusableAnswerError:
    return UnusableAnswerError(
        phrase("The authorization URL that ServiceStage returned {what}", what=what),
        sent=True,
        nothing_created=True,
        hint=phrase("Nothing was created. Check --endpoint; if it is right, report this to the vendor's support."),
    )


def _rejected(reason: str) -> RedirectRejectedError:
    return RedirectRejectedError(reason, _MESSAGES[reason], hint=_HINTS.get(reason))


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
        phrase("It cannot be told where the code ends in that text"),
        hint=phrase("Paste the address alone, with nothing behind it and no blank within."),
    )


def _more_telling(one: RedirectRejectedError, other: RedirectRejectedError) -> RedirectRejectedError:
    """Of two readings of one text, return the one that recognised more; the earlier one where both did alike."""
    return max(one, other, key=lambda error: (error.reason in _KNOWN_STATE, error.reason != "no-redirect"))
