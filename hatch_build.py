"""Compile the catalogs when the package is built or installed, be it editable: gettext reads ``.mo`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledCatalogs(BuildHookInterface):  # type: ignore[type-arg]  # hatchling leaves the configuration's type open
    """Puts a ``.mo`` beside each ``.po``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, and have the results taken along although git does not know them."""
        for source in sorted(Path(self.root, "oauth_helper", "locale").rglob("*.po")):
            with source.open("rb") as file:
                catalog = read_po(file)
            with source.with_suffix(".mo").open("wb") as file:
                write_mo(file, catalog)
        build_data["artifacts"].append("oauth_helper/locale/**/*.mo")
