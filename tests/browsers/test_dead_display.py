"""A display that is set but gone, as in a tmux session that outlived its X server."""

import socket
from pathlib import Path

import pytest
from command import run_command, surroundings

DEAD = {
    "unix": {"DISPLAY": ":7777"},
    "screen": {"DISPLAY": "unix:7777.0"},
    "tcp": {"DISPLAY": "localhost:7777.0"},
    "wayland": {"WAYLAND_DISPLAY": "wayland-77"},
    "both": {"WAYLAND_DISPLAY": "wayland-77", "DISPLAY": ":7777"},
}


def environ_with(display: dict[str, str], folder: Path) -> dict[str, str]:
    none = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": "", "XDG_RUNTIME_DIR": str(folder)}
    return surroundings() | none | display


@pytest.mark.parametrize("which", DEAD)
async def test_doctor_and_link_say_that_it_cannot_be_opened(which: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    environ = environ_with(DEAD[which], tmp_path)
    doctor = await run_command("doctor", "--json", environ=environ)
    [browser] = [line for line in doctor.out.splitlines() if "cannot be opened" in line]
    for name, value in DEAD[which].items():
        assert f'the display {name}=\\"{value}\\" cannot be opened' in browser
    link = await run_command("link", "github", "--sandbox", "--timeout", "20", environ=environ)
    assert "cannot be opened" in link.err
    assert link.status == 0, "the simulated user authorizes instead"


@pytest.mark.parametrize(("browser", "status"), [("default", "fail"), ("chromium", "fail"), ("auto", "note")])
async def test_doctor_fails_where_a_browser_is_demanded(browser: str, status: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    end = await run_command("doctor", "--browser", browser, environ=environ_with(DEAD["unix"], tmp_path))
    [line] = [line for line in end.out.splitlines() if line.split()[1:2] == ["browser"]]
    assert line.split()[0] == status


async def test_a_display_that_answers_is_fine_beside_one_that_does_not(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as wayland:
        wayland.bind(str(tmp_path / "wayland-1"))
        wayland.listen()
        environ = environ_with({"WAYLAND_DISPLAY": "wayland-1", "DISPLAY": ":7777"}, tmp_path)
        doctor = await run_command("doctor", environ=environ)
    assert "cannot be opened" not in doctor.out
