"""A name that was taken while the user authorized, and what an earlier run has left under the name."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from paper_doors import CREATED, NAME, STANDING, PaperDoors, PaperJournal, PaperService, consents

from oauth_helper.errors import NameTakenError, NotPermittedError, UnusableAnswerError
from oauth_helper.events import Linked, Warned
from oauth_helper.i18n import _
from oauth_helper.link_steps import link
from oauth_helper.models import Authorization, IfExists, LinkRequest, Pending, RepoType, Target
from oauth_helper.secret import Secret


@dataclass
class RacedService(PaperService):
    """Somebody else takes the name after the check."""

    taken_by: Authorization = STANDING

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        if not self.existing and f"delete {NAME}" not in self.calls:
            self.existing = [self.taken_by]
            raise NameTakenError(_("taken"))
        return await super().create_oauth(repo_type, name=name, code=code, state=state, tag=tag)

    async def delete_authorization(self, name: str) -> None:
        await super().delete_authorization(name)
        self.existing = []


async def linked(service: PaperService, if_exists: IfExists, doors: PaperDoors | None = None) -> Linked:
    request = LinkRequest(RepoType.GITHUB, NAME, if_exists=if_exists)
    return await link(request, service, (doors or PaperDoors(consents)).as_doors())


async def test_what_was_made_meanwhile_is_kept_where_it_may_be_and_replaced_where_it_is_to_be() -> None:
    assert await linked(RacedService(), IfExists.KEEP) == Linked(STANDING, kept=True)
    replaced = RacedService()
    assert await linked(replaced, IfExists.REPLACE) == Linked(CREATED)
    after_the_refusal = replaced.calls[replaced.calls.index("list", 1) :]
    assert [call.split()[0] for call in after_the_refusal] == ["list", "delete", "create"], "nothing is waited for"


@pytest.mark.parametrize(
    ("if_exists", "taken_by"),
    [(IfExists.FAIL, STANDING), (IfExists.KEEP, replace(STANDING, repo_type="gitlab"))],
    ids=["fail", "another type"],
)
async def test_what_was_made_meanwhile_stands_in_the_way_as_if_it_had_been_there(
    if_exists: IfExists, taken_by: Authorization
) -> None:
    with pytest.raises(NameTakenError):
        await linked(RacedService(taken_by=taken_by), if_exists)


async def test_a_name_that_is_taken_again_after_what_bore_it_was_deleted_is_left_to_who_took_it() -> None:
    class Taken(PaperService):
        async def create_oauth(
            self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
        ) -> Authorization:
            self.calls.append("create")
            self.existing = [replace(STANDING, create_time=5)]
            raise NameTakenError(_("taken"))

    service = Taken(existing=[STANDING])
    with pytest.raises(NameTakenError):
        await linked(service, IfExists.REPLACE)
    assert service.calls.count(f"delete {NAME}") == service.calls.count("create") == 1


async def test_a_code_that_may_be_used_up_is_not_sent_again_for_a_taken_name() -> None:
    class Lost(PaperService):
        async def create_oauth(
            self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
        ) -> Authorization:
            self.calls.append("create")
            if self.calls.count("create") == 1:
                raise UnusableAnswerError(_("busy"), sent=True, status=503)
            raise NameTakenError(_("taken"))

        async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
            made_by_another = replace(STANDING, repo_type="gitlab")
            return [made_by_another] if self.calls.count("create") > 1 else []

    service = Lost()
    with pytest.raises(NameTakenError):
        await linked(service, IfExists.REPLACE)
    assert service.calls == ["url github None", "create", "create"]


async def test_who_may_not_list_and_runs_the_command_again_is_not_held_up_by_what_cannot_be_known() -> None:
    class Unlisted(PaperService):
        async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
            raise NotPermittedError(_("may not list"))

    service = Unlisted()
    sent = Pending(
        Target(service.endpoint, service.project_id, NAME),
        RepoType.GITHUB,
        datetime.now(UTC),
        Secret("earlier-code"),
        Secret("earlier-state"),
        sent_at=datetime.now(UTC),
    )
    doors = PaperDoors(consents, journal=PaperJournal([sent]))
    assert await linked(service, IfExists.KEEP, doors) == Linked(CREATED)
    said = [event.message for event in doors.told if isinstance(event, Warned)]
    assert any("cannot be known" in words and "Linking it again" in words for words in said)


@pytest.mark.parametrize("field", ["code", "state", "tag", "endpoint", "project_id"])
@pytest.mark.parametrize("text", ["a\r\nb", "\ud800", "\x1b[31m"])
def test_an_entry_with_what_no_run_of_ours_would_write_is_not_read(field: str, text: str) -> None:
    entry = Pending(Target("https://x.example", "project", NAME), RepoType.GITHUB, datetime.now(UTC), None, None)
    with pytest.raises(ValueError, match="unprintable"):
        Pending.from_json(entry.to_json() | {field: text})
