"""The variable that a shell sets in order to ask what fits where TAB was pressed."""

from __future__ import annotations

from typing import Final

COMPLETION_VARIABLE: Final = "_OAUTH_HELPER_COMPLETE"
