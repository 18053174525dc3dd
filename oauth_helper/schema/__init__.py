"""The JSON Schema (draft 2020-12) of what scripts read: events, records, errors. It lies beside this file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final, Literal

__all__ = ["OUTPUT_SCHEMA", "Document", "schema_of"]

OUTPUT_SCHEMA: Final = "output.schema.json"
"""The file's name in this package, for who reads it with :func:`importlib.resources.files`."""

Document = Literal["event", "authorization", "authorizations", "error_line", "error"]
"""What a schema describes: a line of ``link --events``; a record of ``--json``, or a list of them; the last line of
standard error, or what stands in it."""


def schema_of(document: Document) -> dict[str, Any]:
    """Return a schema that is complete in itself, to be handed to a validator."""
    whole: dict[str, Any] = json.loads(files(__name__).joinpath(OUTPUT_SCHEMA).read_text(encoding="utf-8"))
    described = {"$ref": f"#/$defs/{document}", "description": whole["$defs"][document]["description"]}
    return {"$schema": whole["$schema"], "$id": f"{whole['$id']}:{document}", **described, "$defs": whole["$defs"]}
