"""What a caller leaves out or misspells: the name of an authorization, the words that there are."""

from __future__ import annotations

import getpass

from oauth_helper.authorization import RepoType, default_name
from oauth_helper.errors import UsageError
from oauth_helper.link_request import IfExists
from oauth_helper.phrase import enumerated, phrase


def name_for(repo_type: RepoType) -> str:
    """Return the name for an authorization that the user gave none."""
    try:
        login_name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        login_name = ""
    return default_name(RepoType(repo_type), login_name)


def unknown_choice(repo_type: str, if_exists: str) -> UsageError:
    """Return the error for a Python caller who gave a word that is none of ours."""
    name, value, choices = "repo_type", repo_type, [one.value for one in RepoType]
    if repo_type in choices:
        name, value, choices = "if_exists", if_exists, [one.value for one in IfExists]
    return UsageError(
        phrase("Unknown {name}: {value!r}", name=name, value=str(value)),
        hint=phrase("Use one of {choices}.", choices=enumerated(choices)),
    )
