"""Links of this user that wait on this machine, and delivering a redirect to one of them."""

from pathlib import Path

import pytest
from listener_desk import ADDRESS, LINKED, RedirectReceiver
from waiting_runs import waiting

from oauth_helper.api import deliver_to_waiting, waiting_links
from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.private_files import private_folder
from oauth_helper.single_instance import runtime_folder

FOREIGN = "https://console.example/?code=c&state=of-another"


async def test_waiting_links_are_found() -> None:
    with pytest.raises(MachineError, match="No link of yours is waiting"):
        waiting_links()
    async with waiting(runtime_folder(), RedirectReceiver()) as notice:
        assert waiting_links() == [notice]


async def test_a_link_that_has_ended_is_skipped(tmp_path: Path) -> None:
    async with waiting(private_folder(tmp_path / "a"), RedirectReceiver()) as gone:
        pass
    async with waiting(private_folder(tmp_path / "b"), RedirectReceiver()) as there:
        assert await deliver_to_waiting([gone, there], ADDRESS) == (there, LINKED)


async def test_it_is_unknown_whether_a_link_that_has_ended_took_the_redirect(tmp_path: Path) -> None:
    async with waiting(private_folder(tmp_path / "a"), RedirectReceiver()) as gone:
        pass
    with pytest.raises(OutcomeUnknownError, match="The link of my-auth has gone without a word") as unknown:
        await deliver_to_waiting([gone], ADDRESS)
    assert "`oauth-helper resume` finishes it" in unknown.value.hint


async def test_a_redirect_that_none_of_them_waits_for_is_rejected(tmp_path: Path) -> None:
    first, second = RedirectReceiver(), RedirectReceiver()
    one, other = (private_folder(tmp_path / name) for name in "ab")
    async with waiting(one, first) as notice, waiting(other, second) as another:
        with pytest.raises(RedirectRejectedError, match="not ours: foreign-state") as refused:
            await deliver_to_waiting([notice, another], FOREIGN)
    assert first.ignored == second.ignored == ["foreign-state"]
    assert refused.value.hint.startswith("my-auth and my-auth still wait")
