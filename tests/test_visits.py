"""Visits to the listener of another run, over real sockets: delivered redirects, and endings that all are told."""

import asyncio
import gzip
import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.listener import ADDRESS, CODE, DENIAL, LINKED, STATE, RedirectReceiver
from waiting_runs import TARGET, waiting, waiting_elsewhere

from oauth_helper.errors import (
    AuthorizationDeniedError,
    OutcomeUnknownError,
    RedirectRejectedError,
    StoppedError,
    UnreachableError,
)
from oauth_helper.events import Failed, Outcome, Way
from oauth_helper.i18n import _
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.single_instance import (
    InstanceInfo,
    RunGoneError,
    TargetLock,
    claim_or_find,
    deliver,
    find_notice,
    outcome,
    read_notices,
    write_outcome,
)

KEY = "planted-key-canary-of-43-characters-0123456"
TOLD = write_outcome(LINKED).encode()


async def test_a_delivered_redirect_is_taken_and_the_outcome_told(tmp_path: Path) -> None:
    receiver = RedirectReceiver()
    async with waiting(tmp_path, receiver) as notice:
        assert await deliver(notice, ADDRESS) == LINKED
        assert await deliver(notice, f"  {ADDRESS}\n") == LINKED
    assert receiver.taken == [Way.DELIVER] * 2


async def test_what_is_not_that_runs_redirect_is_refused_and_its_wait_goes_on(tmp_path: Path) -> None:
    receiver = RedirectReceiver()
    async with waiting(tmp_path, receiver) as notice:
        for text, reason in {"nothing": "no-redirect", "https://c.example/?state=x&code=1": "foreign-state"}.items():
            with pytest.raises(RedirectRejectedError) as caught:
                await deliver(notice, text)
            assert (caught.value.reason, caught.value.message) == (reason, f"not ours: {reason}")
            assert caught.value.exit_status == 2
        assert receiver.taken == []
        assert await deliver(notice, ADDRESS) == LINKED


@pytest.mark.parametrize("text", ["x" * 70_000, "ü" * 70_000, f"{ADDRESS}&padding={'x' * 10_000_000}"])
async def test_what_is_longer_than_any_address_is_refused(tmp_path: Path, text: str) -> None:
    async with waiting(tmp_path, RedirectReceiver()) as notice:
        with pytest.raises(RedirectRejectedError, match="longer than any address"):
            await deliver(notice, text)
        assert await deliver(notice, ADDRESS) == LINKED


@pytest.mark.parametrize("text", ["", "\0", "\ud800\udfff", "redirect=x&way=page", "\r\nX: y", "%", "é名\u202e"])
async def test_any_text_can_be_delivered_and_is_judged_as_it_is(tmp_path: Path, text: str) -> None:
    receiver = RedirectReceiver()
    async with waiting(tmp_path, receiver) as notice:
        with pytest.raises(RedirectRejectedError):
            await deliver(notice, text)
    assert receiver.ignored == ["no-redirect"]


async def test_a_denial_is_delivered_and_told_as_a_denial(tmp_path: Path) -> None:
    async with waiting(tmp_path, RedirectReceiver()) as notice:
        told = await deliver(notice, f"https://console.example/servicestage/oauth?{DENIAL}")
    assert isinstance(told, Failed)
    assert isinstance(told.error, AuthorizationDeniedError)
    assert (told.error.error, told.error.exit_status) == ("access_denied", 4)


async def test_who_delivers_waits_for_an_exchange_that_takes_longer_than_one_answer(tmp_path: Path) -> None:
    receiver = RedirectReceiver(ending=None)
    async with waiting(tmp_path, receiver, patience=0.05) as notice, asyncio.TaskGroup() as tasks:
        delivered = tasks.create_task(deliver(notice, ADDRESS))
        await receiver.arrivals.get()
        await _polled(notice)
        receiver.end(LINKED)
        assert await delivered == LINKED


