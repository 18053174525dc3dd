"""Settings and credentials on disk."""

import os
from pathlib import Path

import pytest

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.settings import others_can_read, read_config_file, read_credentials_file


def test_missing_files_are_empty_and_tell_where_they_would_lie(clean_surroundings: Path) -> None:
    config = read_config_file({})
    assert config.values == {}
    assert config.path.endswith("config.toml")
    credentials = read_credentials_file({})
    assert credentials.values == {}
    assert credentials.path == str(clean_surroundings / ".huaweicloud" / "credentials")
    assert not others_can_read(credentials.path)


def test_a_file_that_a_variable_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="OAUTH_HELPER_CONFIG names a file that is not there"):
        read_config_file({"OAUTH_HELPER_CONFIG": str(tmp_path / "none")})
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_CREDENTIALS_FILE names a file that is not there"):
        read_credentials_file({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path / "none")})


def test_the_config_file_is_toml(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('region = "cn-north-4"\n"timeout" = 30\n')
    values = read_config_file({"OAUTH_HELPER_CONFIG": str(path)})
    assert values.values == {"region": "cn-north-4", "timeout": "30"}
    assert values.lines == {"region": 1, "timeout": 2}


def test_the_vendors_credentials_file_is_read_without_interpolation(clean_surroundings: Path) -> None:
    path = clean_surroundings / ".huaweicloud" / "credentials"
    path.parent.mkdir()
    path.write_text("[basic]\nak = a\nsk = 100%s\n[global]\nak = no\n")
    assert read_credentials_file({}).values == {"ak": "a", "sk": "100%s"}
    path.write_text("[global]\nak = no\n")
    assert read_credentials_file({}).values == {}


def test_a_broken_credentials_file_is_named_but_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[basic]\nplanted-secret\n")
    with pytest.raises(CredentialsError, match="cannot be read") as refused:
        read_credentials_file({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(path)})
    assert "planted-secret" not in refused.value.message + refused.value.hint
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode")
def test_a_file_that_others_can_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.touch(mode=0o600)
    assert not others_can_read(str(path))
    for mode in (0o640, 0o604):
        path.chmod(mode)
        assert others_can_read(str(path))
