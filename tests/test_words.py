"""The words: a secret that does not show itself, the API's record, the error tree, presentable text."""

import copy
import dataclasses
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.repo_type_contract import TYPES

from oauth_helper import errors
from oauth_helper.errors import IllegalNameError, OAuthHelperError
from oauth_helper.models import Authorization, LinkRequest, RepoType, default_name, is_legal_name
from oauth_helper.sandbox.git_host import PROVIDERS
from oauth_helper.secret import Secret, safe_text

RECORD = {
    "name": "my-auth",
    "repo_type": "github",
    "repo_host": "https://api.github.com",
    "repo_home": "https://github.com/octocat",
    "repo_user": "octocat",
    "avartar": "https://github.com/octocat.png",
    "token_type": "oauth",
    "create_time": 1679036601735,
    "update_time": 1679036601735,
    "status": 0,
    "something_new": {"kept": True},
}


def error_classes() -> list[type[OAuthHelperError]]:
    found = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, OAuthHelperError)
    ]
    assert len(found) > 20
    return found


def test_a_secret_shows_stars_wherever_it_is_shown() -> None:
    secret = Secret("planted")
    holder = dataclasses.make_dataclass("Holder", [("secret", Secret)])(secret)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", f"{secret:20}", repr(holder)]
    shown.append(str(dataclasses.asdict(holder)))
    assert not [text for text in shown if "planted" in text]
    assert secret.reveal() == "planted"
    assert copy.copy(secret) is secret
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
    assert Secret("a").matches("a")
    assert not Secret("a").matches("\ud800")
    assert Secret("a")
    assert not Secret("")


def test_the_apis_record_is_read_and_given_back_as_it_came() -> None:
    authorization = Authorization.from_json(RECORD)
    assert authorization.avartar == RECORD["avartar"]
    assert authorization.create_time == 1679036601735
    assert authorization.works
    assert authorization.is_of(RepoType.GITHUB)
    assert authorization.to_json() == RECORD
    assert list(authorization.to_json()) == list(RECORD)


def test_what_the_api_leaves_out_is_data_not_an_error() -> None:
    authorization = Authorization.from_json({"name": "n", "repo_type": "Svn", "create_time": None, "tag": "intl"})
    assert authorization.repo_user == ""
    assert authorization.create_time == 0
    assert authorization.status is None
    assert authorization.tag == "intl"
    assert authorization.works
    assert not Authorization.from_json(RECORD | {"status": 1}).works
    with pytest.raises(ValueError, match="without a name"):
        Authorization.from_json({"repo_type": "github"})


def test_a_record_of_our_own_making_is_given_in_the_apis_spelling() -> None:
    given_back = Authorization("my-auth", "github", status=0).to_json()
    assert given_back["avartar"] == ""
    assert "record" not in given_back


@pytest.mark.parametrize("name", ["abcd", "a" * 63, "A.b_c-1"])
def test_legal_names_are_accepted(name: str) -> None:
    assert LinkRequest(RepoType.GITHUB, name).name == name


@pytest.mark.parametrize("name", ["abc", "a" * 64, "näme", "with space", "a/bc", "abcd\n", "", "名字名字"])
def test_illegal_names_are_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(IllegalNameError) as refused:
        LinkRequest(RepoType.GITHUB, name)
    assert refused.value.exit_status == 2
    assert "--name" in refused.value.hint


@pytest.mark.parametrize("repo_type", RepoType)
def test_what_we_know_of_each_repository_type_is_what_its_documents_say(repo_type: RepoType) -> None:
    contract = TYPES[repo_type.value]
    assert repo_type.git_credential == ("token" if contract.git_credential == "personal" else "password")
    assert repo_type.has_oauth is bool(contract.authorization_path)
    assert repo_type.display_name.isprintable()


def test_the_documents_have_no_repository_type_that_we_do_not_know() -> None:
    assert list(TYPES) == list(RepoType) == list(PROVIDERS)


@given(st.text(), st.sampled_from(RepoType))
def test_the_default_name_is_always_legal(login_name: str, repo_type: RepoType) -> None:
    name = default_name(repo_type, login_name)
    assert is_legal_name(name)
    assert name.startswith(f"{repo_type}-")


def test_every_error_says_what_to_do_and_the_drawn_tree_is_the_tree() -> None:
    drawing = errors.__doc__ or ""
    for error in error_classes():
        assert error.default_hint
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.kind)
        drawn = re.search(rf"\b{error.__name__} +(\d+)", drawing)
        assert drawn, f"{error.__name__} is not drawn"
        assert int(drawn.group(1)) in {error.exit_status, 128}
        parent = error.__bases__[0]
        if issubclass(parent, OAuthHelperError):
            before = drawing[: drawn.start()]
            assert parent.__name__ in before, "drawn under its parent"
            assert before.rindex("\n") < drawn.start()
    assert len({error.kind for error in error_classes()}) == len(error_classes())


@given(st.text(st.characters(codec=None, exclude_categories=())), st.integers(10, 50))
def test_presentable_text_is_one_short_line_without_controls(text: str, limit: int) -> None:
    shown = safe_text(text, limit=limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert safe_text("a\x1b[31m\r\nb\u202ec") == "a[31m bc"
