"""Targets: the files that we read, as real ones: settings, credentials, the journal, and the notice of another run."""

from __future__ import annotations

import functools
import json
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from journal_entries import ENTRY, NOW, TARGET, pending

from fuzz.target import PLANTED, SECRET_HERE, Target, assert_one_line, planted, scratch
from oauth_helper.authorization import RepoType, is_legal_name
from oauth_helper.credential_chain import find_credentials
from oauth_helper.credentials import AccessKey
from oauth_helper.errors import CredentialsError, MachineError, SettingsError
from oauth_helper.files import read_config_file, read_credentials_file
from oauth_helper.journal import Journal
from oauth_helper.origin import FileValues
from oauth_helper.other_runs import find_notice, noticed, read_notices
from oauth_helper.other_runs.claim import Claim, notice_path
from oauth_helper.pending import Pending
from oauth_helper.settings import FILE_KEYS, Settings, Sources, resolve_settings

_MOST_OF_A_MESSAGE: Final = 20_000
"""A settings error may quote the value that is wrong, as long as the file has it."""


def _written(name: str, data: bytes) -> Path:
    path = scratch("files") / name
    path.write_bytes(planted(data))
    path.chmod(0o600)
    return path


def _assert_silent(error: Exception) -> None:
    """Neither what is said nor what a debugger shows has the secret in it."""
    assert PLANTED not in "".join(traceback.format_exception(error))


def check_credentials_file(data: bytes) -> None:
    """Credentials come of it, or none, or an error that does not quote the file."""
    path = _written("credentials", data)
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(path)}
    try:
        values = read_credentials_file(environ)
        found = find_credentials({}, values)
    except CredentialsError as error:
        _assert_silent(error)
        assert_one_line(error.message, 400)
        assert_one_line(error.hint, 400)
        return
    assert all(isinstance(value, str) for value in values.values.values())
    if found is not None:
        assert isinstance(found.value, AccessKey)
        assert found.value.access_key
        assert found.value.secret_key.reveal() == values.values["sk"]
        assert PLANTED not in repr(_with_plain_access_key(found.value))


def _with_plain_access_key(key: AccessKey) -> AccessKey:
    """The same with a plain access key, which may be shown and may be made of anything here."""
    return AccessKey("AK", key.secret_key, key.security_token)


def check_config_file(data: bytes) -> None:
    """Settings come of it, or an error on one line."""
    path = _written("config.toml", data)
    try:
        values = read_config_file({"OAUTH_HELPER_CONFIG": str(path)})
        settings = resolve_settings(Sources({}, {}, values, FileValues("none")))
    except SettingsError as error:
        assert_one_line(error.message, _MOST_OF_A_MESSAGE)
        assert_one_line(error.hint, 400)
        return
    assert set(values.values) <= FILE_KEYS
    _check_settings(settings)


def _check_settings(settings: Settings) -> None:
    assert 1 <= settings.timeout.value <= 3600
    for endpoint in (settings.endpoint.value, settings.iam_endpoint.value):
        assert endpoint is None or endpoint.startswith(("https://", "http://"))


def check_journal(data: bytes) -> None:
    """An entry is read whole, or told in words that repeat nothing; what is read can be written and read again."""
    folder = scratch("journal") / "pending"
    journal = Journal(folder)
    if not folder.exists():
        journal.write(pending())
    (folder / ENTRY).write_bytes(planted(data))
    (folder / ENTRY).chmod(0o600)
    entries, troubles = journal.read_all()
    assert len(entries) + len(troubles) == 1
    for trouble in troubles:
        assert_one_line(trouble, 400)
        assert PLANTED not in trouble
        _check_refusal(journal)
    for found in entries:
        assert found == journal.find(TARGET, RepoType.GITHUB)
        assert PLANTED not in repr(replace(found, tag=None))
        assert Pending.from_json(found.to_json()) == found
    moment = NOW + timedelta(seconds=int.from_bytes(data[-3:], "big") - (1 << 23))
    journal.forget_expired(moment)
    assert {path.name for path in folder.iterdir()} <= {ENTRY}
    left, _ = journal.read_all()
    for found in left:
        assert found.is_fresh(moment)


def _check_refusal(journal: Journal) -> None:
    try:
        journal.find(TARGET, RepoType.GITHUB)
    except MachineError as error:
        _assert_silent(error)
        return
    raise AssertionError("read what could not be read")


@functools.cache
def _claim() -> Claim | None:
    """Somebody waits, as far as one who reads notices can tell."""
    return Claim.try_take(scratch("notices"), TARGET)


