"""The completion scripts, sourced and used in the real shells."""

import os
from pathlib import Path

import pytest
from completing_shells import SHELLS, CompletingShell
from repo_type_contract import TYPES


@pytest.fixture(params=SHELLS, ids=lambda each: each.name)
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompletingShell:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "certificate.pem").touch()
    monkeypatch.chdir(folder)
    found: CompletingShell = request.param(folder, os.environ)
    return found


FITTING: dict[str, set[str]] = {
    "oauth-helper li": {"link", "list"},
    "oauth-helper --vers": {"--version"},
    "oauth-helper link git": {name for name in TYPES if name.startswith("git")},
    "oauth-helper link github --if-exists ": {"keep", "replace", "fail"},
    "oauth-helper link --browser c": {"chromium"},
    "oauth-helper link --browser=c": {"--browser=chromium"},
    "oauth-helper link --browser ./cert": {"./certificate.pem"},
    "oauth-helper link --endpoint http://127.0.0.1:1 --if": {"--if-exists"},
    "oauth-helper list --ca-bundle cert": {"certificate.pem"},
    "oauth-helper completion ": {"bash", "zsh", "fish"},
    "oauth-helper show ": set(),
}


async def test_what_fits_is_offered(shell: CompletingShell) -> None:
    expected = {words: offers for words, offers in FITTING.items() if not (shell.name == "bash" and "=" in words)}
    offered = await shell.offered(list(expected))
    assert dict(zip(expected, map(set, offered), strict=True)) == expected
