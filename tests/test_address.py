"""An address that somebody else wrote: read, or refused as one that cannot be."""

import pytest

from oauth_helper.values import parse_address


@pytest.mark.parametrize("text", ["http://[", "http://[]", "http://1[::1]@", "http://a:b"])
def test_what_is_no_address_is_a_value_error_whatever_yarl_makes_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        _ = parse_address(text).port


def test_an_address_is_read_with_its_escapes_as_they_are_where_that_is_asked_for() -> None:
    assert parse_address("https://git.example/a%62").path == "/ab"
    assert parse_address("https://git.example/a%62", encoded=True).raw_path == "/a%62"
