"""Reading files that the user names: settings, the vendor SDK's credentials, and whatever an argument names."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from platformdirs import user_config_path

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.origin import FileValues, shown_unless_secret, toml_trouble
from oauth_helper.phrase import NOTHING, Phrase, phrase, verbatim
from oauth_helper.private_files import unsafe_reason
from oauth_helper.settings import FILE_KEYS

MOST_BYTES: Final = 1024 * 1024
"""No file that we read is longer."""

_APPLICATION: Final = "oauth-helper"
_SECTION: Final = "basic"
_SECTIONS: Final = frozenset({_SECTION, "global", "default"})
_KEYS: Final = frozenset({"ak", "sk", "security_token", "project_id", "domain_id", "iam_endpoint"})
_CONFIG_VARIABLE: Final = "OAUTH_HELPER_CONFIG"
_CREDENTIALS_VARIABLE: Final = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
_WITHOUT_WAITING: Final = sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY"))


class UnreadableFileError(Exception):
    """A file is there, but cannot be read as text."""

    def __init__(self, reason: Phrase, hint: Phrase = NOTHING) -> None:
        super().__init__(reason)
        self.reason: Phrase = reason
        """A sentence without its subject, which the file's name goes before: ``is a folder``."""
        self.hint: Phrase = hint
        """What to do, if that is clear."""


