"""A machine of paper, with the programs and files that a test names, and what is found on it in brief."""

from collections.abc import Iterable, Mapping

from oauth_helper.browsers.discovery import FoundBrowser, Machine

PATH = {"PATH": "/usr/local/bin:/usr/bin", "HOME": "/home/me"}
SYSTEM = "/usr/share/applications"


def machine(
    *programs: str,
    platform: str = "linux",
    environ: Mapping[str, str] = PATH,
    entries: Iterable[str] = (),
    files: Mapping[str, str | bytes] = {},
    links: Mapping[str, str] = {},
    registry: Mapping[tuple[str, str], str] = {},
) -> Machine:
    """A machine made of data: it has these programs, files and registry values, and no others."""

    def which(program: str, path: str) -> str | None:
        places = [program] if {"/", "\\"} & set(program) else [f"{folder}/{program}" for folder in path.split(":")]
        return next((place for place in places if place in programs), None)

    def read(path: str) -> bytes:
        content = files.get(path, b"")
        return content.encode() if isinstance(content, str) else content

    return Machine(
        environ,
        platform,
        tuple(entries),
        which=which,
        realpath=lambda path: links.get(path, path),
        read=read,
        registry=lambda key, value: registry.get((key, value), ""),
    )


def desktop_entry(command: str) -> str:
    return f"[Desktop Entry]\nName=Browser\nExec={command}\n\n[Desktop Action new]\nExec=/usr/bin/other --new\n"


def brief(found: list[FoundBrowser]) -> list[str]:
    return [f"{browser.command[0]}{' default' if browser.is_default else ''}" for browser in found]
