"""All targets by name."""

from collections.abc import Mapping
from typing import Final

from fuzz import answer_targets, file_targets, redirect_targets, text_targets, wrapping_targets
from fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    **redirect_targets.TARGETS,
    **wrapping_targets.TARGETS,
    **file_targets.TARGETS,
    **answer_targets.TARGETS,
    **text_targets.TARGETS,
}
