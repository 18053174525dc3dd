"""The file of ``apply``: what it may declare, how errors in it are reported, and the plan."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_helper.apply_file import Entry, Method, check_steps, parse_entries, plan_steps
from oauth_helper.errors import CredentialsError, NameTakenError, UsageError
from oauth_helper.models import Authorization, RepoType

WHOLE = """
[[authorization]]
name = "team-github"
repo_type = "GitHub"
tag = "intl"

[[authorization]]
name = "team-gitlab"
repo_type = "gitlab"
method = "token"
host = "https://git.corp.example/gitlab"
secret = "GITLAB_TOKEN"

[[authorization]]
name = "team-bitbucket"
repo_type = "bitbucket"
method = "password"
user = "ada"
secret = "BITBUCKET_PASSWORD"
"""


def one(**fields: str) -> str:
    usual = {"name": "my-auth", "repo_type": "github"}
    lines = (f'{key} = "{value}"' for key, value in (usual | fields).items() if value)
    return "[[authorization]]\n" + "\n".join(lines)


def parsed(text: str) -> tuple[Entry, ...]:
    return parse_entries(text, origin="team.toml")


def test_entries_of_each_method_are_read() -> None:
    assert parsed(WHOLE) == (
        Entry("team-github", RepoType.GITHUB, Method.OAUTH, tag="intl"),
        Entry(
            "team-gitlab",
            RepoType.GITLAB,
            Method.TOKEN,
            host="https://git.corp.example/gitlab",
            secret="GITLAB_TOKEN",
        ),
        Entry("team-bitbucket", RepoType.BITBUCKET, Method.PASSWORD, user="ada", secret="BITBUCKET_PASSWORD"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no [[authorization]]"),
        ("authorization = 3", "it has no [[authorization]]"),
        ("authorization = []", "it has no [[authorization]]"),
        ("authorization = [3]", "entry 1: it is not a table"),
        ("broken", "cannot be read"),
        ("[" * 5000, "cannot be read"),
        (f"{one()}\n[other]\nkey = 1", "unknown key other"),
        (one(name="x"), 'entry 1: Invalid name "x": it has 1 character'),
        (one(name=""), "entry 1: Invalid name: it has 0 characters"),
        (one(repo_type="svn"), "repo_type is 'svn', and not one of github"),
        (one(method="magic"), "method is 'magic', and not one of oauth, token, password"),
        (one(method="password", user="a", secret="S"), "github cannot be linked by password"),
        (one(repo_type="bitbucket", method="token", secret="S"), "bitbucket cannot be linked by token"),
        (one(secret="S"), "an entry whose method is oauth has no key secret"),
        (one(method="token", secret="S", tag="intl"), "an entry whose method is token has no key tag"),
        (one(method="token"), "secret missing, which the method token needs"),
        (one(repo_type="bitbucket", method="password"), "user and secret missing"),
        (one(method="token", secret="S", host="http://git.example"), "plain http"),
        (one(method="token", secret="S", host="https://"), "not a usable address"),
        (f"{one()}\n{one()}", "it declares my-auth twice"),
        ('[[authorization]]\nname = 3\nrepo_type = "github"', "name is not a text on one line"),
        (
            '[[authorization]]\nname = "my-auth"\ntype = "github"',
            'an entry whose method is oauth has no key type; did you mean "repo_type"?',
        ),
        (one(user="a\\u001bb"), "user is not a text on one line"),
    ],
)
def test_an_error_in_the_file_is_reported_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(text)
    assert words in refused.value.message
    assert refused.value.message.startswith("team.toml")
    assert refused.value.message.isprintable()


@given(st.text(max_size=300))
def test_any_text_is_read_or_a_usage_error(text: str) -> None:
    for offered in (text, WHOLE.replace("github", text, 1), f"{WHOLE}\n{text}"):
        with suppress(UsageError):
            parsed(offered)


def existing(name: str, repo_type: str, status: int = 0) -> Authorization:
    return Authorization(name, repo_type, status=status)


@pytest.mark.parametrize(
    ("exists", "missing", "error"),
    [
        ([existing("team-github", "github"), existing("team-gitlab", "gitee")], 1, "of type gitee. Nothing was done"),
        (
            [existing(name, "gitee") for name in ("team-github", "team-gitlab", "team-bitbucket")],
            0,
            'team-github" already exists, of type gitee (and 2 more). Nothing was done',
        ),
        ([existing("team-github", "github", status=1)], 2, "does not work (status 1). Nothing was done"),
        ([existing("team-gitlab", "gitlab")], 2, "secret of entry 3 is not an environment variable that is set"),
    ],
)
def test_what_exists_is_kept_and_what_blocks_an_entry_is_reported(
    exists: list[Authorization], missing: int, error: str
) -> None:
    steps = plan_steps(parsed(WHOLE), exists)
    assert sum(step.is_missing for step in steps) == missing
    with pytest.raises((NameTakenError, CredentialsError)) as refused:
        check_steps(steps, {})
    assert error in refused.value.message


def test_a_missing_secret_is_reported_only_if_it_is_needed() -> None:
    check_steps(plan_steps(parsed(WHOLE), [existing("team-gitlab", "gitlab")]), {"BITBUCKET_PASSWORD": "x"})
