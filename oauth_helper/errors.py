"""The exceptions. Each has a message, a hint (what to do next) and the exit status of the command."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any, Final

from oauth_helper.i18n import Text, _
from oauth_helper.secret import safe_text

TRY_AGAIN: Final = frozenset({408, 425, 429})
"""Statuses after which a request may be sent again (RFC 9110 section 15.5.9, RFC 8470, RFC 6585)."""


class OAuthHelperError(Exception):
    """The base class. An instance of it is a bug of oauth-helper."""

    exit_status: int = 1
    kind: str = "fault"  # the name of the error for scripts. It does not change between releases
    default_hint: str = "This is a fault in oauth-helper. Please report what -vv shows: no secret is in it."

    def __init__(
        self,
        message: Text,
        *,
        hint: Text | None = None,
        code: str | None = None,
        request_id: str | None = None,
        status: int | None = None,
        answered_by: Text | None = None,
        nothing_created: bool = False,
    ) -> None:
        super().__init__(message)
        self.message: Text = message
        self.hint: Text = hint or _(self.default_hint)
        self.what_to_do: Text = self.hint  # the hint alone, before it says that nothing was created
        self.code = code  # the API's error code, such as SVCSTG.REPO.0402
        self.request_id = request_id  # the id that the vendor's support asks for
        self.status = status  # the HTTP status of the answer; None if the error is not an answer
        self.answered_by = answered_by  # who answered, if the answer has none of ServiceStage's codes
        self.nothing_created: bool = nothing_created  # whether it is certain; the message or hint says so

    def __str__(self) -> str:
        return self.message

    @property
    def is_foreign_refusal(self) -> bool:
        """Whether a proxy, firewall or gateway refused or redirected the request, so ServiceStage did not get it."""
        is_refusal = self.status is not None and 300 <= self.status < 500
        return is_refusal and self.status not in {401, 403} | TRY_AGAIN and not (self.code or "").startswith("SVCSTG.")

    def say_that_nothing_was_created(self) -> None:
        """Add that to the hint, once."""
        if not self.nothing_created:
            self.nothing_created = True
            self.what_to_do = self.hint
            self.hint = _("Nothing was created. {what_to_do}", what_to_do=self.hint)

    def to_json(self) -> dict[str, str | None]:
        """Return the error as scripts read it."""
        return {name: getattr(self, name) for name in ("kind", "message", "hint", "code", "request_id")}


class UsageError(OAuthHelperError):
    """The command or the library was used wrongly."""

    exit_status = 2
    kind = "usage"
    default_hint = "See `oauth-helper --help`."


class IllegalNameError(UsageError):
    """A name that ServiceStage would refuse."""

    kind = "illegal-name"
    default_hint = 'Give --name 4 to 63 characters: letters A to Z, digits, ".", "_" and "-".'


class RedirectRejectedError(OAuthHelperError):
    """A text or request is not our redirect, or not the whole of it. The wait goes on."""

    exit_status = 2
    kind = "redirect-rejected"
    default_hint = "Copy the whole address of the page where the browser ended, and paste it again."

    def __init__(self, reason: str, message: Text, *, hint: Text | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        """``no-redirect``, ``foreign-state``, or another reason from ``schema/output.schema.json``."""


class SettingsError(OAuthHelperError):
    """Settings are missing, unreadable or unusable."""

    exit_status = 3
    kind = "settings"
    default_hint = "`oauth-helper doctor` shows every setting and where it comes from."


class CredentialsError(SettingsError):
    """Credentials are missing, incomplete or refused."""

    kind = "credentials"
    default_hint = "Set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK again; `oauth-helper doctor` checks them."


class ClockSkewError(CredentialsError):
    """The signature was refused because this machine's clock and the server's differ too much."""

    kind = "clock-skew"
    default_hint = "Set this machine's clock (within 15 minutes of the server's), then run the command again."


class NotPermittedError(CredentialsError):
    """The account lacks a permission for this call."""

    kind = "not-permitted"
    default_hint = (
        "Ask the administrator for servicestage:repositoryAuth:list, :get, :create and :delete; in classic policies, "
        "for servicestage:app:list, :get, :create and :delete."
    )


class AuthorizationDeniedError(OAuthHelperError):
    """The Git host or the user denied the authorization (RFC 6749 section 4.1.2.1)."""

    exit_status = 4
    kind = "denied"
    default_hint = "Run the command again and choose Authorize to link the account."

    def __init__(self, error: str, description: str = "", *, hint: Text | None = None, is_link: bool = True) -> None:
        self.error: str = safe_text(error, limit=64)
        """RFC 6749's error code, such as ``access_denied``."""
        self.description: str = safe_text(description)
        if is_link and self.error == "access_denied":
            message = _("You denied access")
        else:
            message = _("The authorization was refused ({error})", error=self.error)
            if self.description:
                message = _("{message}: {detail}", message=message, detail=self.description.rstrip("."))
        super().__init__(message, hint=hint)
        if is_link:
            self.say_that_nothing_was_created()


