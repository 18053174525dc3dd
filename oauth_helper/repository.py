"""What a Git host shows to an authorization: namespaces with projects in them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Namespace:
    """A user, group or organization of a Git host (API page "Obtaining Namespaces").

    A field that the API left out is an empty string.
    """

    id: str
    name: str
    """The path at the Git host; a group within a group has a slash in it."""
    record: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The API's object as it came."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Namespace:
        """Read the API's object.

        Raises:
            ValueError: It has neither a name nor an id, so nothing can be asked of it.
        """
        number, name = _text(record, "id"), _text(record, "name")
        if not (number or name):
            raise ValueError("a namespace without a name")
        return cls(id=number, name=name, record=dict(record))

    @property
    def key(self) -> str:
        """What the API knows it by: its name, or its id where it has none."""
        return self.name or self.id

    def to_json(self) -> dict[str, object]:
        """Return the API's object as it came, or the known fields where there is none."""
        return dict(self.record) or {"id": self.id, "name": self.name}


@dataclass(frozen=True, slots=True)
class Project:
    """A repository of a Git host (API page "Obtaining All Projects of a Namespace").

    A field that the API left out is an empty string.
    """

    id: str
    name: str
    clone_url: str
    record: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The API's object as it came."""

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Project:
        """Read the API's object.

        Raises:
            ValueError: It has no name.
        """
        name = _text(record, "name")
        if not name:
            raise ValueError("a project without a name")
        return cls(id=_text(record, "id"), name=name, clone_url=_text(record, "clone_url"), record=dict(record))

    def to_json(self) -> dict[str, object]:
        """Return the API's object as it came, or the known fields where there is none."""
        return dict(self.record) or {"id": self.id, "name": self.name, "clone_url": self.clone_url}


def _text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    # Git hosts number what they have; the API's manual calls the number a string.
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
