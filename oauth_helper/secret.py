"""A string that does not show itself. No I/O."""

from __future__ import annotations

import hmac
from typing import Final

_STARS: Final = "********"


class Secret:
    """Hold a code, state, token, key or password so that it cannot be shown by accident.

    ``str``, ``repr``, formatting and dataclass helpers give stars. Only :meth:`reveal` gives the value, so a
    search for that word finds every place where a secret leaves its wrapper. It cannot be pickled, and a plain
    class with slots is not unpacked by ``dataclasses.asdict``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def matches(self, other: str) -> bool:
        """Compare with ``other`` in a time that does not depend on where they differ (RFC 9700 section 4.7)."""
        return hmac.compare_digest(self._value.encode(), other.encode("utf-8", "surrogatepass"))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return self.matches(other._value) if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({_STARS!r})"

    def __str__(self) -> str:
        return _STARS

    def __format__(self, format_spec: str) -> str:
        return format(_STARS, format_spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled: it would be written out in the clear")
