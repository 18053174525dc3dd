"""Who links a target: one run at a time, whatever becomes of it. Real files, real locks, real processes."""

import asyncio
import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from waiting_runs import PROGRAM, TARGET, taken, waiting_elsewhere

from oauth_helper.errors import MachineError
from oauth_helper.models import RepoType, Target
from oauth_helper.single_instance import InstanceInfo, TargetLock, claim_or_find, claim_when_free, noticed

ADDRESS = f"http://127.0.0.1:8080/start?k={'k' * 43}"
RACERS = 10
CONTENDER = """
import sys
from pathlib import Path
from oauth_helper.other_runs import Claim
from oauth_helper.pending import Target
print("ready", flush=True)
for line in sys.stdin:
    claim = Claim.try_take(Path(sys.argv[1]), Target("https://e.example", "p", line.strip()))
    print("won" if claim else "lost", flush=True)
    sys.stdin.readline()
    if claim:
        claim.release()
    print("released", flush=True)
"""


def test_a_claim_is_one_runs_at_a_time_even_within_one_process(tmp_path: Path) -> None:
    with taken(tmp_path) as claim:
        assert TargetLock.try_take(tmp_path, TARGET) is None
        assert TargetLock.try_take(tmp_path, TARGET) is None
        claim.release()
        with taken(tmp_path):
            claim.release()
            assert TargetLock.try_take(tmp_path, TARGET) is None
    taken(tmp_path).release()


async def test_who_waits_for_a_claim_has_it_as_soon_as_it_is_free(tmp_path: Path) -> None:
    with taken(tmp_path) as claim:
        waiting = asyncio.create_task(claim_when_free(tmp_path, TARGET))
        await asyncio.sleep(0)
        assert not waiting.done(), "somebody has it"
        claim.release()
        with await waiting:
            assert TargetLock.try_take(tmp_path, TARGET) is None


@pytest.mark.parametrize(
    "other", [replace(TARGET, name="other"), replace(TARGET, project_id="other"), Target("https://o", "p", "my-auth")]
)
def test_the_claim_to_another_target_is_another(tmp_path: Path, other: Target) -> None:
    with taken(tmp_path), taken(tmp_path, other):
        assert TargetLock.try_take(tmp_path, other) is None


def test_the_lock_is_an_empty_file_of_ours_alone(tmp_path: Path) -> None:
    with taken(tmp_path):
        (file,) = tmp_path.glob("*.*")
    assert file.read_bytes() == b""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert TARGET.name not in file.name


def test_a_claim_dies_with_its_process_and_no_child_of_it_keeps_it(tmp_path: Path) -> None:
    with waiting_elsewhere(tmp_path) as run:
        assert TargetLock.try_take(tmp_path, TARGET) is None
        run.kill()
        os.kill(run.child, 0)  # it lives
        taken(tmp_path).release()


async def test_of_ten_processes_exactly_one_wins_each_time(tmp_path: Path) -> None:
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CONTENDER, str(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(PROGRAM.parent.parent)},
        )
        for _ in range(RACERS)
    ]

    async def all_say(text: str | None = None) -> list[bytes]:
        for racer in racers:
            assert racer.stdin
            if text is not None:
                racer.stdin.write(f"{text}\n".encode())
        return [await racer.stdout.readline() for racer in racers if racer.stdout]

    try:
        async with asyncio.timeout(50):
            await all_say()
            for number in range(20):
                said = await all_say(f"name-{number % 3}")
                assert sorted(said) == [b"lost\n"] * (RACERS - 1) + [b"won\n"]
                assert await all_say("") == [b"released\n"] * RACERS
    finally:
        for racer in racers:
            if racer.returncode is None:
                racer.kill()
            await racer.communicate()


def test_of_ten_threads_exactly_one_wins_each_time(tmp_path: Path) -> None:
    start, end = threading.Barrier(RACERS), threading.Barrier(RACERS)

    def contend() -> bool:
        start.wait(10)
        claim = TargetLock.try_take(tmp_path, TARGET)
        end.wait(10)
        if claim:
            claim.release()
        return bool(claim)

    with ThreadPoolExecutor(RACERS) as threads:
        for _ in range(50):
            assert sum(future.result() for future in [threads.submit(contend) for _ in range(RACERS)]) == 1


def test_what_cannot_be_locked_is_told_in_clear_words(tmp_path: Path) -> None:
    path = tmp_path / f"{TARGET.digest}.lock"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match=f"{path} cannot be locked: ") as caught:
        TargetLock.try_take(tmp_path, TARGET)
    assert caught.value.exit_status == 9
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(MachineError, match="cannot be locked: No such file or directory"):
        TargetLock.try_take(tmp_path / "missing", TARGET)


def test_a_notice_that_nobody_alive_wrote_is_removed_when_the_claim_is_taken(tmp_path: Path) -> None:
    stale = tmp_path / f"{TARGET.digest}.json"
    stale.write_text("{}")
    with taken(tmp_path):
        assert not stale.exists()
    stale.mkdir()
    for _ in range(2):  # the failure leaves no lock behind
        with pytest.raises(MachineError, match="cannot be locked: "):
            TargetLock.try_take(tmp_path, TARGET)


async def test_who_finds_nobody_gets_the_claim(tmp_path: Path) -> None:
    found = await claim_or_find(tmp_path, TARGET)
    assert isinstance(found, TargetLock)
    with found:
        assert TargetLock.try_take(tmp_path, TARGET) is None


async def test_who_comes_second_waits_until_the_first_can_be_spoken_to(tmp_path: Path) -> None:
    with taken(tmp_path):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await claim_or_find(tmp_path, TARGET)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            second = tasks.create_task(claim_or_find(tmp_path, TARGET))
            with noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITHUB):
                found = await second
    assert isinstance(found, InstanceInfo)
    assert found.name == TARGET.name


async def test_who_comes_second_gets_the_claim_when_the_first_gives_up(tmp_path: Path) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        with taken(tmp_path):
            second = tasks.create_task(claim_or_find(tmp_path, TARGET))
            await asyncio.sleep(0)
    found = second.result()
    assert isinstance(found, TargetLock)
    found.release()


async def test_of_ten_that_ask_at_once_one_gets_the_claim_and_nine_find_it(tmp_path: Path) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(claim_or_find(tmp_path, TARGET)) for _ in range(RACERS)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        (claim,) = (task.result() for task in done)
        assert isinstance(claim, TargetLock)
        with claim, noticed(tmp_path, TARGET, address=ADDRESS, repo_type=RepoType.GITHUB):
            await asyncio.wait(asked)
    assert sum(isinstance(task.result(), InstanceInfo) for task in asked) == RACERS - 1
