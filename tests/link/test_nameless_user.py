"""A container may run us under a number that has neither name nor home: it still works."""

from collections.abc import Iterator

import pytest
from support.other_users import acting_as, needs_root

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.journal import Journal
from oauth_helper.models import RepoType, name_for
from oauth_helper.settings import read_config_file, read_credentials_file

pytestmark = needs_root


@pytest.fixture(autouse=True)
def nobody_knows_us(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    with acting_as(54_321):
        yield


def test_there_are_no_files_and_the_name_is_that_of_the_git_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config_file({}).values == {}
    assert read_credentials_file({}).values == {}
    assert Journal.of_the_user().folder is None
    assert name_for(RepoType.GITHUB) == "github-user"
    monkeypatch.setenv("LOGNAME", "ada")
    assert name_for(RepoType.GITHUB) == "github-ada"


def test_a_file_that_is_named_below_the_missing_home_does_not_exist() -> None:
    with pytest.raises(SettingsError, match=r"a file that is not there: ~/config\.toml"):
        read_config_file({"OAUTH_HELPER_CONFIG": "~/config.toml"})
    with pytest.raises(CredentialsError, match="a file that is not there: ~/credentials"):
        read_credentials_file({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "~/credentials"})
