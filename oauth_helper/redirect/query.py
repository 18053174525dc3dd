"""Read the parameters of a query, decoding each exactly once. No I/O."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


class Query:
    """The parameters of a raw query, in order, repeats included.

    ``+`` stays a plus: neither code nor state is ever written with a space, and an address that was decoded by hand
    has its pluses bare. Only texts for people, such as ``error_description``, take it for a space
    (:meth:`text_of`), as RFC 6749 appendix B has it.
    """

    def __init__(self, raw: str) -> None:
        self._pairs: list[tuple[str, str]] = []
        for pair in raw.split("&"):
            name, separator, value = pair.partition("=")
            if separator:
                self._pairs.append((decode(name) or name, value))

    @property
    def last(self) -> tuple[str, str]:
        """The name and the raw value of the last parameter; empty if there is none."""
        return self._pairs[-1] if self._pairs else ("", "")

    def count(self, name: str) -> int:
        """How often the parameter stands in the query, with or without a value."""
        return sum(1 for other, _ in self._pairs if other == name)

    def all_of(self, name: str) -> list[str]:
        """Every value of a parameter that can be decoded and is not empty.

        A parameter without a value counts as left out (RFC 6749 section 3.1).
        """
        return [decoded for other, value in self._pairs if other == name and (decoded := decode(value))]

    def get(self, name: str) -> str | None:
        """The first such value, or None."""
        return next(iter(self.all_of(name)), None)

    def has_value(self, name: str) -> bool:
        """Whether the parameter has a value at all, be it one that cannot be decoded."""
        return any(other == name and value for other, value in self._pairs)

    def text_of(self, name: str) -> str:
        """The first value as text for people: ``+`` is a space, bytes that are not UTF-8 are replaced."""
        value = next((value for other, value in self._pairs if other == name), "")
        return _octets(value.replace("+", " ")).decode("utf-8", "replace")

    def values(self) -> list[str]:
        """All values that can be decoded, whatever their names."""
        return [decoded for _, value in self._pairs if (decoded := decode(value))]


def decode(raw: str) -> str | None:
    """Percent-decode once; None where that does not give UTF-8."""
    try:
        return _octets(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _octets(raw: str) -> bytes:
    # A terminal may hand over half a character as a lone surrogate; it must not raise, only fail to decode.
    return unquote_to_bytes(raw.encode("utf-8", "surrogatepass"))
