"""Which credentials are used, and that half a pair is an error."""

from __future__ import annotations

import pytest

from oauth_helper.credential_sources import find_credentials, no_credentials
from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.errors import CredentialsError
from oauth_helper.secret import Secret
from oauth_helper.values import FileValues

SDK = {"HUAWEICLOUD_SDK_AK": "sdk-ak", "HUAWEICLOUD_SDK_SK": "sdk-sk"}

TERRAFORM = {"HW_ACCESS_KEY": "hw-ak", "HW_SECRET_KEY": "hw-sk"}

USER = {"HW_USER_NAME": "user", "HW_USER_PASSWORD": "word", "HW_DOMAIN_NAME": "domain"}

FILE = FileValues("creds", {"ak": "file-ak", "sk": "file-sk", "security_token": "file-token"})

NO_FILE = FileValues("creds")


def test_the_chain_is_walked_in_its_order() -> None:
    environ = {"OAUTH_HELPER_TOKEN": "token"} | SDK | TERRAFORM | USER
    seen = []
    for prefix in ("OAUTH_HELPER_TOKEN", "HUAWEICLOUD_SDK", "HW_ACCESS", "HW_USER"):
        found = find_credentials(environ, FILE)
        assert found
        seen.append(found.value)
        environ = {name: value for name, value in environ.items() if not name.startswith(prefix)}
        if prefix == "HW_ACCESS":
            del environ["HW_SECRET_KEY"]
        if prefix == "HUAWEICLOUD_SDK":
            assert "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK" in found.origin
    assert seen == [
        IamToken("token"),
        AccessKey("sdk-ak", "sdk-sk"),
        AccessKey("hw-ak", "hw-sk"),
        IamUser("user", Secret("word"), "domain"),
    ]
    last = find_credentials(environ, FILE)
    assert last
    assert last.value == AccessKey("file-ak", "file-sk", "file-token")
    assert last.origin == "[basic] of creds"
    assert find_credentials({}, NO_FILE) is None


@pytest.mark.parametrize("names", [("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"), ("HW_ACCESS_KEY", "HW_SECRET_KEY")])
def test_half_a_pair_is_an_error_that_names_the_missing_half(names: tuple[str, str]) -> None:
    for present, missing in (names, names[::-1]):
        with pytest.raises(CredentialsError, match=f"{missing} is missing") as refused:
            find_credentials({present: "planted", **USER}, FILE)
        assert refused.value.exit_status == 3
        assert "planted" not in refused.value.message + refused.value.hint


def test_half_a_user_or_half_a_file_is_an_error_as_well() -> None:
    with pytest.raises(CredentialsError, match="HW_DOMAIN_NAME is missing"):
        find_credentials({"HW_USER_NAME": "user", "HW_USER_PASSWORD": "word"}, FILE)
    with pytest.raises(CredentialsError, match="sk is missing"):
        find_credentials({}, FileValues("creds", {"ak": "a"}))
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK are missing"):
        find_credentials({"HUAWEICLOUD_SDK_SECURITY_TOKEN": "alone"}, NO_FILE)
    assert find_credentials({"HW_DOMAIN_NAME": "alone"}, NO_FILE) is None


def test_a_temporary_keys_token_comes_with_it() -> None:
    found = find_credentials(SDK | {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}, NO_FILE)
    assert found
    assert found.value == AccessKey("sdk-ak", Secret("sdk-sk"), Secret("t"))
    assert "sdk-sk" not in repr(found)


def test_who_has_no_credentials_is_told_how_to_set_them_and_of_the_sandbox() -> None:
    error = no_credentials(NO_FILE)
    assert error.exit_status == 3
    assert "HUAWEICLOUD_SDK_AK" in error.hint
    assert "--sandbox" in error.hint
