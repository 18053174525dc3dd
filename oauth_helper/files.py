"""Where settings and credentials lie: platformdirs' config folder, the vendor SDK's profile file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

from platformdirs import user_config_path

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.origin import FileValues
from oauth_helper.phrase import phrase
from oauth_helper.settings import FILE_KEYS

_APPLICATION: Final = "oauth-helper"
_SECTION: Final = "basic"


def read_config_file(environ: Mapping[str, str]) -> FileValues:
    """Read ``config.toml``; a missing file is empty, unless ``OAUTH_HELPER_CONFIG`` names it.

    Raises:
        SettingsError: It cannot be read, is no TOML, or holds a key that we do not know (most likely a slip).
    """
    named = environ.get("OAUTH_HELPER_CONFIG")
    path = _named(named) if named else _config_folder() / "config.toml"
    try:
        with path.open("rb") as file:
            import tomllib  # noqa: PLC0415 - most users have no such file

            table = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise SettingsError(
                phrase("OAUTH_HELPER_CONFIG names a file that is not there: {path}", path=path),
                hint=phrase("Create it, or unset the variable."),
            ) from None
        return FileValues(str(path))
    except (OSError, ValueError, RecursionError) as error:  # no TOML, no UTF-8, 5000 digits, or nested too deep
        raise SettingsError(
            phrase("{path} cannot be read: {error}", path=path, error=error),
            hint=phrase("Mend the file, or move it away."),
        ) from error
    return FileValues(str(path), {key: _text(path, key, value) for key, value in table.items()})


def read_credentials_file(environ: Mapping[str, str]) -> FileValues:
    """Read section ``[basic]`` of the vendor SDK's profile file; a missing default file is empty.

    Raises:
        CredentialsError: It cannot be read or is no INI file. Its text is not shown.
    """
    named = environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    path = _named(named) if named else _home() / ".huaweicloud" / "credentials"
    try:
        with path.open(encoding="utf-8") as file:
            return FileValues(str(path), _read_section(path, file))
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise CredentialsError(
                phrase("HUAWEICLOUD_SDK_CREDENTIALS_FILE names a file that is not there: {path}", path=path),
                hint=phrase("Create it, or unset the variable."),
            ) from None
        return FileValues(str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _read_section(path: Path, file: TextIO) -> Mapping[str, str]:
    from configparser import ConfigParser, Error  # noqa: PLC0415 - most users have no such file

    parser = ConfigParser(interpolation=None)
    try:
        parser.read_file(file)
    except Error as error:
        raise _unreadable(path, error) from None
    return dict(parser[_SECTION]) if parser.has_section(_SECTION) else {}


def _unreadable(path: Path, error: Exception) -> CredentialsError:
    """Return the error without what the parser says: it quotes the line it stumbled over, which may be the key."""
    return CredentialsError(
        phrase(
            "{path} cannot be read as the vendor SDK's credentials file ({name__})",
            path=path,
            name__=type(error).__name__,
        ),
        hint=phrase("It holds a line [basic], then ak = … and sk = … on lines of their own."),
    )


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


def _text(path: Path, key: str, value: object) -> str:
    if key not in FILE_KEYS:
        raise SettingsError(
            phrase("{path} has a key nobody reads: {key!r}", path=path, key=key),
            hint=phrase("Known keys: {sorted}.", sorted=", ".join(sorted(FILE_KEYS))),
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(
            phrase("{path}: {key} must be a text or a number", path=path, key=key),
            hint=phrase('Write it as {key} = "…".', key=key),
        )
    try:
        return str(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        raise SettingsError(
            phrase("{path}: {key} is too long a number", path=path, key=key),
            hint=phrase('Write it as {key} = "…".', key=key),
        ) from None
