"""One process links a target; the others join it. With real files, locks, processes and sockets."""

import asyncio
import gzip
import json
import os
import resource
import stat
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from link.other_instances import (
    CODE,
    CONSOLE,
    LINKED,
    REDIRECT,
    REQUEST,
    STATE,
    TARGET,
    waiting,
    waiting_process,
)
from msgspec.structs import replace

from oauth_helper.errors import (
    DeadlineError,
    MachineError,
    NameTakenError,
    OAuthHelperError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
    UnreachableError,
)
from oauth_helper.events import Captured, Event, Failed, Joined, Linked, Outcome, Warned, Way
from oauth_helper.i18n import Language, _
from oauth_helper.models import Authorization, IfExists, LinkRequest, RepoType, Target
from oauth_helper.secret import Secret
from oauth_helper.single_instance import (
    InstanceInfo,
    RunGoneError,
    SingleRun,
    digest_of_state,
    lock_path,
    outcome_of,
    try_lock,
    waiting_instances,
    write_outcome,
)

KEY = "planted-key-canary-of-43-characters-0123456"
LISTENER = f"http://127.0.0.1:8080/start?k={KEY}"
CONTENT = {"format": 2, "name": "my-auth", "repo_type": "github", "port": 8080, "key": KEY, "state": "digest"}
OTHERS = [replace(TARGET, name="other"), replace(TARGET, project_id="other"), Target("https://o", "p", "my-auth")]
DOCUMENT = write_outcome(LINKED).encode()


def acquired(folder: Path, target: Target = TARGET) -> FileIO:
    lock = try_lock(lock_path(folder, target))
    assert lock
    return lock


def write(lock: FileIO, content: bytes) -> None:
    lock.seek(0)
    lock.truncate(0)
    lock.write(content)


def ignore(event: Event) -> None:
    pass


def single_run(folder: Path, tell: Callable[[Event], None] = ignore) -> SingleRun:
    return SingleRun(TARGET, RepoType.GITHUB, tell, folder=folder)


class TestLock:
    def test_it_is_private_and_excludes_other_links_of_its_target_even_in_one_process(self, tmp_path: Path) -> None:
        path = lock_path(tmp_path, TARGET)
        path.write_text("left by a killed process")
        with acquired(tmp_path) as lock:
            assert path.read_bytes() == b""
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert TARGET.name not in path.name
            assert not try_lock(path)
            for other in OTHERS:
                acquired(tmp_path, other).close()
            lock.close()
            with acquired(tmp_path):
                lock.close()
                assert not try_lock(path)
        acquired(tmp_path).close()

    def test_it_ends_with_the_process_although_a_child_lives_on(self, tmp_path: Path) -> None:
        with waiting_process(tmp_path) as process:
            assert [one.name for one in waiting_instances(tmp_path)] == ["my-auth"]
            process.kill()
            os.kill(process.child, 0)
            assert waiting_instances(tmp_path) == []
            acquired(tmp_path).close()

    def test_what_cannot_be_locked_is_reported(self, tmp_path: Path) -> None:
        path = lock_path(tmp_path, TARGET)
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(MachineError, match=f"{path} cannot be locked: ") as caught:
            try_lock(path)
        assert caught.value.exit_status == 9
        assert not (tmp_path / "elsewhere").exists()
        with pytest.raises(MachineError, match="cannot be locked: No such file or directory"):
            try_lock(tmp_path / "missing" / path.name)


class TestAnnouncement:
    async def test_a_waiting_link_is_found_until_its_wait_ends(self, tmp_path: Path) -> None:
        run = single_run(tmp_path)
        async with run.acquired_or_joined(REQUEST):
            assert waiting_instances(tmp_path) == []
            with suppress(KeyboardInterrupt), run.announced(LISTENER, Secret(STATE)):
                [instance] = waiting_instances(tmp_path)
                raise KeyboardInterrupt
            assert waiting_instances(tmp_path) == []
            with run.announced(LISTENER, Secret("another state")):
                [again] = waiting_instances(tmp_path)
                assert again.state == digest_of_state("another state")
        assert waiting_instances(tmp_path) == []
        assert (instance.name, instance.repo_type) == ("my-auth", RepoType.GITHUB)
        assert (instance.port, instance.key.reveal()) == (8080, KEY)
        assert KEY not in f"{instance} {instance!r}"
        assert instance.state == digest_of_state(STATE)

    async def test_a_full_disk_is_reported(self, tmp_path: Path) -> None:
        told: list[Event] = []
        run = single_run(tmp_path, told.append)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with run.acquired_or_joined(REQUEST):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            try:
                with run.announced(LISTENER, Secret(STATE)):
                    pass
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        [warned] = told
        assert isinstance(warned, Warned)
        assert "cannot be written: File too large; other runs will not find this one." in warned.message

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"null",
            b"[" * 60_000,
            json.dumps(CONTENT).encode()[:-1],
            b"\xff\xfe\x00",
            json.dumps(CONTENT | {"padding": "x" * 70_000}).encode(),
            *(
                json.dumps(CONTENT | change).encode()
                for change in ({"format": 1}, {"name": None}, {"repo_type": "svn"}, {"port": 0}, {"port": 65536})
            ),
            *(json.dumps(CONTENT | change).encode() for change in ({"port": "8080"}, {"key": ["k"]}, {"state": 1})),
        ],
        ids=range(14),
    )
    def test_other_contents_are_ignored(self, tmp_path: Path, content: bytes) -> None:
        with acquired(tmp_path) as lock:
            write(lock, content)
            assert waiting_instances(tmp_path) == []

    def test_files_of_others_are_ignored(self, tmp_path: Path) -> None:
        path = lock_path(tmp_path, TARGET)
        with acquired(tmp_path) as lock:
            write(lock, json.dumps(CONTENT).encode())
            assert len(waiting_instances(tmp_path)) == 1
            for name in ("notes.lock", f"{'0' * 31}.lock", f"{'A' * 32}.lock", f"{'0' * 32}.json"):
                (tmp_path / name).write_text("untouched")
            assert len(waiting_instances(tmp_path)) == 1
            assert [each.read_text() for each in tmp_path.glob("*.*") if each != path] == ["untouched"] * 4
            path.chmod(0o622)
            assert waiting_instances(tmp_path) == []
            path.chmod(0o600)
            if os.geteuid() == 0:  # only root can give a file to another user
                os.chown(path, 65534, 65534)
                assert waiting_instances(tmp_path) == []


