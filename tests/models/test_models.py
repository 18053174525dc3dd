"""The API's records, names, and what is known of the repository types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.examples import RECORD
from support.repo_type_contract import TYPES

from oauth_helper.errors import IllegalNameError
from oauth_helper.models import (
    Authorization,
    LinkRequest,
    Namespace,
    Project,
    RepoType,
    as_argument,
    default_name,
    is_legal_name,
    what_is_wrong_in,
)
from oauth_helper.sandbox.git_host import PROVIDERS


def test_a_record_is_read_and_written_with_unknown_fields_and_in_its_order() -> None:
    authorization = Authorization.from_json(RECORD)
    assert authorization.avartar == RECORD["avartar"]
    assert authorization.create_time == 1679036601735
    assert authorization.works
    assert authorization.is_of(RepoType.GITHUB)
    assert list(authorization.to_json().items()) == list(RECORD.items())
    known = Authorization.from_json({key: value for key, value in RECORD.items() if key != "something_new"})
    assert authorization == known
    assert len({authorization, known}) == 1
    assert authorization != Authorization("my-auth", "github")
    assert authorization != RECORD
    written = Authorization("my-auth", "github", status=0).to_json()
    assert list(written) == [*(name for name in RECORD if name != "something_new"), "tag"]


@pytest.mark.parametrize(
    ("sent", "field", "value"),
    [
        ({"create_time": None}, "create_time", 0),
        ({"create_time": "1679036601735"}, "create_time", 1679036601735),
        ({"create_time": 5.0}, "create_time", 5),
        ({"create_time": "now"}, "create_time", 0),
        ({"repo_user": ["octocat"]}, "repo_user", ""),
        ({"tag": {}}, "tag", None),
        ({"status": "1"}, "status", 1),
    ],
)
def test_a_missing_or_unusable_field_has_its_default(sent: dict[str, object], field: str, value: object) -> None:
    assert getattr(Authorization.from_json({"name": "n"} | sent), field) == value


def test_an_authorization_works_unless_its_status_says_otherwise() -> None:
    assert Authorization("n").works
    assert not Authorization("n", status=1).works
    assert not Authorization("n", "Svn").is_of(RepoType.GITHUB)
    assert Authorization("n", "GitHub").is_of(RepoType.GITHUB)


def test_a_record_that_cannot_be_identified_is_refused() -> None:
    for kind, record in ((Authorization, {"repo_type": "github"}), (Project, {"id": "1"}), (Namespace, {"name": ""})):
        with pytest.raises(ValueError, match="without a name"):
            kind.from_json(record)
    assert Namespace.from_json({"id": 7}) == Namespace("7")
    assert Namespace("7").key == "7"
    assert Project.from_json({"name": "a", "id": 7}) == Project("7", "a")


@pytest.mark.parametrize("name", ["abc", "a" * 64, "näme", "with space", "a/bc", "abcd\n", "", "名字名字"])
def test_illegal_names_are_refused(name: str) -> None:
    with pytest.raises(IllegalNameError) as refused:
        LinkRequest(RepoType.GITHUB, name)
    assert refused.value.exit_status == 2
    assert "--name" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abc", 'Invalid name "abc": it has 3 characters'),
        ("a/bc", 'Invalid name: character 2 is "/" (U+002F SOLIDUS)'),
        ("abcd\n", "Invalid name: character 5 is U+000A LINE FEED"),
    ],
)
def test_the_message_says_what_is_wrong_with_a_name(name: str, message: str) -> None:
    assert what_is_wrong_in(name) == message


@pytest.mark.parametrize(("name", "argument"), [("my-auth", "my-auth"), ("-name", "-- -name"), ("a b", "'a b'")])
def test_a_name_is_quoted_for_a_shell(name: str, argument: str) -> None:
    assert as_argument(name) == argument


@given(st.text(), st.sampled_from(RepoType))
def test_the_default_name_is_always_legal(login_name: str, repo_type: RepoType) -> None:
    name = default_name(repo_type, login_name)
    assert is_legal_name(name)
    assert name.startswith(f"{repo_type}-")
    assert LinkRequest(repo_type, name).name == name


@pytest.mark.parametrize("repo_type", RepoType)
def test_the_facts_of_a_repository_type_agree_with_the_documents(repo_type: RepoType) -> None:
    contract = TYPES[repo_type.value]
    assert repo_type.git_credential == ("token" if contract.git_credential == "personal" else "password")
    assert repo_type.has_oauth is bool(contract.authorization_path)
    assert repo_type.display_name.isprintable()
    assert list(TYPES) == list(RepoType) == list(PROVIDERS)
