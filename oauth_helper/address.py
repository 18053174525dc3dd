"""Reading an address that somebody else wrote. No I/O."""

from __future__ import annotations

from yarl import URL


def parse_address(text: str, *, encoded: bool = False) -> URL:
    """Read an address; ``encoded`` leaves its escapes as they are.

    Raises:
        ValueError: It cannot be read, or its host cannot.
    """
    try:
        url = URL(text, encoded=encoded)
        _ = url.host
    except IndexError as error:  # yarl 1.25.1, for "http://1[::1]@"
        raise ValueError("no address") from error
    return url
