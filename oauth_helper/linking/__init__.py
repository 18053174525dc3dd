"""The story: how a Git account is linked, told in eight steps, and how what was left unfinished is finished."""

from __future__ import annotations

from oauth_helper.linking.doors import Doors, Journal, Listening, Service
from oauth_helper.linking.story import link
from oauth_helper.linking.unfinished import Settled, resume

__all__ = ["Doors", "Journal", "Listening", "Service", "Settled", "link", "resume"]
