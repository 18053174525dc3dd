"""Words without what is private in them, for a report that anybody may read.

What may stand is listed; whatever else was put into our words becomes stars, be it harmless or not.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from oauth_helper.browser_choice import BROWSER_CHOICES
from oauth_helper.browsers.products import PRODUCTS
from oauth_helper.credential_chain import SECRET_VARIABLES
from oauth_helper.phrase import Phrase, Sentence
from oauth_helper.settings import ENVIRONMENT

STARS: Final = "***"

_PUBLIC: Final = frozenset(
    {*BROWSER_CHOICES, *(product.name for product in PRODUCTS), *(os.strerror(number) for number in errno.errorcode)}
    | {name for names in ENVIRONMENT.values() for name in names}
    | {f"--{key.replace('_', '-')}" for key in ENVIRONMENT}
    | SECRET_VARIABLES
    | {"HUAWEICLOUD_SDK_AK", "HW_ACCESS_KEY", "HW_USER_NAME", "HW_DOMAIN_NAME", "127.0.0.1", "intl", ""}
    | {"HTTPS_PROXY", "https_proxy"}
)
_REGION: Final = r"(?:ae|af|ap|cn|eu|la|me|my|na|ru|sa|tr)-(?:central|(?:north|south)?(?:east|west)?)-\d{1,3}"
_PUBLIC_HOST: Final = re.compile(rf"(?:iam|servicestage)\.{_REGION}\.myhuaweicloud\.com|127\.0\.0\.1|localhost|\[::1\]")
_SHAPES: Final = re.compile(
    rf"{_REGION}|\d+(?:\.\d+)? s|[A-Z][A-Za-z]{{2,40}}Error|(?:APIGW?|IAM|PEP|SVCSTG)(?:\.[A-Z0-9]{{2,6}}){{1,3}}"
)
"""A region, seconds, a kind of exception, a code of the API."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?")
_HOSTS: Final = frozenset({"host", "peer", "proxy", "server"})
"""The names under which our words have a host."""


def discreet(phrase: str) -> str:
    """Return a phrase in English, with nothing in it but our own words and what anybody may know."""
    if not isinstance(phrase, Phrase):
        return str(_value("", phrase))
    return "".join(_sentence(sentence) for sentence in phrase.sentences)


def short_host(host: str) -> str:
    """Return a host's name, each part of it cut down to its ends; as it is where everybody knows it."""
    name, colon, port = host.rpartition(":") if re.fullmatch(r".*:\d{1,5}", host) else (host, "", "")
    if _PUBLIC_HOST.fullmatch(name):
        return host
    *parts, last = name.split(".")
    shortened = [f"{part[0]}…{part[-1]}" if len(part) > 3 else "…" for part in parts]
    return ".".join([*shortened, last if last.isalpha() and parts else "…"]) + colon + port


def _sentence(sentence: Sentence) -> str:
    values = {name: _value(name, value) for name, value in sentence.values.items()}
    try:
        return Phrase(Sentence(sentence.template, values, sentence.plural, sentence.count))
    except (ValueError, TypeError):  # a form that stars do not take
        return STARS


def _value(name: str, value: object) -> object:
    match value:
        case Phrase():
            return discreet(value)
        case bool() | int() | float() | datetime() | Enum() | None:
            return value
        case OSError(strerror=str(reason)) if reason in _PUBLIC:
            return reason
        case str():
            return _text(name, value)
        case _:
            return STARS


def _text(name: str, text: str) -> str:
    if all(part in _PUBLIC or _SHAPES.fullmatch(part) for part in re.split(", | and |^: ", text)):
        return text
    if text.startswith(("http://", "https://")):
        return _address(text)
    return short_host(text) if name in _HOSTS and _HOST.fullmatch(text) else STARS


def _address(text: str) -> str:
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port
    except ValueError:
        return STARS
    shown = short_host(f"[{host}]" if ":" in host else host)
    return (
        f"{address.scheme}://{shown}" + (f":{port}" if port else "") + (f"/{STARS}" if address.path.strip("/") else "")
    )


def known(values: Mapping[str, str], names: tuple[str, ...], shape: str) -> list[str]:
    """Return ``NAME=value`` of each variable that is set; stars for a value that is not of that ``shape``."""
    set_ones = [(name, values[name]) for name in names if values.get(name)]
    return [f"{name}={value if re.fullmatch(shape, value) else STARS}" for name, value in set_ones]
