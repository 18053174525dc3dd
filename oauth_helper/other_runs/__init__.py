"""Other runs of ours on this machine, by the same user: how they are found, and spoken to."""

from oauth_helper.other_runs.claim import PAUSE, Claim
from oauth_helper.other_runs.folder import runtime_folder
from oauth_helper.other_runs.joining import claim_or_find, claim_when_free
from oauth_helper.other_runs.notice import Notice, digest_of_state, find_notice, noticed, read_notices
from oauth_helper.other_runs.visit import RunGoneError, deliver, outcome

__all__ = [
    "PAUSE",
    "Claim",
    "Notice",
    "RunGoneError",
    "claim_or_find",
    "claim_when_free",
    "deliver",
    "digest_of_state",
    "find_notice",
    "noticed",
    "outcome",
    "read_notices",
    "runtime_folder",
]
