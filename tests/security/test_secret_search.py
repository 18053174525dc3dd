"""The search for secrets: what it finds, and what may be where."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from support.secret_search import (
    Search,
    Secret,
    searched_argv,
    searched_file,
    searched_page,
    searched_stderr,
    searched_stdout,
)

STATE = "$2a$10$.uQYThj5yKFs51w9s9ajeuQ0NSGshPH7IUfXoZLPlz7J/oAJ8Babc"
CODE = "fb32b45c3513bc3267f5"
PASSWORD = "a\"b'c<d>&e\\f+g/h%i=j"
SECRETS = {"state": STATE, "code": CODE, "password": PASSWORD}
START = "http://127.0.0.1:43210/start?k=dHJ1bHkgcmFuZG9tIHRydWx5IHJhbmRvbQ"

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "percent, upper hex": lambda text: quote(text, safe=""),
    "percent, every character": lambda text: "".join(f"%{ord(one):02x}" for one in text),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "json, every character": lambda text: "".join(f"\\u{ord(one):04X}" for one in text),
    "json in json": lambda text: json.dumps(json.dumps({"a": text})),
    "html": html.escape,
    "repr": repr,
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, off by a digit": lambda text: "a" + text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, off by two": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of json": lambda text: base64.b64encode(json.dumps({"k": text}).encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes((text * 3).encode()).decode(),
    "wrapped": lambda text: f"{text[:10]}\r\n  {text[10:]}",
    "in colours": lambda text: f"{text[:10]}\x1b[31m{text[10:]}",
}


def found(text: str | bytes) -> set[str]:
    hits = Search(Secret(name, value) for name, value in SECRETS.items()).hits(text)
    return {hit.partition(" in ")[0] for hit in hits}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_in_every_form(name: str, form: str) -> None:
    assert found(f"before {FORMS[form](SECRETS[name])} behind") == {name}


@pytest.mark.parametrize("at", range(len(CODE) - 11))
def test_a_part_is_found_wherever_it_stands(at: int) -> None:
    part = CODE[at : at + 12]
    for text in (part, base64.b64encode(part.encode()), b"\xff\x00" + part.encode() + b"\x80", "x" * at + part + "x"):
        assert found(text) == {"code"}
    assert found(f"{CODE[at : at + 11]}z{CODE[:at]}") == set()
    search = Search([Secret("pin", "83-2719"), Secret("none", "")])
    assert search.hits("x83-2719x")
    assert not search.hits("83-271")


def test_nothing_is_found_in_the_source() -> None:
    source = Path(__file__).parents[2] / "oauth_helper"
    for path in source.rglob("*.py"):
        assert found(path.read_bytes()) == set()
    assert found("$2a$10$ state=%242a%2410%24 code= ********") == set()
    assert found(base64.b64encode(bytes(range(256)) * 9)) == set()


def test_standard_output_may_contain_only_addresses_of_the_event_and_keys_of_the_sandbox() -> None:
    event = {"event": "waiting", "at": "now", "listener": START, "authorization_url": f"https://x?state={STATE}"}
    line = json.dumps(event) + "\n"
    assert found(searched_stdout(line)) == set()
    assert "start" not in searched_stdout(line)
    assert found(searched_stdout(json.dumps(event | {"listener": f"{START}&{CODE}"}) + "\n")) == {"code"}
    assert found(searched_stdout(json.dumps(event | {"more": STATE}) + "\n")) == {"state"}
    assert found(searched_stdout(line.replace("waiting", "opened"))) == {"state"}
    assert found(searched_stdout(f"{line}{STATE}")) == {"state"}
    assert searched_stdout(f"export HUAWEICLOUD_SDK_SK={CODE}\n# export OAUTH_HELPER_TOKEN={CODE}\n").strip() == ""
    assert found(searched_stdout(f"export OTHER={CODE}\nHUAWEICLOUD_SDK_SK={CODE}")) == {"code"}


def test_a_message_or_an_argument_may_be_only_an_address() -> None:
    url = f"https://x?state={STATE}"
    said = f"Open it:\n  {START}\r\n\x1b[2K  {url}\n"
    assert searched_stderr(said, [url]).split() == ["Open", "it:"]
    assert found(searched_stderr(said)) == {"state"}
    assert found(searched_stderr(f"debug {url}\n", [url])) == {"state"}
    assert START in searched_stderr(f"opening {START}\n")
    assert searched_argv(["browser", "--new", START]) == "browser\n--new"
    assert searched_argv([f"--url={START}"]) == f"--url={START}"


def test_a_page_may_contain_only_its_link_and_addresses() -> None:
    page = (
        f'<a id="authorize" class="button" href="https://x?state={STATE}">'
        f'<form method="post" action="/redirect?k={CODE}"><a href="/start?k={CODE}">'
        f'<meta http-equiv="refresh" content="1; url=/done?k={CODE}"><body data-live="/done?k={CODE}">'
    )
    assert found(page) == {"state", "code"}
    assert found(searched_page(page)) == set()
    assert found(searched_page(f"{page}<p>{STATE}</p>")) == {"state"}
    assert found(searched_page(f'{page}<a href="/servicestage?code={CODE}">')) == {"code"}


def test_a_private_entry_may_contain_only_code_and_state(tmp_path: Path) -> None:
    entry = tmp_path / "pending-1.json"
    entry.write_text(json.dumps({"name": "my-auth", "code": CODE, "state": STATE, "more": PASSWORD}))
    entry.chmod(0o644)
    assert found(searched_file(entry)) == set(SECRETS)
    entry.chmod(0o600)
    assert found(searched_file(entry)) == {"password"}
