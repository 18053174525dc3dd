"""What an index shows of the package: its metadata, and the README as its page."""

from __future__ import annotations

import re
import sys
import tomllib
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Final

from release.archives import read_wheel, sdist_in, wheel_in
from release.checklist import RefusalError
from release.checkout import version_of
from release.commands import output_of

_HEADING: Final = re.compile(r"^#{1,6} ", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def metadata_of(wheel: Path) -> Message:
    """Return the fields, with the long description as the payload."""
    (name,) = (name for name in read_wheel(wheel) if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(read_wheel(wheel)[name])


def metadata_is_true(root: Path) -> str:
    """The fields are those of pyproject.toml and version.py; an address is in them only if it is in there."""
    metadata = metadata_of(wheel_in(root / "dist"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = {
        "Name": [project["name"]],
        "Version": [version_of(root)],
        "Summary": [project["description"]],
        "License-Expression": [project["license"]],
        "License-File": project["license-files"],
        "Requires-Python": [project["requires-python"]],
        "Classifier": project["classifiers"],
        "Requires-Dist": project["dependencies"],
        "Project-URL": [f"{name}, {address}" for name, address in project.get("urls", {}).items()],
    }
    for field, values in told.items():
        if sorted(found := metadata.get_all(field, [])) != sorted(values):
            raise RefusalError(f"The wheel's {field} is {found}, not {values}.", "Build it again: `make package`.")
    return f"{len(metadata.keys())} fields"


def an_index_takes_it(root: Path) -> str:
    """Twine has nothing against either file, not even a warning."""
    files = (wheel_in(root / "dist"), sdist_in(root / "dist"))
    output_of(
        *(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files),
        cwd=root,
        remedy="Mend the metadata in pyproject.toml, or the README, as twine says.",
    )
    return f"{len(files)} files"


def description_renders(root: Path) -> str:
    """The long description is the README, and every heading, block of code and table of it comes out as one."""
    text = (root / "README.md").read_text(encoding="utf-8")
    payload = metadata_of(wheel_in(root / "dist")).get_payload(decode=True)
    if not isinstance(payload, bytes) or payload.decode().strip() != text.strip():
        raise RefusalError("The wheel's long description is not README.md.", "Build it again: `make package`.")
    html = output_of(
        *(sys.executable, "-m", "readme_renderer", "--format", "md", root / "README.md"),
        cwd=root,
        remedy="Write in README.md what an index can show.",
    )
    expected = {"<h": len(_HEADING.findall(_BLOCK.sub("", text))), "<pre": len(_BLOCK.findall(text))}
    for tag, number in expected.items():
        if (found := len(re.findall(rf"{tag}[1-6]?\b", html))) != number:
            raise RefusalError(
                f"README.md comes out with {found} of {tag}>, not {number}.", "Look at it: `python -m readme_renderer`."
            )
    return f"{expected['<h']} headings, {expected['<pre']} blocks of code"