class DeadlineError(OAuthHelperError):
    """No redirect came before the deadline."""

    exit_status = 5
    kind = "deadline"
    default_hint = "Run the command again; --timeout SECONDS (at most 3600) waits longer."


class RefusedError(OAuthHelperError):
    """ServiceStage understood the request and refused it."""

    exit_status = 6
    kind = "refused"
    default_hint = 'Look the code up under "ServiceStage Error Codes" in the vendor\'s manual.'


class RepositoryNotImplementedError(RefusedError):
    """``SVCSTG.REPO.0401``: this region does not offer the repository type."""

    kind = "repository-not-implemented"
    default_hint = "This region does not offer that repository type; choose another type or another region."


class CodeOrStateInvalidError(RefusedError):
    """``SVCSTG.REPO.0402``: code or state is wrong, used or expired."""

    kind = "code-or-state-invalid"
    default_hint = "The authorization code has been used or has expired. Run the command again."


class NameTakenError(RefusedError):
    """``SVCSTG.REPO.0403``, or found before: an authorization of that name exists."""

    kind = "name-taken"
    default_hint = "Choose another --name, or replace the authorization with --if-exists replace."


class NoSuchAuthorizationError(RefusedError):
    """There is no authorization of that name."""

    kind = "no-such-authorization"
    default_hint = "`oauth-helper list` shows the authorizations there are."


class UnavailableError(OAuthHelperError):
    """ServiceStage or IAM gave no usable answer."""

    exit_status = 7
    kind = "unavailable"
    default_hint = "Try again in a moment; `oauth-helper doctor` checks the endpoint."

    def __init__(
        self, message: Text, *, sent: bool, retry_after: float | None = None, is_transient: bool = False, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.sent = sent  # whether the request may have reached the server; False only if there was no connection
        self.retry_after = retry_after
        """Seconds to wait before the next request, if a 408, 425, 429 or 5xx answer names them (RFC 9110 10.2.3)."""
        self.is_transient = is_transient  # whether the same request may succeed a moment later


class UnreachableError(UnavailableError):
    """There was no connection, or it broke or timed out before an answer."""

    kind = "unreachable"
    default_hint = "Check the endpoint, the network and the proxy (HTTPS_PROXY, NO_PROXY)."


class UnusableAnswerError(UnavailableError):
    """The answer is a server error, a redirect, or not the expected JSON."""

    kind = "unusable-answer"


class OutcomeUnknownError(OAuthHelperError):
    """The redirect came, but the exchange was not delivered or its outcome is unknown."""

    exit_status = 8
    kind = "outcome-unknown"
    default_hint = "`oauth-helper list` tells whether it exists. If not, run the command again."


class MachineError(OAuthHelperError):
    """Something on this machine prevents the link."""

    exit_status = 9
    kind = "machine"
    default_hint = "`oauth-helper doctor` checks what a link needs of this machine."


class PortTakenError(MachineError):
    """The listener's port is not available."""

    kind = "port-taken"
    default_hint = "Leave out --port to take any free port, or name another one."


class NoBrowserError(MachineError):
    """No browser could be opened."""

    kind = "no-browser"
    default_hint = "Give --browser none to be shown the addresses and open them yourself."


class StoppedError(OAuthHelperError):
    """A signal ended the run."""

    exit_status: int = 130
    kind = "stopped"
    default_hint = "Run the command again when you are ready."

    def __init__(self, message: Text, *, signal_number: int = 2, hint: Text | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = 128 + signal_number


def safe_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` and its causes, with messages of our own exceptions only.

    The message of any other exception may contain a secret.
    """
    return "\n".join(_tracebacks(error, set()))


def _tracebacks(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from _tracebacks(error.__cause__ or (None if error.__suppress_context__ else error.__context__), seen)
    for nested in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _tracebacks(nested, seen)
    message = f": {error}" if isinstance(error, OAuthHelperError) else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    yield f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}{message}"
