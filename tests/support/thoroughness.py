"""How many of many similar cases are tested: some by default, and all with ``OAUTH_HELPER_TESTS_THOROUGH=1``."""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

IS_THOROUGH: Final = os.environ.get("OAUTH_HELPER_TESTS_THOROUGH") == "1"


def at_most(number: int, *, by_default: int) -> int:
    return number if IS_THOROUGH else by_default


def some_of(cases: Sequence[T], *, one_in: int) -> Sequence[T]:
    """Return the first of ``cases`` and each ``one_in``-th after it; or all."""
    return cases if IS_THOROUGH else cases[::one_in]