async def joined(
    folder: Path, tell: Callable[[Event], None], request: LinkRequest = REQUEST, **options: Any
) -> Linked | None:
    async with single_run(folder, tell).acquired_or_joined(request, **options) as linked:
        return linked


class TestJoining:
    async def test_the_second_link_gets_what_the_first_one_creates(self, tmp_path: Path) -> None:
        told: list[Event] = []
        async with waiting(tmp_path) as first, asyncio.TaskGroup() as tasks:
            second = tasks.create_task(
                joined(tmp_path, told.append, paste=lambda instance: outcome_of(instance, REDIRECT))
            )
            assert await second == Linked(LINKED.authorization, kept=True)
        assert told == [Joined("my-auth"), Linked(LINKED.authorization, kept=True)]
        assert Captured(Way.DELIVER) in first.told

    @pytest.mark.parametrize(
        ("outcome", "if_exists", "error"),
        [
            (Failed(UnreachableError(_("No connection"), sent=False)), IfExists.KEEP, UnreachableError),
            (LINKED, IfExists.FAIL, NameTakenError),
            (Linked(Authorization("my-auth", "gitlab", status=0)), IfExists.KEEP, NameTakenError),
        ],
    )
    async def test_the_second_link_fails_if_it_would_fail_alone(
        self, tmp_path: Path, outcome: Outcome, if_exists: IfExists, error: type[OAuthHelperError]
    ) -> None:
        told: list[Event] = []
        async with waiting(tmp_path, outcome=outcome) as first:
            first.receiver.judge(REDIRECT, Way.PAGE)
            with pytest.raises(error) as raised:
                await joined(tmp_path, told.append, replace(REQUEST, if_exists=if_exists))
        assert told[-1] == Failed(raised.value)

    @pytest.mark.parametrize("error", [StoppedError(_("Terminated")), OutcomeUnknownError(_("No answer"))], ids=str)
    async def test_the_second_link_continues_if_the_first_one_is_stopped(
        self, tmp_path: Path, error: OAuthHelperError
    ) -> None:
        async with waiting(tmp_path, outcome=Failed(error)) as first:
            first.receiver.judge(REDIRECT, Way.PAGE)
            second = asyncio.create_task(joined(tmp_path, ignore))
            await asyncio.sleep(0)
        assert await second is None

    async def test_the_second_link_continues_if_the_first_one_is_killed(self, tmp_path: Path) -> None:
        told: asyncio.Queue[Event] = asyncio.Queue()
        with waiting_process(tmp_path) as process:
            second = asyncio.create_task(joined(tmp_path, told.put_nowait))
            assert await told.get() == Joined("my-auth")
            process.kill()
            assert await second is None
        assert told.empty()

    async def test_a_link_that_cannot_be_reached_is_waited_for(self, tmp_path: Path) -> None:
        told: list[Event] = []
        with acquired(tmp_path), pytest.raises(DeadlineError, match="Another oauth-helper is still linking my-auth"):
            await joined(tmp_path, told.append, replace(REQUEST, timeout=1.1))
        assert told[0] == Joined("my-auth", can_deliver=False)
        assert isinstance(told[1], Failed)

    async def test_a_resumption_waits_for_the_lock(self, tmp_path: Path) -> None:
        with acquired(tmp_path) as lock:
            async with single_run(tmp_path).acquired(0.05) as is_ours:
                assert not is_ours
            asyncio.get_running_loop().call_soon(lock.close)
            async with single_run(tmp_path).acquired(5) as is_ours:
                assert is_ours
                assert not try_lock(lock_path(tmp_path, TARGET))
        acquired(tmp_path).close()

    @pytest.mark.parametrize("is_missing", [True, False])
    async def test_without_a_folder_each_link_continues_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_missing: bool
    ) -> None:
        told: list[Event] = []
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        (tmp_path / "oauth-helper").touch()
        run = SingleRun(TARGET, RepoType.GITHUB, told.append, folder=tmp_path / "missing" if is_missing else None)
        async with run.acquired_or_joined(REQUEST) as linked, run.acquired(1) as is_ours:
            assert (linked, is_ours) == (None, True)
            with run.announced(LISTENER, Secret(STATE)):
                pass
        assert {isinstance(event, Warned) and event.once for event in told} == {True}


