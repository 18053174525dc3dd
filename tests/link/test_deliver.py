"""Links of this user that wait on this machine, and delivering a redirect to one of them."""

from pathlib import Path

import pytest
from link.other_instances import CONSOLE, LINKED, REDIRECT, TARGET, waiting
from msgspec.structs import replace

from oauth_helper.api import deliver_to_waiting, waiting_links
from oauth_helper.errors import MachineError, OutcomeUnknownError, RedirectRejectedError
from oauth_helper.single_instance import runtime_folder


async def test_all_waiting_links_are_found() -> None:
    with pytest.raises(MachineError, match="No link of yours is waiting"):
        waiting_links()
    async with waiting(runtime_folder()) as link:
        assert waiting_links() == [link.info]


async def test_a_redirect_reaches_only_the_link_whose_state_it_has(tmp_path: Path) -> None:
    other = replace(TARGET, name="other")
    async with waiting(tmp_path, target=other, state="another-state") as foreign, waiting(tmp_path) as link:
        assert await deliver_to_waiting([foreign.info, link.info], REDIRECT) == (link.info, LINKED)
        assert foreign.told == []
        with pytest.raises(RedirectRejectedError) as rejected:
            await deliver_to_waiting([foreign.info, link.info], f"{CONSOLE}?code=c&state=of-another")
        assert foreign.told == []
    assert rejected.value.reason == "foreign-state"
    assert rejected.value.hint.startswith("Still waiting: other and my-auth.")


async def test_the_outcome_of_a_link_that_has_gone_is_not_known(tmp_path: Path) -> None:
    async with waiting(tmp_path) as gone:
        pass
    with pytest.raises(OutcomeUnknownError, match="my-auth ended without answering") as unknown:
        await deliver_to_waiting([gone.info], REDIRECT)
    assert "`oauth-helper resume` finishes it" in unknown.value.hint
