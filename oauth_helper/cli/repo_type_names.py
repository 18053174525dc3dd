"""The repository types by name, for the helps that name them."""

from __future__ import annotations

from oauth_helper.authorization import RepoType
from oauth_helper.phrase import Phrase, enumerated


def repo_type_names() -> dict[str, Phrase]:
    """Return what a help has at ``{hosts}``, ``{types}``, ``{token_types}`` and ``{password_types}``."""
    in_browser = [one for one in RepoType if one.has_oauth]
    return {
        "hosts": enumerated([one.display_name for one in in_browser]),
        "types": enumerated([one.value for one in in_browser]),
        "token_types": enumerated([one.value for one in RepoType if one.proof == "token"]),
        "password_types": enumerated([one.value for one in RepoType if one.proof == "password"]),
    }
