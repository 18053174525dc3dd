"""Reads what a user sees on an HTML page: links by their id, and forms with their fields and buttons."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Self

_WITHOUT_VALUE: Final = frozenset({"button", "checkbox", "file", "image", "radio", "reset", "submit"})
"""Types of ``input`` that send nothing unless the user touches them."""


@dataclass
class Button:
    name: str
    value: str
    label: str = ""


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)

    def press(self, button: Button | None) -> dict[str, str]:
        """Return the fields that are sent when ``button`` is pressed."""
        return {**self.fields, button.name: button.value} if button and button.name else dict(self.fields)


class PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._button: Button | None = None

    @classmethod
    def read(cls, html: str) -> Self:
        reader = cls()
        reader.feed(html)
        reader.close()
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and "id" in attributes and "href" in attributes:
            self.links[attributes["id"]] = attributes["href"]
        elif tag == "form":
            self._form = Form(attributes.get("method", "get").lower(), attributes.get("action", ""))
            self.forms.append(self._form)
        elif self._form is not None and "disabled" not in attributes:
            name, value = attributes.get("name", ""), attributes.get("value", "")
            kind = attributes.get("type", "submit" if tag == "button" else "text").lower()
            if kind == "submit" and tag in {"button", "input"}:
                self._form.buttons.append(Button(name, value, label=value if tag == "input" else ""))
                self._button = self._form.buttons[-1] if tag == "button" else None
            elif name and (tag == "textarea" or (tag == "input" and kind not in _WITHOUT_VALUE)):
                self._form.fields[name] = value

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None
