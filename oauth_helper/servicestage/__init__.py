"""The API of ServiceStage, and IAM's on its behalf: requests out, data or errors of ours back."""

from __future__ import annotations

from oauth_helper.servicestage.api_errors import LARGEST_SKEW
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.iam import IssuedToken, fetch_token, find_project_id
from oauth_helper.servicestage.transport import Connection, Retries, tls_context

__all__ = [
    "LARGEST_SKEW",
    "Connection",
    "IssuedToken",
    "Retries",
    "ServiceStageClient",
    "fetch_token",
    "find_project_id",
    "tls_context",
]
