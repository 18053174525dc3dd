"""A container may run us under a number that has neither name nor home: then nothing lies anywhere, and it still works.

What the journal does then is in ``test_journal.py``.
"""

import os
from collections.abc import Iterator

import pytest
from support.other_users import acting_as, needs_root

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.journal import Journal
from oauth_helper.models import RepoType, name_for
from oauth_helper.settings import read_config_file, read_credentials_file

NUMBER = 54_321
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")

pytestmark = needs_root


@pytest.fixture(autouse=True)
def nobody_knows_us(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HOME", *NAMES):
        monkeypatch.delenv(name, raising=False)
    with acting_as(NUMBER):
        yield


def test_no_settings_and_no_credentials_are_found() -> None:
    assert read_config_file({}).values == {}
    assert read_credentials_file({}).values == {}


def test_a_file_that_is_named_below_a_home_that_there_is_not_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"a file that is not there: ~/config\.toml"):
        read_config_file({"OAUTH_HELPER_CONFIG": "~/config.toml"})
    with pytest.raises(CredentialsError, match="a file that is not there: ~/credentials"):
        read_credentials_file({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "~/credentials"})


def test_there_is_no_journal() -> None:
    assert Journal.of_the_user().folder is None


def test_an_authorization_is_named_after_its_git_host_alone() -> None:
    assert name_for(RepoType.GITHUB) == "github-user"


def test_a_login_name_that_is_said_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "LOGNAME", "ada")
    assert name_for(RepoType.GITHUB) == "github-ada"
