"""Open the doors, introduce them to the story, close them."""

from __future__ import annotations

from oauth_helper.wiring.applying import Applied, Applying, apply, without_secrets
from oauth_helper.wiring.direct_links import link_with_password, link_with_token, run_direct_link, what_is_kept
from oauth_helper.wiring.links import link, name_for, run_link
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
