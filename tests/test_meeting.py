"""Where runs meet: who cannot be announced there goes on alone."""

from other_users import NOBODY, acting_as, folder_of_nobody, names_in, needs_root
from waiting_runs import TARGET, taken

from oauth_helper.events import Event, Warned
from oauth_helper.models import RepoType
from oauth_helper.secret import Secret
from oauth_helper.single_instance import SingleRun

ADDRESS = f"http://127.0.0.1:8080/start?k={'k' * 43}"


@needs_root
def test_a_link_that_cannot_be_announced_is_said_to_be_alone() -> None:
    told: list[Event] = []
    with folder_of_nobody() as folder, acting_as(NOBODY), taken(folder):
        folder.chmod(0o500)
        with SingleRun(folder, TARGET, RepoType.GITHUB, told.append).announced(ADDRESS, Secret("s")):
            assert names_in(folder) == [f"{TARGET.digest}.lock"]
        folder.chmod(0o700)
    [warned] = told
    assert isinstance(warned, Warned)
    assert "cannot be written: Permission denied; other runs will not find this one." in warned.message
