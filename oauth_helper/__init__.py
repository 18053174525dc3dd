"""Link a Git account to Huawei Cloud ServiceStage.

The public API is what ``__all__`` names, and :mod:`oauth_helper.redirect`. Names are imported when they are first
used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oauth_helper.api import link, link_with_password, link_with_token, walk_repositories
    from oauth_helper.apply_file import Applied, Entry, Method, apply, parse_declaration
    from oauth_helper.credentials import AccessKey, IamToken
    from oauth_helper.errors import (
        AuthorizationDeniedError,
        ClockSkewError,
        CodeOrStateInvalidError,
        CredentialsError,
        DeadlineError,
        IllegalNameError,
        MachineError,
        NameTakenError,
        NoBrowserError,
        NoSuchAuthorizationError,
        NotPermittedError,
        OAuthHelperError,
        OutcomeUnknownError,
        PortTakenError,
        RedirectRejectedError,
        RefusedError,
        RepositoryNotImplementedError,
        SettingsError,
        StoppedError,
        UnavailableError,
        UnreachableError,
        UnusableAnswerError,
        UsageError,
    )
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
    "link",
    "link_with_password",
    "link_with_token",
    "parse_declaration",
    "walk_repositories",
]

_MODULES: Final = {
    "AccessKey": "credentials",
    "Applied": "apply_file",
    "Authorization": "models",
    "Entry": "apply_file",
    "IamToken": "credentials",
    "Method": "apply_file",
    "Namespace": "models",
    "Project": "models",
    "RepoType": "models",
    "Secret": "secret",
    "ServiceStageClient": "servicestage.client",
    "apply": "apply_file",
    "link": "api",
    "link_with_password": "api",
    "link_with_token": "api",
    "parse_declaration": "apply_file",
    "walk_repositories": "api",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
