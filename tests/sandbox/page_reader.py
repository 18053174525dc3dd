"""Reads the elements of an HTML page, and its forms as a user sees them: with fields and submit buttons."""

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
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def elements(html: str, tag: str) -> list[dict[str, str]]:
    """Return the attributes of each element of this kind."""
    return [attributes for name, attributes in _PageReader(html).tags if name == tag]


def forms_of(html: str) -> list[Form]:
    forms: list[Form] = []
    for tag, attributes in _PageReader(html).tags:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "form":
            forms.append(Form(attributes.get("method", "get").lower(), attributes.get("action", "")))
        elif tag == "button":
            forms[-1].buttons.append((name, value))
        elif tag in {"input", "textarea"} and name:
            forms[-1].fields[name] = value
    return forms