def read_text_file(path: Path) -> str:
    """Return the text of a file that the user named: UTF-8 with or without a byte order mark, any line breaks.

    It never waits: only plain files are read, and the null device, which is empty.

    Raises:
        FileNotFoundError: It is not there.
        UnreadableFileError: It cannot be read, is no plain file, longer than 1 MB, or not UTF-8.
    """
    return decoded(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of a file that the user named; raises as :func:`read_text_file` does."""
    try:
        return _read_plain(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise UnreadableFileError(phrase("cannot be read: {why}", why=error.strerror)) from None


def decoded(content: bytes) -> str:
    """Return a file's text, with LF for every line break.

    Raises:
        UnreadableFileError: It is not UTF-8.
    """
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:200].count(b"\0") * 3 > len(content[:200])
    if is_wide:
        raise UnreadableFileError(phrase("is UTF-16, not UTF-8"), phrase("Save it as UTF-8."))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(
            phrase("is not UTF-8: line {line} has a character of another encoding", line=line),
            phrase("Save it as UTF-8; an editor may have written it in GBK or a Windows code page."),
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_plain(path: Path) -> bytes:
    if _is_null_device(path):
        return b""
    _require_plain(path.stat().st_mode)  # before it is opened: opening a device or a FIFO may do something
    descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)
    with os.fdopen(descriptor, "rb") as file:
        _require_plain(os.fstat(descriptor).st_mode)
        content = file.read(MOST_BYTES + 1)
    if len(content or b"") > MOST_BYTES:
        raise UnreadableFileError(phrase("is larger than 1 MB"))
    return content or b""


def _require_plain(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableFileError(phrase("is a folder"), phrase("Name a file."))
    if not stat.S_ISREG(mode):
        raise UnreadableFileError(phrase("is a pipe or a device, not a plain file"), phrase("Name a plain file."))


def read_config_file(environ: Mapping[str, str]) -> FileValues:
    """Read ``config.toml``; a missing file is empty, unless ``OAUTH_HELPER_CONFIG`` names it.

    Raises:
        SettingsError: It cannot be read, other users could change it, it is no TOML, or it has a key that we do not
            know (most likely a typing error).
    """
    name = environ.get(_CONFIG_VARIABLE)
    path = _named(name) if name else _config_folder() / "config.toml"
    text = ""
    try:
        text = read_text_file(path)
        if reason := _unsafe_reason(path):
            raise SettingsError(
                phrase('"{path}" is not used, because other users could change it: {reason}', path=path, reason=reason),
                hint=phrase(
                    "Make that yours alone (chown, chmod go-w), or name another file with OAUTH_HELPER_CONFIG. Check "
                    "that HOME is yours."
                ),
            )
        import tomllib  # noqa: PLC0415 - most users have no such file

        table = tomllib.loads(text)
    except FileNotFoundError:
        return _missing(name, path, _CONFIG_VARIABLE, SettingsError)
    except UnreadableFileError as error:
        if not name and (trouble := _hidden(path)):
            return FileValues(str(path), trouble=trouble)
        raise SettingsError(
            phrase('"{path}" {reason}', path=path, reason=error.reason),
            hint=error.hint
            or phrase("Fix the file, move it away, or name another with {variable}.", variable=_CONFIG_VARIABLE),
        ) from None
    except (ValueError, RecursionError) as error:  # no TOML, 5000 digits, or nested too deep
        raise SettingsError(
            phrase('"{path}" cannot be read: {error}', path=path, error=toml_trouble(text, error)),
            hint=phrase("Fix the file, or move it away."),
        ) from error
    lines = dict(_lines_of_keys(text.split("\n")))
    return FileValues(str(path), {key: _text(path, key, value, lines) for key, value in table.items()}, lines)


def read_credentials_file(environ: Mapping[str, str]) -> FileValues:
    """Read section ``[basic]`` of the vendor SDK's profile file; a missing default file is empty.

    Raises:
        CredentialsError: It cannot be read or is no INI file. Its text is not shown.
    """
    name = environ.get(_CREDENTIALS_VARIABLE)
    path = _named(name) if name else _home() / ".huaweicloud" / "credentials"
    try:
        text = read_text_file(path)
    except FileNotFoundError:
        return _missing(name, path, _CREDENTIALS_VARIABLE, CredentialsError)
    except UnreadableFileError as error:
        if not name and (trouble := _hidden(path)):
            return FileValues(str(path), trouble=trouble)
        raise CredentialsError(
            phrase('"{path}" {reason}', path=path, reason=error.reason),
            hint=error.hint
            or phrase("Fix the file, move it away, or name another with {variable}.", variable=_CREDENTIALS_VARIABLE),
        ) from None
    return FileValues(str(path), _read_section(path, text), dict(_lines_in_section(text)))


def _missing(name: str | None, path: Path, variable: str, error: type[SettingsError]) -> FileValues:
    if not name:
        return FileValues(str(path))
    raise error(
        phrase("{variable} names a file that is not there: {path}", variable=variable, path=path),
        hint=phrase("Create it, or unset the variable."),
    ) from None


def _hidden(path: Path) -> Phrase:
    """Return why nobody can say whether a file is there: a folder above it, such as another user's home, is closed."""
    try:
        path.stat()
    except PermissionError as error:
        return verbatim(error.strerror or "")
    except OSError:
        return NOTHING
    return NOTHING


def _unsafe_reason(path: Path) -> Phrase | None:
    try:
        path.stat()
        return None if _is_null_device(path) else unsafe_reason(path)
    except OSError:
        return None  # it is not there, or reading it fails as well and says why


def _is_null_device(path: Path) -> bool:
    try:
        return path.samefile(os.devnull)
    except OSError:
        return False


def _read_section(path: Path, text: str) -> Mapping[str, str]:
    import configparser  # noqa: PLC0415 - most users have no such file

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # What the parser says quotes the line, which may be the key. Names are repeated only if they are known.
        match error:
            case configparser.DuplicateSectionError(section=section, lineno=line):
                shown = f"[{section}]" if section in _SECTIONS else "a [section]"
                why = phrase("line {line} repeats {shown}", line=line, shown=shown)
            case configparser.DuplicateOptionError(option=key, lineno=line):
                why = phrase("line {line} repeats {shown}", line=line, shown=f'"{key}"' if key in _KEYS else "a key")
            case configparser.MissingSectionHeaderError(lineno=line):
                why = phrase("line {line} comes before the first [section]", line=line)
            case configparser.ParsingError(errors=[(line, _), *_]):
                why = phrase("line {line} is neither [section] nor key = value", line=line)
            case _:
                why = phrase("it is no INI file")
        raise CredentialsError(
            phrase('"{path}" cannot be read: {why}', path=path, why=why),
            hint=phrase("Fix that line. The file needs a line [basic], then ak = … and sk = …, each once."),
        ) from None
    return dict(parser[_SECTION]) if parser.has_section(_SECTION) else {}


def _lines_in_section(text: str) -> Iterator[tuple[str, int]]:
    """Return the lines on which the keys of ``[basic]`` are."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if line.strip().startswith("[")]
    for start, end in pairwise([*starts, len(lines)]):
        if lines[start].strip().startswith(f"[{_SECTION}]"):
            yield from _lines_of_keys(lines[start:end], start)


def _lines_of_keys(lines: list[str], before: int = 0) -> Iterator[tuple[str, int]]:
    """Return the number of the first line of each key."""
    seen = set()
    for number, line in enumerate(lines, start=before + 1):
        key = re.split("[=:]", line, maxsplit=1)[0].strip().strip("\"'").lower()
        if key and key not in seen:
            seen.add(key)
            yield key, number


def _named(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # as below; then it is not there
        return Path(name)


def _config_folder() -> Path:
    try:
        return user_config_path(_APPLICATION, appauthor=False)
    except RuntimeError:  # as below
        return Path(os.devnull)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a container may run under a number that has neither name nor HOME
        return Path(os.devnull)


def others_can_read(path: str) -> bool:
    """Whether the file's mode lets anybody but its owner read it. On Windows: False."""
    if sys.platform == "win32":  # pragma: no cover - Windows has no such mode
        return False
    try:
        return bool(Path(path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _text(path: Path, key: str, value: object, lines: Mapping[str, int]) -> str:
    where = (
        phrase('"{path}", line {line}', path=path, line=lines[key]) if key in lines else phrase('"{path}"', path=path)
    )
    if key not in FILE_KEYS:
        raise SettingsError(
            phrase("{where}: unknown key {key}", where=where, key=shown_unless_secret(key)),
            hint=phrase("Known keys: {sorted}.", sorted=", ".join(sorted(FILE_KEYS))),
        )
    hint = phrase('Write it as {key} = "…".', key=key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(phrase("{where}: {key} must be a text or a number", where=where, key=key), hint=hint)
    try:
        return str(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        raise SettingsError(phrase("{where}: {key} is too long a number", where=where, key=key), hint=hint) from None
