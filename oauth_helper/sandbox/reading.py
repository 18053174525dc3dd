"""What a visitor sees on an HTML page: links by their id, and forms with their fields and buttons. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Self

_WITHOUT_VALUE: Final = frozenset({"button", "checkbox", "file", "image", "radio", "reset", "submit"})
"""Kinds of ``input`` that send nothing of themselves while nobody touches them."""

Attributes = Mapping[str, str]


@dataclass(slots=True)
class Button:
    """A button that sends its form."""

    name: str
    value: str = field(repr=False)
    label: str = ""


@dataclass(slots=True)
class Form:
    """A form as it stands: what would be sent, if a button were pressed now."""

    method: str
    action: str = field(repr=False)
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    buttons: list[Button] = field(default_factory=list)

    def press(self, button: Button | None) -> dict[str, str]:
        """Return the fields that are sent when ``button`` is pressed."""
        return {**self.fields, button.name: button.value} if button and button.name else dict(self.fields)


class PageReader(HTMLParser):
    """Reads a page; afterwards ``links`` and ``forms`` say what was on it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        """Address of each link that has an id."""
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._button: Button | None = None

    @classmethod
    def read(cls, html: str) -> Self:
        """Return a reader that has read ``html`` to its end."""
        reader = cls()
        reader.feed(html)
        reader.close()
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in what a tag adds."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and "id" in attributes and "href" in attributes:
            self.links[attributes["id"]] = attributes["href"]
        elif tag == "form":
            self._form = Form(attributes.get("method", "get").lower(), attributes.get("action", ""))
            self.forms.append(self._form)
        elif self._form is not None and "disabled" not in attributes:
            self._read_control(self._form, tag, attributes)

    def _read_control(self, form: Form, tag: str, attributes: Attributes) -> None:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        kind = attributes.get("type", "submit" if tag == "button" else "text").lower()
        if tag == "button" and kind == "submit":
            self._button = Button(name, value)
            form.buttons.append(self._button)
        elif tag == "input" and kind == "submit":
            form.buttons.append(Button(name, value, label=value))
        elif name and (tag == "textarea" or (tag == "input" and kind not in _WITHOUT_VALUE)):
            form.fields[name] = value

    def handle_data(self, data: str) -> None:
        """Take in a button's label."""
        if self._button is not None:
            self._button.label += data

    def handle_endtag(self, tag: str) -> None:
        """Notice that a form or a button ends."""
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None
