"""Compile the catalogs when a wheel is built or installed, be it editable: gettext reads ``.mo`` files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_AT_NO_TIME: Final = datetime.fromtimestamp(0, UTC)


class CompiledCatalogs(BuildHookInterface):  # type: ignore[type-arg]  # hatchling leaves the configuration's type open
    """Puts a ``.mo`` beside each ``.po``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, and have the results taken along although git does not know them."""
        for source in sorted(Path(self.root, "oauth_helper", "locale").rglob("*.po")):
            with source.open("rb") as file:
                catalog = read_po(file)
            # Else its head would say when this ran, and no two builds were the same.
            catalog.creation_date = _AT_NO_TIME
            compiled = source.with_suffix(".mo")
            with compiled.open("wb") as file:
                write_mo(file, catalog)
            # By its name: what was compiled of a catalog that is gone may still lie there.
            build_data["artifacts"].append("/" + compiled.relative_to(self.root).as_posix())
