"""Where the program runs: SSH, WSL, container, codespace, CI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec import Struct

from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Text, _

BUILD_VARIABLE: Final = "CI"
"""Set by the common build services."""
CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into every container."""

_DEV_CONTAINER: Final = ("REMOTE_CONTAINERS", "DEVCONTAINER", "REMOTE_CONTAINERS_IPC")
"""Set by VS Code's Dev Containers, and by other tools that follow containers.dev."""
_SSH: Final = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")
"""Set by sshd (ssh(1), ENVIRONMENT); `su -` and `sudo` remove some of them."""
_WSL: Final = ("WSL_DISTRO_NAME", "WSL_INTEROP")
_CONTAINER: Final = ("container", "KUBERNETES_SERVICE_HOST")
"""The first is systemd's convention (systemd.io/CONTAINER_INTERFACE), which Podman follows."""
_LOGIN: Final = ("SUDO_USER", "LOGNAME", "USER")
_PLAIN_LOGIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_CODESPACE: Final = re.compile(r"[A-Za-z0-9-]+")
_SSH_PORT: Final = "22"
_OF_BRIDGES: Final = ip_network("172.16.0.0/12")
"""The default addresses of Docker's bridges, which only their own machine can reach."""
_UNKNOWN_HOST: Final = "HOST"
_UNKNOWN_USER: Final = "USER"


class Place(StrEnum):
    """A kind of environment."""

    BUILD = "ci"
    """A build service: there is no user."""
    CODESPACE = "codespaces"
    GITPOD = "gitpod"
    DEV_CONTAINER = "dev-container"
    SSH = "ssh"
    WSL = "wsl"
    CONTAINER = "container"
    DESKTOP = "desktop"
    """Nothing indicates that the user is at another machine."""


class Environment(Struct, frozen=True):
    """Where the program runs."""

    place: Place
    ssh_arguments: str = f"{_UNKNOWN_USER}@{_UNKNOWN_HOST}"
    """What a user gives ``ssh`` to reach this machine, as far as it is known: ``-p 2222 ada@198.51.100.7``."""
    codespace: str = ""
    """The name of the codespace."""

    @property
    def is_apart(self) -> bool:
        """Whether a browser that is started here opens where the user is not."""
        return self.place is Place.SSH

    @property
    def is_forwarded(self) -> bool:
        """Whether an editor between us and the user's browser forwards ports to it."""
        return self.place in {Place.CODESPACE, Place.GITPOD, Place.DEV_CONTAINER}

    def way_to(self, port: int) -> str:
        """Return the command by which the user's machine reaches our ``port``; empty if there is none."""
        match self.place:
            case Place.CODESPACE if self.codespace:
                return f"gh codespace ports forward {port}:{port} -c {self.codespace}"
            case Place.SSH | Place.DESKTOP:
                return f"ssh -L {port}:127.0.0.1:{port} {self.ssh_arguments}"
            case _:
                return ""


def find_environment(environ: Mapping[str, str], *, has_container_mark: bool = False) -> Environment:
    """Return where the program runs; ``has_container_mark``: one of :data:`CONTAINER_MARKS` exists.

    The most specific place counts: a codespace is a container that is reached over SSH.
    """
    in_container = has_container_mark or _any_of(environ, _CONTAINER)
    ssh_arguments = _ssh_arguments(environ, in_container=in_container)
    if is_build_service(environ):
        return Environment(Place.BUILD)
    if environ.get("CODESPACES") == "true" or environ.get("CODESPACE_NAME"):
        name = environ.get("CODESPACE_NAME", "")
        return Environment(Place.CODESPACE, codespace=name if _CODESPACE.fullmatch(name) else "")
    if environ.get("GITPOD_WORKSPACE_ID"):
        return Environment(Place.GITPOD)
    if _any_of(environ, _DEV_CONTAINER):
        return Environment(Place.DEV_CONTAINER)
    if _any_of(environ, _SSH):
        return Environment(Place.SSH, ssh_arguments)
    if _any_of(environ, _WSL):
        return Environment(Place.WSL)
    return Environment(Place.CONTAINER if in_container else Place.DESKTOP)


def is_build_service(environ: Mapping[str, str]) -> bool:
    """Whether a build service runs the program: nobody reads its output until it ends, and nobody answers."""
    return environ.get(BUILD_VARIABLE, "false").casefold() not in {"", "0", "false"}


def cannot_authorize(reason: Text | None = None, *, hint: Text | None = None) -> NoBrowserError:
    """Return the error for a link that would wait for a user on a build service; ``reason`` is added."""
    message = _("CI is set, so no one can authorize in a browser")
    if reason:
        message = _("{why}; {reason}", why=message, reason=reason)
    default = _("Pass --with-token, or --events or --browser none if a program will open the printed URL.")
    return NoBrowserError(message, hint=hint or default)


def _any_of(environ: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(environ.get(name) for name in names)


def _ssh_arguments(environ: Mapping[str, str], *, in_container: bool) -> str:
    # ssh(1): client address, client port, server address, server port
    connection = environ.get("SSH_CONNECTION", "").split()
    address, port = connection[2:] if len(connection) == 4 else ("", "")
    login = next((environ[name] for name in _LOGIN if environ.get(name)), "")
    user = login if _PLAIN_LOGIN.fullmatch(login) and _any_of(environ, _SSH) else _UNKNOWN_USER
    if not _can_be_reached(address, in_container=in_container):
        return f"{user}@{_UNKNOWN_HOST}"
    return (f"-p {port} " if port.isdecimal() and port != _SSH_PORT else "") + f"{user}@{address}"


def _can_be_reached(text: str, *, in_container: bool) -> bool:
    """Whether others may reach our address: not that of a tunnel's end or inside this machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if in_container and address.version == _OF_BRIDGES.version and address in _OF_BRIDGES:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
