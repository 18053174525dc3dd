"""The project's id is asked of IAM once, and remembered where nobody else can write."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from aiohttp import web
from fake_servicestage import KEY, FakeServiceStage, Received

from oauth_helper.api import open_service
from oauth_helper.credential_sources import FoundCredentials
from oauth_helper.credentials import AccessKey, IamToken
from oauth_helper.errors import NotPermittedError, RefusedError, SettingsError
from oauth_helper.i18n import _
from oauth_helper.known_projects import Asked, KnownProjects
from oauth_helper.settings import Settings, Sources, resolve_settings
from oauth_helper.values import FileValues, Sourced

ASKED = Asked("https://iam.example", "cn-north-4", "AKIDEXAMPLE")
FOUND: FoundCredentials = Sourced(KEY, "the test")
TEMPORARY: FoundCredentials = Sourced(AccessKey("AccessKey", "SecretKey", "security-token"), "the test")
TOKEN: FoundCredentials = Sourced(IamToken("MIIE-token"), "the test")


def test_a_project_is_found_again_and_the_access_key_is_not(tmp_path: Path) -> None:
    known = KnownProjects(tmp_path / "projects")
    assert known.find(ASKED) is None
    assert not (tmp_path / "projects").exists(), "to look makes nothing"
    known.remember(ASKED, "0123456789abcdef")
    assert known.find(ASKED) == "0123456789abcdef"
    [file] = (tmp_path / "projects").iterdir()
    assert "AKIDEXAMPLE" not in file.name + file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "other",
    [
        Asked("https://iam.example", "cn-north-4", "ANOTHER"),
        Asked("https://iam.example", "cn-north-1", "AKIDEXAMPLE"),
        Asked("https://iam.other.example", "cn-north-4", "AKIDEXAMPLE"),
    ],
)
def test_another_key_region_or_iam_has_another_project(other: Asked, tmp_path: Path) -> None:
    known = KnownProjects(tmp_path / "projects")
    known.remember(ASKED, "0123456789abcdef")
    assert known.find(other) is None


@pytest.mark.parametrize("text", ["", "a b", "../../etc", "x" * 65, "a\nb"])
def test_what_is_no_id_is_not_believed_nor_written(text: str, tmp_path: Path) -> None:
    known = KnownProjects(tmp_path / "projects")
    known.remember(ASKED, text)
    assert not (tmp_path / "projects").exists()
    known.remember(ASKED, "0123456789abcdef")
    (tmp_path / "projects" / ASKED.file_name).write_text(text, encoding="utf-8")
    assert known.find(ASKED) is None


def test_a_folder_that_cannot_be_had_or_trusted_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = KnownProjects(tmp_path / "file" / "projects")
    known.remember(ASKED, "0123456789abcdef")
    known.forget(ASKED)
    assert known.find(ASKED) is None
    others = KnownProjects(tmp_path / "others")
    others.remember(ASKED, "0123456789abcdef")
    (tmp_path / "others").chmod(0o777)
    assert others.find(ASKED) is None


def settings_for(fake: FakeServiceStage) -> Settings:
    flags = {"region": "cn-north-4", "endpoint": fake.endpoint, "iam_endpoint": fake.endpoint}
    return resolve_settings(Sources(flags, {}, FileValues(""), FileValues("")))


def answer(request: Received) -> web.Response:
    if request.target.startswith("/v3/projects"):
        return web.json_response({"projects": [{"id": "0123456789abcdef"}]})
    if "/0123456789abcdef/" in request.target:
        return web.json_response({"authorizations": []})
    return web.json_response({"error_code": "IAM.0002", "error_msg": "no"}, status=403)


async def listed(fake: FakeServiceStage, identity: FoundCredentials = FOUND) -> None:
    async with open_service(settings_for(fake), identity) as service:
        await service.list_authorizations()


async def test_iam_is_asked_once() -> None:
    async with FakeServiceStage(answer) as fake:
        for _unused in range(3):
            await listed(fake)
    assert [request.target.partition("?")[0] for request in fake.received].count("/v3/projects") == 1
    assert len(fake.received) == 4


@pytest.mark.parametrize("identity", [TEMPORARY, TOKEN])
async def test_nothing_is_remembered_of_what_does_not_last(identity: FoundCredentials) -> None:
    async with FakeServiceStage(answer) as fake:
        for _unused in range(2):
            await listed(fake, identity)
    assert len(fake.received) == 4


async def test_an_id_that_turns_out_to_be_wrong_is_forgotten() -> None:
    async with FakeServiceStage(answer) as fake:
        asked = Asked(fake.endpoint, "cn-north-4", KEY.access_key)
        KnownProjects.of_the_user().remember(asked, "gone")
        with pytest.raises(NotPermittedError):
            await listed(fake)
        await listed(fake)
    assert KnownProjects.of_the_user().find(asked) == "0123456789abcdef"


async def test_an_id_is_not_forgotten_for_a_refusal_of_servicestages_own() -> None:
    def refuses(request: Received) -> web.Response:
        if "/0123456789abcdef/" in request.target:
            return web.json_response({"error_code": "SVCSTG.REPO.0400", "error_msg": "no"}, status=400)
        return answer(request)

    async with FakeServiceStage(refuses) as fake:
        asked = Asked(fake.endpoint, "cn-north-4", KEY.access_key)
        KnownProjects.of_the_user().remember(asked, "0123456789abcdef")
        with pytest.raises(RefusedError) as raised:
            await listed(fake)
    assert "remembered" not in raised.value.hint
    assert KnownProjects.of_the_user().find(asked) == "0123456789abcdef"


async def test_an_id_is_not_forgotten_for_what_has_nothing_to_do_with_it() -> None:
    async with FakeServiceStage(answer) as fake:
        await listed(fake)
        with pytest.raises(SettingsError):
            async with open_service(settings_for(fake), FOUND):
                raise SettingsError(_("of the test"))
        await listed(fake)
    assert [request.target.partition("?")[0] for request in fake.received].count("/v3/projects") == 1