def check_notice(data: bytes) -> None:
    """A notice is passed over, or says to whom a redirect may be sent: a port of this machine, with a KEY."""
    folder = scratch("notices")
    assert _claim()
    path = notice_path(folder, TARGET.digest)
    path.write_bytes(planted(data))
    path.chmod(0o600)
    notices = read_notices(folder)
    found = find_notice(folder, TARGET)
    assert notices == ([found] if found else [])
    if found is None:
        return
    assert 1 <= found.port <= 65535
    assert len(found.key.reveal()) >= 22
    assert found.key.reveal().isascii()
    assert is_legal_name(found.name)
    assert found.key.reveal() not in repr(found)
    target = replace(TARGET, name=found.name)
    address = f"http://127.0.0.1:{found.port}/start?k={found.key.reveal()}"
    with noticed(folder, target, address=address, repo_type=found.repo_type):
        again = json.loads(notice_path(folder, target.digest).read_text())
    assert (again["listener"], again["name"]) == (address, found.name)


_ENTRY: Final = json.dumps(pending().to_json()).replace("planted-code", SECRET_HERE.decode()).encode()
_WITHOUT_SECRETS: Final = json.dumps(
    replace(pending(), code=None, state=None, sent_at=datetime(2025, 3, 1, tzinfo=UTC), stood_since=7).to_json()
).encode()
_KEY: Final = b"0123456789-key-of-43-characters-0123456789_"
_NOTICE: Final = (
    b'{"format": 1, "listener": "http://127.0.0.1:8080/start?k=%s", "pid": 1, "name": "my-auth", "repo_type": "gitee"}'
    % _KEY
)
_JSON_WORDS: Final = (
    *(b"format", b"endpoint", b"project_id", b"name", b"repo_type", b"tag", b"captured_at", b"sent_at", b"stood_since"),
    *(b"is_deleted", b"code", b"state", b"github", b"gitlab", b"my-auth", b"null", b"true", b"1", b"1e400", b"NaN"),
    *(b"2025-03-01T12:00:00+00:00", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2025-W10-6", b"Z"),
    *(b"listener", b"pid", b"http://127.0.0.1:8080/start?k=" + _KEY, b"\\ud800", b"\\u0000", b"\xef\xbb\xbf"),
    *(b"9" * 5000, b"[" * 1000, b'{"a":' * 500, b"\xed\xa0\x80", SECRET_HERE, b"https://EXAMPLE.com///"),
)

TARGETS: Final = {
    "credentials-file": Target(
        check_credentials_file,
        (
            b"[basic]\nak = AK\nsk = \x7f\n",
            b"[basic]\nak: AK\nsk: \x7f\nsecurity_token = \x7f\nproject_id = p\n[global]\nname = \x7f\n",
            b"[DEFAULT]\nsk = \x7f\n[basic]\nak = 100%s\n",
            b"# comment\n[basic]\nak\n\x7f\n",
        ),
        (
            *(
                b"[basic]\n",
                b"[",
                b"]",
                b"ak",
                b"sk",
                b" = ",
                b": ",
                b"=\n",
                b"security_token",
                b"[DEFAULT]",
                b"#",
                b";",
            ),
            *(b"\n  ", b"\r", b"\n\n", b"%(sk)s", b"\x7f", b"\xef\xbb\xbf", b"\x00", b"\xff", b"\xe2\x80\xa8", b"\x85"),
        ),
    ),
    "config-file": Target(
        check_config_file,
        (
            b'region = "cn-north-4"\ntimeout = 30\nbrowser = "none"\ntag = "intl"\n',
            b'endpoint = "https://servicestage.example/x"\niam_endpoint = "https://iam.example/v3"\nproject_id = "p"\n',
            b'endpoint = "http://127.0.0.1:1"\ntimeout = 1e3\n[table]\na = [1, {b = 1979-05-27}]\n',
            b"ca_bundle = '''/x'''\n",
        ),
        (
            *(key.encode() + b" = " for key in sorted(FILE_KEYS)),
            *(b'"', b"'''", b'"""', b"0x", b"1e400", b"nan", b"inf", b"-0", b"0b1", b"1979-05-27T07:32:00Z", b"[[a]]"),
            *(b"{a = 1}", b"\\u0000", b"\\ud800", b"\\U00110000", b"\\x1b", b"https://", b"http://", b"@", b"[::1]"),
            *(b"9" * 5000, b"f" * 4000, b"[" * 1500, b"{a=" * 500, b"a." * 500, b"#", b"\r\n", b"://", b":99999"),
        ),
        longest=8192,
    ),
    "journal": Target(check_journal, (_ENTRY, _WITHOUT_SECRETS, b"", _ENTRY * 2), _JSON_WORDS, longest=8192),
    "notice": Target(check_notice, (_NOTICE,), _JSON_WORDS, longest=8192),
}
