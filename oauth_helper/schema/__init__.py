"""The JSON Schema (draft 2020-12) of the output for scripts: events, records and errors."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final, Literal

__all__ = ["OUTPUT_SCHEMA", "Document", "schema_of"]

OUTPUT_SCHEMA: Final = "output.schema.json"
"""The name of the file in this package, to be read with :func:`importlib.resources.files`."""

Document = Literal["event", "authorization", "authorizations", "error_line", "error"]
"""What a schema describes: a line of ``link --events``; a record of ``--json``, or a list of records; the last line of
standard error, or the error in it."""


def schema_of(document: Document) -> dict[str, Any]:
    """Return a self-contained schema for a validator."""
    whole: dict[str, Any] = json.loads(files(__name__).joinpath(OUTPUT_SCHEMA).read_text(encoding="utf-8"))
    described = {"$ref": f"#/$defs/{document}", "description": whole["$defs"][document]["description"]}
    return {"$schema": whole["$schema"], "$id": f"{whole['$id']}:{document}", **described, "$defs": whole["$defs"]}