class TestDelivery:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("nothing", "no-redirect"),
            (f"{CONSOLE}?state=x&code=1", "foreign-state"),
            ("x" * 70_000, "too-long"),
            ("ü" * 70_000, "too-long"),
            *((text, "no-redirect") for text in ("", "\0", "\ud800\udfff", "redirect=x&way=page", "\r\nX: y", "%")),
        ],
    )
    async def test_other_texts_are_rejected_and_the_wait_goes_on(self, tmp_path: Path, text: str, reason: str) -> None:
        async with waiting(tmp_path) as link:
            with pytest.raises(RedirectRejectedError) as caught:
                await outcome_of(link.info, text)
            assert (caught.value.reason, caught.value.exit_status) == (reason, 2)
            assert await outcome_of(link.info, REDIRECT) == LINKED

    async def test_the_answer_is_in_the_language_that_is_asked_for(self, tmp_path: Path) -> None:
        error = Failed(OutcomeUnknownError(_('ServiceStage did not create "{name}"', name="x")))
        async with waiting(tmp_path, outcome=error) as link:
            with pytest.raises(RedirectRejectedError) as rejected:
                await outcome_of(link.info, "nothing", language=Language.CHINESE)
            assert not rejected.value.message.isascii()
            chinese = await outcome_of(link.info, REDIRECT, language=Language.CHINESE)
            english = await outcome_of(link.info)
        assert isinstance(chinese, Failed)
        assert not chinese.error.message.isascii()
        assert isinstance(english, Failed)
        assert english.error.message == error.error.message

    async def test_an_end_without_an_outcome_is_reported_as_not_known(self, tmp_path: Path) -> None:
        async with asyncio.TaskGroup() as tasks, waiting(tmp_path, timeout=5) as link:
            outcome = tasks.create_task(outcome_of(link.info))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await asyncio.shield(outcome)
        told = outcome.result()
        assert isinstance(told, Failed)
        assert isinstance(told.error, OutcomeUnknownError)


@asynccontextmanager
async def another_program(answer: bytes | Callable[[], bytes]) -> AsyncIterator[tuple[InstanceInfo, list[bytes]]]:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer if isinstance(answer, bytes) else answer())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield InstanceInfo(TARGET.name, RepoType.GITHUB, port, Secret(KEY), "digest"), requests


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content_Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class TestRequests:
    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            http(b"", "404 Not Found"),
            http(b"<!DOCTYPE html><title>Hello</title>"),
            http(b"", "302 Found", Location="/elsewhere"),
            http(b"", "307 Temporary Redirect", Location="/elsewhere"),
            http(DOCUMENT[:-1]),
            http(DOCUMENT, Content_Length=str(len(DOCUMENT) + 1)),
            http(b" " * 2_000_000 + DOCUMENT),
            http(gzip.compress(DOCUMENT), Content_Encoding="gzip"),
        ],
        ids=range(10),
    )
    async def test_another_program_on_the_port_means_that_the_process_is_gone(self, answer: bytes) -> None:
        async with another_program(answer) as (instance, requests):
            for request in (outcome_of(instance), outcome_of(instance, REDIRECT)):
                with pytest.raises(RunGoneError) as caught:
                    await request
                shown = "".join(traceback.format_exception(caught.value))
                assert not [secret for secret in (KEY, CODE, STATE) if secret in shown]
        assert not [request for request in requests if b"elsewhere" in request]
        with pytest.raises(RunGoneError):
            await outcome_of(instance)  # nothing listens any more

    async def test_a_listener_that_answers_at_once_is_not_asked_all_the_time(self) -> None:
        async with another_program(http(write_outcome(None).encode())) as (instance, requests):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.35):
                    await outcome_of(instance)
        assert 1 <= len(requests) <= 4

    async def test_they_use_no_proxy_no_cookies_and_name_no_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with another_program(http(DOCUMENT, Set_Cookie="a=b")) as (instance, requests):
            assert await outcome_of(instance) == LINKED
            assert await outcome_of(instance) == LINKED
        lines = requests[1].decode().lower().split("\r\n")
        assert lines[0] == f"get /outcome?k={KEY} http/1.1".lower()
        assert f"host: 127.0.0.1:{instance.port}" in lines
        assert not [line for line in lines if line.startswith(("cookie:", "origin:", "referer:", "user-agent:"))]
