"""Reads the forms that a user sees on an HTML page, with their fields and submit buttons."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of each."""


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "form":
            self.forms.append(Form(attributes.get("method", "get").lower(), attributes.get("action", "")))
        elif tag == "button":
            self.forms[-1].buttons.append((name, value))
        elif tag in {"input", "textarea"} and name:
            self.forms[-1].fields[name] = value


def forms_of(html: str) -> list[Form]:
    reader = _PageReader()
    reader.feed(html)
    return reader.forms
