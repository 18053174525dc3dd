"""The name of an authorization that the user gave none."""

from __future__ import annotations

import getpass

from oauth_helper.authorization import RepoType, default_name


def name_for(repo_type: RepoType) -> str:
    """Return the name for an authorization that the user gave none."""
    try:
        login_name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        login_name = ""
    return default_name(RepoType(repo_type), login_name)
