"""Which version this is; the build reads it too. No I/O."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
