"""An exchange with a ServiceStage that answers as it is told to."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace
from paper_doors import CREATED, HURRIED, NAME, PaperJournal

from oauth_helper.errors import (
    CodeOrStateInvalidError,
    NameTakenError,
    NotPermittedError,
    OAuthHelperError,
    UnreachableError,
    UnusableAnswerError,
)
from oauth_helper.events import Event
from oauth_helper.exchange import Exchange
from oauth_helper.i18n import _
from oauth_helper.models import Authorization, Pending, RepoType, Target
from oauth_helper.secret import Secret

PENDING = Pending(
    Target("https://servicestage.paper.example", "project", NAME),
    RepoType.GITHUB,
    datetime.now(UTC),
    Secret("planted-code"),
    Secret("planted-state"),
)
UNSENT = UnreachableError(_("refused"), sent=False)
RESET = UnreachableError(_("reset"), sent=True)
BUSY = UnusableAnswerError(_("status 503"), sent=True, status=503)
LATE = UnusableAnswerError(_("status 504"), sent=True, status=504)
USED = CodeOrStateInvalidError(_("used"), code="SVCSTG.REPO.0402")
TAKEN = NameTakenError(_("taken"), code="SVCSTG.REPO.0403")
NO_LIST = NotPermittedError(_("may not list"))
OTHER = Authorization("console-made", "github", create_time=9)
HANGS = "hangs"

Answer = OAuthHelperError | Authorization | str
Look = OAuthHelperError | list[Authorization] | str


@dataclass
class ScriptedService:
    """Answers each call with the next of what it was given; the last of it again and again."""

    creates: Sequence[Answer] = (CREATED,)
    looks: Sequence[Look] = field(default_factory=lambda: [[]])
    deletes: Sequence[OAuthHelperError | str | None] = (None,)
    calls: list[tuple[str, float]] = field(default_factory=list)

    async def _next(self, call: str, script: Sequence[object]) -> object:
        done = len(self.made(call))
        self.calls.append((call, asyncio.get_running_loop().time()))
        answer = script[min(done, len(script) - 1)]
        if answer == HANGS:
            await asyncio.Event().wait()
        if isinstance(answer, OAuthHelperError):
            raise answer
        return answer

    def made(self, call: str) -> list[float]:
        return [at for name, at in self.calls if name == call]

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        assert (repo_type, name, code.reveal(), state.reveal(), tag) == (
            RepoType.GITHUB,
            NAME,
            "planted-code",
            "planted-state",
            None,
        )
        created = await self._next("create", self.creates)
        assert isinstance(created, Authorization)
        return created

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        listed = await self._next("list", self.looks)
        assert isinstance(listed, list)
        return listed

    async def delete_authorization(self, name: str) -> None:
        assert name == NAME
        await self._next("delete", self.deletes)


@dataclass
class Run:
    service: ScriptedService
    journal: PaperJournal = field(default_factory=PaperJournal)
    told: list[Event] = field(default_factory=list)

    def exchange(
        self,
        pending: Pending = PENDING,
        *,
        known: Collection[str] | None = None,
        may_list: bool = True,
        is_resumed: bool = False,
    ) -> Exchange:
        return Exchange(
            replace(pending, captured_at=pending.sent_at or datetime.now(UTC)),
            self.service,
            self.journal,
            self.told.append,
            timing=HURRIED,
            known=known,
            may_list=may_list,
            is_resumed=is_resumed,
        )

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.service.calls]

    @property
    def is_kept(self) -> bool:
        return bool(self.journal.entries) and self.journal.entries[-1] is not None