async def _polled(notice: InstanceInfo) -> None:
    """Be told that the end is still waited for, and ask again."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4):
            await outcome(notice)


ENDINGS: list[Outcome] = [
    LINKED,
    Failed(OutcomeUnknownError(_("No answer."), hint=_("Look."), code="X.1", request_id="r-1")),
    Failed(StoppedError(_("Terminated"), signal_number=15)),
    Failed(UnreachableError(_("No connection."), sent=False)),
]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_nine_that_wait_for_the_first_all_end_as_it_does(tmp_path: Path, ending: Outcome) -> None:
    receiver = RedirectReceiver()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, waiting(tmp_path, receiver, patience=0.05) as notice:
        nine = [tasks.create_task(outcome(notice)) for _ in range(9)]
        await _polled(notice)
        assert receiver.untouched
        receiver.end(ending)  # and the listener closes at once
    for told in (task.result() for task in nine):
        assert type(told) is type(ending)
        assert json.loads(write_outcome(told)) == json.loads(write_outcome(ending))


async def test_a_run_that_ends_without_an_outcome_says_that_it_is_not_known(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
        waiting(tmp_path, RedirectReceiver(), patience=5) as notice,
    ):
        waits = tasks.create_task(outcome(notice))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(waits)
    told = waits.result()
    assert isinstance(told, Failed)
    assert isinstance(told.error, OutcomeUnknownError)


async def test_a_run_that_is_killed_while_others_wait_is_gone_and_one_of_them_can_take_over(tmp_path: Path) -> None:
    with waiting_elsewhere(tmp_path) as run:
        found = await claim_or_find(tmp_path, TARGET)
        assert isinstance(found, InstanceInfo)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            waits = tasks.create_task(_gone(found))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.shield(waits)
            run.kill()
        assert await _gone(found)
        claim = await claim_or_find(tmp_path, TARGET)
    assert isinstance(claim, TargetLock)
    claim.release()


async def _gone(notice: InstanceInfo) -> bool:
    with pytest.raises(RunGoneError):
        await outcome(notice)
    return True


async def test_a_redirect_is_delivered_to_a_run_in_another_process(tmp_path: Path) -> None:
    with waiting_elsewhere(tmp_path):
        (notice,) = read_notices(tmp_path)
        assert await deliver(notice, ADDRESS) == LINKED
        assert await outcome(notice) == LINKED


@asynccontextmanager
async def stranger(answer: bytes | Callable[[], bytes]) -> AsyncIterator[tuple[InstanceInfo, list[bytes]]]:
    """Somebody else on the port of a run that is gone. Give its notice, and the requests that come."""
    came: list[bytes] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer if isinstance(answer, bytes) else answer())
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield InstanceInfo(TARGET.digest, TARGET.name, RepoType.GITHUB, 1, port, Secret(KEY)), came


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content_Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        http(b"", "404 Not Found"),
        http(b"<!DOCTYPE html><title>Hello</title>"),
        http(b"", "302 Found", Location="/elsewhere"),
        http(b"", "307 Temporary Redirect", Location="/elsewhere"),
        http(TOLD[:-1]),
        http(TOLD, Content_Length=str(len(TOLD) + 1)),
        http(TOLD + b" " * 2_000_000),
        http(gzip.compress(TOLD), Content_Encoding="gzip"),
        http(json.dumps({"outcome": "linked", "kept": False, "authorization": {}}).encode()),
    ],
    ids=range(11),
)
async def test_who_does_not_answer_as_a_run_of_ours_is_taken_for_gone(answer: bytes) -> None:
    async with stranger(answer) as (notice, came):
        for visit in (outcome(notice), deliver(notice, ADDRESS)):
            with pytest.raises(RunGoneError) as caught:
                await visit
            shown = "".join(traceback.format_exception(caught.value))
            assert not [secret for secret in (KEY, CODE, STATE) if secret in shown]
    assert not [request for request in came if b"elsewhere" in request]


async def test_nobody_on_the_port_is_a_run_that_is_gone() -> None:
    async with stranger(b"") as (notice, _):
        pass
    assert await _gone(notice)
    with pytest.raises(RunGoneError):
        await deliver(notice, ADDRESS)


async def test_who_answers_waiting_at_once_does_not_keep_us_busy() -> None:
    async with stranger(http(write_outcome(None).encode())) as (notice, came):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.55):
                await outcome(notice)
    assert 1 <= len(came) <= 6


async def test_nothing_goes_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with waiting(tmp_path, RedirectReceiver()) as notice:
        assert await deliver(notice, ADDRESS) == LINKED


async def test_a_visit_names_no_program_and_carries_no_cookie() -> None:
    async with stranger(http(TOLD, Set_Cookie="a=b")) as (notice, came):
        assert await outcome(notice) == LINKED
        assert await outcome(notice) == LINKED
    lines = came[1].decode().lower().split("\r\n")
    assert lines[0] == f"get /outcome?k={KEY} http/1.1".lower()
    assert f"host: 127.0.0.1:{notice.port}" in lines
    assert not [line for line in lines if line.startswith(("cookie:", "origin:", "referer:", "user-agent:"))]


async def test_the_key_of_the_notice_is_not_the_one_that_the_browser_has(tmp_path: Path) -> None:
    async with waiting(tmp_path, RedirectReceiver()) as first:
        assert first == find_notice(tmp_path, TARGET)
    async with waiting(tmp_path, RedirectReceiver()) as second:
        assert first.key != second.key
