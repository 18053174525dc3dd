"""Open the doors, introduce them to the story, close them."""

from __future__ import annotations

from oauth_helper.wiring.links import link, name_for, run_link
from oauth_helper.wiring.plan import plan_opening
from oauth_helper.wiring.services import open_sandbox, open_service
from oauth_helper.wiring.unfinished import deliver_to_waiting, resume_all, waiting_links
from oauth_helper.wiring.ways import Ways

__all__ = [
    "Ways",
    "deliver_to_waiting",
    "link",
    "name_for",
    "open_sandbox",
    "open_service",
    "plan_opening",
    "resume_all",
    "run_link",
    "waiting_links",
]
