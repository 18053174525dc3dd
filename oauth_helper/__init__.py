"""Link a Git account to Huawei Cloud ServiceStage.

The public API is what ``__all__`` names, and :mod:`oauth_helper.redirect`. A name is imported when it is first used,
so that importing the package takes no time.
"""

# ruff: noqa: F405 - the errors in __all__
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oauth_helper.api import capture, link, link_with_password, link_with_token, walk_repositories
    from oauth_helper.apply_file import Applied, Entry, Method, apply, parse_entries
    from oauth_helper.credential_sources import find_credentials
    from oauth_helper.credentials import AccessKey, CredentialSource, IamToken
    from oauth_helper.errors import *  # noqa: F403 - all errors are public
    from oauth_helper.models import Authorization, Namespace, Project, RepoType
    from oauth_helper.secret import Secret
    from oauth_helper.servicestage.client import ServiceStageClient

__all__ = [
    "AccessKey",
    "Applied",
    "Authorization",
    "AuthorizationDeniedError",
    "ClockSkewError",
    "CodeOrStateInvalidError",
    "CredentialSource",
    "CredentialsError",
    "DeadlineError",
    "Entry",
    "IamToken",
    "IllegalNameError",
    "MachineError",
    "Method",
    "NameTakenError",
    "Namespace",
    "NoBrowserError",
    "NoSuchAuthorizationError",
    "NotPermittedError",
    "OAuthHelperError",
    "OutcomeUnknownError",
    "PortTakenError",
    "Project",
    "RedirectRejectedError",
    "RefusedError",
    "RepoType",
    "RepositoryNotImplementedError",
    "Secret",
    "ServiceStageClient",
    "SettingsError",
    "StoppedError",
    "UnavailableError",
    "UnreachableError",
    "UnusableAnswerError",
    "UsageError",
    "apply",
    "capture",
    "find_credentials",
    "link",
    "link_with_password",
    "link_with_token",
    "parse_entries",
    "walk_repositories",
]

_NAMES: Final = {
    "api": ("capture", "link", "link_with_password", "link_with_token", "walk_repositories"),
    "apply_file": ("Applied", "Entry", "Method", "apply", "parse_entries"),
    "credential_sources": ("find_credentials",),
    "credentials": ("AccessKey", "CredentialSource", "IamToken"),
    "models": ("Authorization", "Namespace", "Project", "RepoType"),
    "secret": ("Secret",),
    "servicestage.client": ("ServiceStageClient",),
}
"""The public names of each module; all others are those of ``errors``."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _NAMES.items() if name in names), "errors")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
