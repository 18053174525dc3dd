"""A value together with the place it came from. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T_co]):
    """A value and its origin, in words a user can find it by: ``--region``, ``HW_REGION_NAME``, a file's path."""

    value: T_co
    origin: str


@dataclass(frozen=True, slots=True)
class FileValues:
    """What a settings file said; empty where there is none."""

    path: str
    values: Mapping[str, str] = field(default_factory=dict)


def first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> Sourced[str] | None:
    """Return the first of the environment variables that is set; an empty one counts as unset."""
    return next((Sourced(environ[name], name) for name in names if environ.get(name)), None)
