"""The story of a link, in eight steps or without a browser, and how what was left is finished."""

from __future__ import annotations

from oauth_helper.linking.checking import list_if_permitted
from oauth_helper.linking.doors import Doors, Journal, Listening, Service
from oauth_helper.linking.story import link
from oauth_helper.linking.unfinished import Settled, resume

__all__ = [
    "Doors",
    "Journal",
    "Listening",
    "Service",
    "Settled",
    "link",
    "list_if_permitted",
    "resume",
]
