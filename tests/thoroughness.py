"""How much is drawn at random: enough to notice by default, and all of it with ``OAUTH_HELPER_TESTS_THOROUGH=1``."""

import os
from typing import Final

IS_THOROUGH: Final = os.environ.get("OAUTH_HELPER_TESTS_THOROUGH") == "1"
"""Whether nothing is left out, as in ``.ci/run``."""


def at_most(number: int, *, by_default: int) -> int:
    """Return how many examples to take of ``number``."""
    return number if IS_THOROUGH else by_default
