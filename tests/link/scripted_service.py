"""A ServiceStage that answers each call as the test says, and a journal in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from oauth_helper.errors import OAuthHelperError
from oauth_helper.exchange import Timing
from oauth_helper.journal import Journal
from oauth_helper.models import Authorization, Pending, RepoType, Target
from oauth_helper.secret import Secret
from oauth_helper.servicestage.client import ServiceStageClient

NAME = "my-auth"
CREATED = Authorization(NAME, "github", repo_user="octocat", create_time=2, status=0)
EXISTING = Authorization(NAME, "github", repo_user="hubot", create_time=1, status=0)
HANGS = "hangs"
"""As an answer: there is none."""
HURRIED = Timing(
    total=0.9,
    connecting=0.05,
    answer=0.25,
    list_call=0.2,
    verify_after=(0.02, 0.06, 0.14, 0.3),
    first_pause=0.01,
    longest_pause=0.08,
)
"""Fifty times as fast as usual."""

Answer = OAuthHelperError | Authorization | list[Authorization] | str | None


@dataclass
class ScriptedService(ServiceStageClient):
    """Gives each call the next of its answers, and the last one again and again."""

    creates: Sequence[Answer] = (CREATED,)
    lists: Sequence[Answer] = ((),)  # type: ignore[assignment]
    deletes: Sequence[Answer] = (None,)
    calls: list[tuple[str, float]] = field(default_factory=list)
    endpoint: str = "https://servicestage.example.com"
    project_id: str = "project"

    def times_of(self, call: str) -> list[float]:
        return [at for name, at in self.calls if name == call]

    @property
    def order(self) -> str:
        return " ".join(name for name, _ in self.calls)

    async def _next(self, call: str, answers: Sequence[Answer]) -> Answer:
        done = len(self.times_of(call))
        self.calls.append((call, asyncio.get_running_loop().time()))
        answer = answers[min(done, len(answers) - 1)]
        if answer == HANGS:
            await asyncio.Event().wait()
        if isinstance(answer, OAuthHelperError):
            raise answer
        return answer

    async def create_oauth(
        self, repo_type: RepoType, *, name: str, code: Secret, state: Secret, tag: str | None = None
    ) -> Authorization:
        sent = (repo_type, name, code.reveal(), state.reveal(), tag)
        assert sent in {
            ("github", NAME, "a-code", "a-state", None),
            ("github", NAME, "planted-code", "$2a$10$planted-state", "intl"),
        }
        created = await self._next("create", self.creates)
        assert isinstance(created, Authorization)
        return created

    async def list_authorizations(self, *, retry: bool = True) -> list[Authorization]:
        assert not retry
        return list(await self._next("list", self.lists))  # type: ignore[arg-type]

    async def delete_authorization(self, name: str) -> None:
        assert name == NAME
        await self._next("delete", self.deletes)


class MemoryJournal(Journal):
    """Remembers what was written; None means that it was removed."""

    def __init__(self) -> None:
        super().__init__(None)
        self.entries: list[Pending | None] = []

    @property
    def last(self) -> Pending | None:
        return self.entries[-1] if self.entries else None

    def write(self, pending: Pending) -> None:
        self.entries.append(pending)

    def remove(self, pending: Pending) -> None:
        self.entries.append(None)

    def find(self, target: Target, repo_type: RepoType) -> Pending | None:
        return self.last if self.last and (self.last.target, self.last.repo_type) == (target, repo_type) else None
