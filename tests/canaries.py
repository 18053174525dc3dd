"""Old names of :mod:`support.secret_search`, for tests that have not moved yet."""

from support.secret_search import Search
from support.secret_search import Secret as Canary

__all__ = ["Canary", "Search"]
