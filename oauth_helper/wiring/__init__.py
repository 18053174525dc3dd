"""Open the doors, introduce them to the story, close them. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oauth_helper.wiring.applying import Applied, Applying, apply, list_if_permitted, without_secrets
    from oauth_helper.wiring.direct_links import link_with_password, link_with_token, run_direct_link, what_is_kept
    from oauth_helper.wiring.links import link, run_link
    from oauth_helper.wiring.naming import name_for
    from oauth_helper.wiring.plan import plan_opening
    from oauth_helper.wiring.repositories import walk_repositories
    from oauth_helper.wiring.services import open_sandbox, open_service
    from oauth_helper.wiring.unfinished import deliver_to_waiting, resume_all, waiting_links
    from oauth_helper.wiring.ways import Ways

__all__ = [
    "Applied",
    "Applying",
    "Ways",
    "apply",
    "deliver_to_waiting",
    "link",
    "link_with_password",
    "link_with_token",
    "list_if_permitted",
    "name_for",
    "open_sandbox",
    "open_service",
    "plan_opening",
    "resume_all",
    "run_direct_link",
    "run_link",
    "waiting_links",
    "walk_repositories",
    "what_is_kept",
    "without_secrets",
]

_ROOMS: Final = {
    "Applied": "applying",
    "Applying": "applying",
    "Ways": "ways",
    "apply": "applying",
    "deliver_to_waiting": "unfinished",
    "link": "links",
    "list_if_permitted": "applying",
    "link_with_password": "direct_links",
    "link_with_token": "direct_links",
    "name_for": "naming",
    "open_sandbox": "services",
    "open_service": "services",
    "plan_opening": "plan",
    "resume_all": "unfinished",
    "run_direct_link": "direct_links",
    "run_link": "links",
    "waiting_links": "unfinished",
    "walk_repositories": "repositories",
    "what_is_kept": "direct_links",
    "without_secrets": "applying",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value
