"""Where the program runs."""

from __future__ import annotations

import pytest

from oauth_helper.environment import Environment, Place, cannot_authorize, find_environment

CONNECTION = "203.0.113.5 51000 198.51.100.7 22"

SSH = {"SSH_CONNECTION": CONNECTION}


@pytest.mark.parametrize(
    ("environ", "mark", "place"),
    [
        ({}, False, Place.DESKTOP),
        ({"SSH_AUTH_SOCK": "/run/agent", "DISPLAY": ":0"}, False, Place.DESKTOP),
        (SSH, False, Place.SSH),
        ({"SSH_TTY": "/dev/pts/3"}, False, Place.SSH),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, False, Place.WSL),
        ({"WSL_INTEROP": "/run/WSL/8_interop"}, False, Place.WSL),
        (SSH | {"WSL_DISTRO_NAME": "Ubuntu"}, False, Place.SSH),
        ({"REMOTE_CONTAINERS": "true"}, True, Place.DEV_CONTAINER),
        (SSH | {"REMOTE_CONTAINERS_IPC": "/run/x.sock"}, True, Place.DEV_CONTAINER),
        ({"CODESPACES": "true", "CODESPACE_NAME": "fluffy-disco"}, True, Place.CODESPACE),
        (SSH | {"CODESPACES": "true", "REMOTE_CONTAINERS": "true"}, True, Place.CODESPACE),
        ({"GITPOD_WORKSPACE_ID": "x"}, True, Place.GITPOD),
        ({}, True, Place.CONTAINER),
        ({"container": "podman"}, False, Place.CONTAINER),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, Place.CONTAINER),
        (SSH, True, Place.SSH),
        ({"CI": "true"}, False, Place.BUILD),
        (SSH | {"CI": "1", "CODESPACES": "true"}, True, Place.BUILD),
        ({"CI": "False"}, False, Place.DESKTOP),
        ({"CI": "0"}, False, Place.DESKTOP),
    ],
)
def test_the_environment_tells_the_place(environ: dict[str, str], mark: bool, place: Place) -> None:
    where = find_environment(environ, marks=["/"] if mark else [])
    assert where.place is place
    assert where.is_forwarded is (place in {Place.CODESPACE, Place.DEV_CONTAINER, Place.GITPOD})


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        (SSH, "USER@198.51.100.7"),
        (SSH | {"USER": "ada"}, "ada@198.51.100.7"),
        (SSH | {"LOGNAME": "ada", "USER": "other"}, "ada@198.51.100.7"),
        (SSH | {"SUDO_USER": "ada", "USER": "root"}, "ada@198.51.100.7"),
        (SSH | {"USER": "CORP\\ada"}, "USER@198.51.100.7"),
        (SSH | {"USER": "-oProxyCommand=x"}, "USER@198.51.100.7"),
        ({"SSH_CONNECTION": "203.0.113.5 51000 198.51.100.7 2222", "USER": "ada"}, "-p 2222 ada@198.51.100.7"),
        ({"SSH_CONNECTION": "2001:db8::5 51000 2001:db8::7 22", "USER": "ada"}, "ada@2001:db8::7"),
        ({"SSH_CONNECTION": "fe80::5%eth0 51000 fe80::7%eth0 22", "USER": "ada"}, "ada@HOST"),
        ({"SSH_CONNECTION": "127.0.0.1 51000 127.0.0.1 2222", "USER": "ada"}, "ada@HOST"),
        ({"SSH_CONNECTION": "UNKNOWN 65535 UNKNOWN 65535", "USER": "ada"}, "ada@HOST"),
        ({"SSH_CONNECTION": "203.0.113.5 51000 $(touch) 22"}, "USER@HOST"),
        ({"SSH_CONNECTION": "203.0.113.5 51000 198.51.100.7 ;x"}, "USER@198.51.100.7"),
        ({"SSH_CONNECTION": "203.0.113.5 51000"}, "USER@HOST"),
        ({"SSH_TTY": "/dev/pts/3", "USER": "ada"}, "ada@HOST"),
        ({"USER": "ada"}, "USER@HOST"),
    ],
)
def test_the_ssh_command_has_the_address_that_the_user_connected_to(environ: dict[str, str], arguments: str) -> None:
    assert find_environment(environ, marks=[]).way_to(4711) == f"ssh -L 4711:127.0.0.1:4711 {arguments}"


def test_an_address_of_a_docker_bridge_is_not_reachable_from_elsewhere() -> None:
    for address, marks, host in (
        ("172.17.0.2", ["/"], "HOST"),
        ("172.17.0.2", [], "172.17.0.2"),
        ("198.51.100.7", ["/"], "198.51.100.7"),
        ("2001:db8::7", ["/"], "2001:db8::7"),
    ):
        where = find_environment({"SSH_CONNECTION": f"203.0.113.5 51000 {address} 22"}, marks=marks)
        assert where.way_to(4711) == f"ssh -L 4711:127.0.0.1:4711 USER@{host}"


def test_elsewhere_ssh_does_not_reach_this_machine() -> None:
    codespace = find_environment({"CODESPACES": "true", "CODESPACE_NAME": "fluffy"})
    assert codespace.way_to(4711) == "gh codespace ports forward 4711:4711 -c fluffy"
    assert find_environment({"CODESPACES": "true", "CODESPACE_NAME": "x; rm"}).way_to(4711) == ""
    for place in set(Place) - {Place.SSH, Place.DESKTOP}:
        assert Environment(place).way_to(4711) == ""


def test_an_error_on_a_build_service_names_the_alternatives() -> None:
    error = cannot_authorize()
    assert error.exit_status == 9
    assert error.message == "CI is set, so no one can authorize in a browser"
    assert all(way in error.hint for way in ("--with-token", "--events", "--browser none"))
