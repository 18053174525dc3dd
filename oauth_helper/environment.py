"""Where the program runs: SSH, WSL, container, codespace, CI."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec import Struct

from oauth_helper.errors import NoBrowserError
from oauth_helper.i18n import Text, _

_CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into every container."""
_SSH: Final = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")
"""Set by sshd (ssh(1), ENVIRONMENT); `su -` and `sudo` remove some of them."""
_OF_BRIDGES: Final = ip_network("172.16.0.0/12")
"""The default addresses of Docker's bridges, which only their own machine can reach."""


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
    ssh_arguments: str = "USER@HOST"
    """What a user gives ``ssh`` to reach this machine, as far as it is known: ``-p 2222 ada@198.51.100.7``."""
    codespace: str = ""
    """The name of the codespace."""

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


def find_environment(environ: Mapping[str, str], *, marks: Iterable[str] = _CONTAINER_MARKS) -> Environment:
    """Return where the program runs; one of the files ``marks`` exists in every container.

    The most specific place counts: a codespace is a container that is reached over SSH.
    """

    def has(*names: str) -> bool:
        return any(environ.get(name) for name in names)

    # The first name is systemd's convention (systemd.io/CONTAINER_INTERFACE), which Podman follows.
    in_container = has("container", "KUBERNETES_SERVICE_HOST") or any(map(os.path.exists, marks))
    signs = {
        Place.BUILD: is_build_service(environ),
        Place.CODESPACE: environ.get("CODESPACES") == "true" or has("CODESPACE_NAME"),
        Place.GITPOD: has("GITPOD_WORKSPACE_ID"),
        # Set by VS Code's Dev Containers, and by other tools that follow containers.dev.
        Place.DEV_CONTAINER: has("REMOTE_CONTAINERS", "DEVCONTAINER", "REMOTE_CONTAINERS_IPC"),
        Place.SSH: has(*_SSH),
        Place.WSL: has("WSL_DISTRO_NAME", "WSL_INTEROP"),
        Place.CONTAINER: in_container,
    }
    place = next((place for place, is_here in signs.items() if is_here), Place.DESKTOP)
    codespace = environ.get("CODESPACE_NAME", "")
    is_plain = re.fullmatch("[A-Za-z0-9-]+", codespace)
    return Environment(place, _ssh_arguments(environ, in_container=in_container), codespace if is_plain else "")


def is_build_service(environ: Mapping[str, str]) -> bool:
    """Whether a build service runs the program: nobody reads its output until it ends, and nobody answers."""
    return environ.get("CI", "false").casefold() not in {"", "0", "false"}


def cannot_authorize(reason: Text | None = None, *, hint: Text | None = None) -> NoBrowserError:
    """Return the error for a link that would wait for a user on a build service; ``reason`` is added."""
    message = _("CI is set, so no one can authorize in a browser")
    if reason:
        message = _("{why}; {reason}", why=message, reason=reason)
    default = _("Pass --with-token, or --events or --browser none if a program will open the printed URL.")
    return NoBrowserError(message, hint=hint or default)


def _ssh_arguments(environ: Mapping[str, str], *, in_container: bool) -> str:
    # ssh(1): client address, client port, server address, server port
    connection = environ.get("SSH_CONNECTION", "").split()
    address, port = connection[2:] if len(connection) == 4 else ("", "")
    user = next((environ[name] for name in ("SUDO_USER", "LOGNAME", "USER") if environ.get(name)), "")
    if not (re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", user) and any(environ.get(name) for name in _SSH)):
        user = "USER"
    if not _can_be_reached(address, in_container=in_container):
        return f"{user}@HOST"
    return (f"-p {port} " if port.isdecimal() and port != "22" else "") + f"{user}@{address}"


def _can_be_reached(text: str, *, in_container: bool) -> bool:
    """Whether others may reach our address: not that of a tunnel's end or inside this machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if in_container and address in _OF_BRIDGES:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
