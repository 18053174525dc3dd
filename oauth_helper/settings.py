"""Settings: flag over environment over file over default, each value with its origin."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from platformdirs import user_config_path

from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.i18n import NO_TEXT, Text, _
from oauth_helper.private_files import unsafe_reason
from oauth_helper.values import (
    FileValues,
    Sourced,
    check_endpoint,
    first_set,
    problem_of,
    shown_unless_secret,
    toml_trouble,
)

BROWSER_CHOICES: Final = ("auto", "default", "chromium", "firefox", "none")
"""Beside the path of a browser."""
MAXIMUM_TIMEOUT: Final = 3600
"""Seconds."""

# fmt: off
# fmt: on
"""The bad ports of the Fetch standard (section 2.9): browsers open no page there."""


def is_browser_choice(text: str) -> bool:
    """Whether ``text`` says how to open a browser: one of the choices, or a path (it has a separator in it)."""
    return text in BROWSER_CHOICES or "/" in text or "\\" in text


DEFAULT_TIMEOUT: Final = 600.0
"""Seconds."""

_DEFAULT: Final = _("default")
_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID: Final = re.compile(r"[0-9A-Za-z]{32}")
"""IAM's IDs are 32 hexadecimal digits. Stand-ins for ServiceStage use other letters too; hardly any name does."""
_PROJECT_NAME: Final = re.compile(r"[a-z]{2}-[a-z]{2,12}-\d{1,3}([_-][A-Za-z0-9_-]{0,40})?|[a-z_-]{1,24}")
"""The name of a region's project or of a subproject in it."""

ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "region": ("OAUTH_HELPER_REGION", "HW_REGION_NAME", "HUAWEICLOUD_REGION"),
    "endpoint": ("OAUTH_HELPER_ENDPOINT",),
    "project_id": ("OAUTH_HELPER_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID"),
    "iam_endpoint": ("OAUTH_HELPER_IAM_ENDPOINT", "HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"),
    "ca_bundle": ("OAUTH_HELPER_CA_BUNDLE", "SSL_CERT_FILE"),
    "browser": ("OAUTH_HELPER_BROWSER",),
    "tag": ("OAUTH_HELPER_TAG",),
    "timeout": ("OAUTH_HELPER_TIMEOUT",),
}
FILE_KEYS: Final = frozenset(ENVIRONMENT)
_IN_CREDENTIALS_FILE: Final = frozenset({"project_id", "iam_endpoint"})


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings are looked for, in this order."""

    flags: Mapping[str, str | None]
    """By file key; None where the flag was not given."""
    environ: Mapping[str, str]
    config_file: FileValues
    credentials_file: FileValues
    """Section ``[basic]`` of the vendor SDK's profile file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run goes by; a value of None was given nowhere and has no default."""

    region: Sourced[str | None]
    endpoint: Sourced[str | None]
    project_id: Sourced[str | None]
    """None: it is asked of IAM by the region's name."""
    iam_endpoint: Sourced[str | None]
    ca_bundle: Sourced[str | None]
    """File of certificates to trust; None: the system's."""
    browser: Sourced[str]
    tag: Sourced[str | None]
    timeout: Sourced[float]
    """Seconds to wait for the user."""
    config_trouble: Text = NO_TEXT
    """Why it is unknown whether there is a settings file, if it is."""

    @property
    def names_browser(self) -> bool:
        """Whether it was said anywhere how a browser is to be opened."""
        return not self.browser.is_default

    def required_endpoint(self) -> str:
        """Return the endpoint.

        Raises:
            SettingsError: Neither an endpoint nor a region was given.
        """
        if self.endpoint.value is None:
            raise SettingsError(
                _("It is not known which ServiceStage to talk to: neither an endpoint nor a region is set"),
                hint=_(
                    "Give --region (such as cn-north-4) or --endpoint, or set OAUTH_HELPER_REGION. To try "
                    "without an account, add --sandbox to `link`."
                )
                + _further(self.config_trouble),
            )
        return self.endpoint.value

    def usable_project_id(self) -> str | None:
        """Return the project's ID; None if IAM has to be asked for it.

        Raises:
            SettingsError: What is set is no ID.
        """
        project_id, origin = self.project_id.value, self.project_id.origin
        if project_id is None or _PROJECT_ID.fullmatch(project_id):
            return project_id
        if problem := problem_of(project_id, origin):
            raise SettingsError(problem.message, hint=problem.hint)
        if _PROJECT_NAME.fullmatch(project_id):
            message = _('{origin} is a name, not an ID: "{project_id}"', origin=origin, project_id=project_id)
        else:  # it may be anything, a key too, and is not repeated
            message = _("{origin} is not a project ID", origin=origin)
        raise SettingsError(
            message,
            hint=_(
                "A project ID has 32 hexadecimal digits; the console shows it under My Credentials, API Credentials. "
                "Leave it out to use the project of the region."
            ),
        )

    def required_iam_endpoint(self, purpose: Text) -> str:
        """Return the IAM endpoint, wanted for ``purpose``.

        Raises:
            SettingsError: Neither an IAM endpoint nor a region was given.
        """
        if self.iam_endpoint.value is None:
            raise SettingsError(
                _("IAM is needed for {purpose}, but neither its endpoint nor a region is set", purpose=purpose),
                hint=_("Give --region, or --iam-endpoint.") + _further(self.config_trouble),
            )
        return self.iam_endpoint.value


def resolve_settings(sources: Sources) -> Settings:
    """Find every setting's value and origin.

    Raises:
        SettingsError: A value that was given cannot be used; the message names its origin.
    """
    region = _look_up("region", sources)
    if region.value is not None and not _REGION.fullmatch(region.value):
        problem = problem_of(region.value, region.origin)
        raise SettingsError(
            _("{origin} is not a region: {shown}", origin=region.origin, shown=shown_unless_secret(region.value)),
            hint=problem.hint if problem else _("Regions look like cn-north-4."),
        )
    return Settings(
        region=region,
        endpoint=_checked_endpoint(_service_endpoint(sources, region.value)),
        project_id=_look_up("project_id", sources),
        iam_endpoint=_checked_endpoint(_iam_endpoint(sources, region.value)),
        ca_bundle=_look_up("ca_bundle", sources),
        browser=_browser(_look_up("browser", sources)),
        tag=_plain(_look_up("tag", sources)),
        timeout=_timeout(_look_up("timeout", sources)),
        config_trouble=_trouble(sources.config_file),
    )


def _trouble(file: FileValues) -> Text:
    if not file.trouble:
        return NO_TEXT
    return _(
        '"{path}" could not be examined ({trouble}): check HOME, or set OAUTH_HELPER_CONFIG.',
        path=file.path,
        trouble=file.trouble,
    )


def _further(sentence: Text) -> str:
    return _(" {sentence}", sentence=sentence) if sentence else ""


def _plain(found: Sourced[str | None]) -> Sourced[str | None]:
    if found.value is not None and (problem := problem_of(found.value, found.origin, spaces="inside")):
        raise SettingsError(problem.message, hint=problem.hint)
    return found


def _look_up(key: str, sources: Sources, more_environment: tuple[str, ...] = ()) -> Sourced[str | None]:
    if flag := sources.flags.get(key):
        return Sourced(flag, f"--{key.replace('_', '-')}")
    if found := first_set(sources.environ, ENVIRONMENT[key] + more_environment):
        return found
    if key in _IN_CREDENTIALS_FILE and (value := sources.credentials_file.values.get(key)):
        file = sources.credentials_file
        if problem := problem_of(value, file.place_of(key), in_ini=True):
            raise SettingsError(problem.message, hint=problem.hint)
        return _from_file(key, value, file, _("[basic] of {path}", path=file.path))
    if value := sources.config_file.values.get(key):
        return _from_file(key, value, sources.config_file, Text(sources.config_file.path))
    return Sourced(None, _DEFAULT, is_default=True)


def _from_file(key: str, value: str, file: FileValues, origin: Text) -> Sourced[str | None]:
    line = file.lines.get(key)
    return Sourced(value, _("{origin}, line {line}", origin=origin, line=line) if line else origin, file.path)


def _service_endpoint(sources: Sources, region: str | None) -> Sourced[str | None]:
    of_region = f"HUAWEICLOUD_SDK_REGION_SERVICESTAGE_{region.upper().replace('-', '_')}" if region else ""
    found = _look_up("endpoint", sources, (of_region,) if of_region else ())
    if found.value and found.origin == of_region:
        # The vendor's SDK takes a list here and tries each in turn; the first is the one it prefers.
        return replace(found, value=found.value.partition(",")[0])
    if found.value or not region:
        return found
    return Sourced(f"https://servicestage.{region}.myhuaweicloud.com", _("default of region {region}", region=region))


def _iam_endpoint(sources: Sources, region: str | None) -> Sourced[str | None]:
    found = _look_up("iam_endpoint", sources)
    if found.value:
        return replace(found, value=found.value.rstrip("/").removesuffix("/v3"))
    if not region:
        return found
    return Sourced(f"https://iam.{region}.myhuaweicloud.com", _("default of region {region}", region=region))


def _checked_endpoint(found: Sourced[str | None]) -> Sourced[str | None]:
    if found.value is None:
        return found
    return replace(found, value=check_endpoint(found.value, origin=found.origin))


def _browser(found: Sourced[str | None]) -> Sourced[str]:
    if found.value is None:
        return Sourced("auto", _DEFAULT, is_default=True)
    if not is_browser_choice(found.value):
        raise SettingsError(
            _(
                "{origin} names a browser that cannot be had: {found}",
                origin=found.origin,
                found=shown_unless_secret(found.value),
            ),
            hint=_(
                "Use one of {browser_choices}, or the path of a browser.", browser_choices=", ".join(BROWSER_CHOICES)
            ),
        )
    return Sourced(found.value, found.origin)


def _timeout(found: Sourced[str | None]) -> Sourced[float]:
    if found.value is None:
        return Sourced(DEFAULT_TIMEOUT, _DEFAULT, is_default=True)
    try:
        seconds = float(found.value)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= MAXIMUM_TIMEOUT:
        raise SettingsError(
            _(
                "{origin} is not a number of seconds from 1 to {maximum_timeout}: {found}",
                origin=found.origin,
                maximum_timeout=MAXIMUM_TIMEOUT,
                found=shown_unless_secret(found.value),
            ),
            hint=_("Give the seconds to wait for you in the browser, such as 600."),
        )
    return Sourced(seconds, found.origin)


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

    def __init__(self, reason: Text, hint: Text = NO_TEXT) -> None:
        super().__init__(reason)
        self.reason: Text = reason
        """A sentence without its subject, which the file's name goes before: ``is a folder``."""
        self.hint: Text = hint
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
        raise UnreadableFileError(_("cannot be read: {why}", why=error.strerror)) from None


def decoded(content: bytes) -> str:
    """Return a file's text, with LF for every line break.

    Raises:
        UnreadableFileError: It is not UTF-8.
    """
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:200].count(b"\0") * 3 > len(content[:200])
    if is_wide:
        raise UnreadableFileError(_("is UTF-16, not UTF-8"), _("Save it as UTF-8."))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(
            _("is not UTF-8: line {line} has a character of another encoding", line=line),
            _("Save it as UTF-8; an editor may have written it in GBK or a Windows code page."),
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
        raise UnreadableFileError(_("is larger than 1 MB"))
    return content or b""


def _require_plain(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableFileError(_("is a folder"), _("Name a file."))
    if not stat.S_ISREG(mode):
        raise UnreadableFileError(_("is a pipe or a device, not a plain file"), _("Name a plain file."))


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
                _('"{path}" is not used, because other users could change it: {reason}', path=path, reason=reason),
                hint=_(
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
            _('"{path}" {reason}', path=path, reason=error.reason),
            hint=error.hint
            or _("Fix the file, move it away, or name another with {variable}.", variable=_CONFIG_VARIABLE),
        ) from None
    except (ValueError, RecursionError) as error:  # no TOML, 5000 digits, or nested too deep
        raise SettingsError(
            _('"{path}" cannot be read: {error}', path=path, error=toml_trouble(text, error)),
            hint=_("Fix the file, or move it away."),
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
            _('"{path}" {reason}', path=path, reason=error.reason),
            hint=error.hint
            or _("Fix the file, move it away, or name another with {variable}.", variable=_CREDENTIALS_VARIABLE),
        ) from None
    return FileValues(str(path), _read_section(path, text), dict(_lines_in_section(text)))


def _missing(name: str | None, path: Path, variable: str, error: type[SettingsError]) -> FileValues:
    if not name:
        return FileValues(str(path))
    raise error(
        _("{variable} names a file that is not there: {path}", variable=variable, path=path),
        hint=_("Create it, or unset the variable."),
    ) from None


def _hidden(path: Path) -> Text:
    """Return why nobody can say whether a file is there: a folder above it, such as another user's home, is closed."""
    try:
        path.stat()
    except PermissionError as error:
        return Text(error.strerror or "")
    except OSError:
        return NO_TEXT
    return NO_TEXT


def _unsafe_reason(path: Path) -> Text | None:
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
                why = _("line {line} repeats {shown}", line=line, shown=shown)
            case configparser.DuplicateOptionError(option=key, lineno=line):
                why = _("line {line} repeats {shown}", line=line, shown=f'"{key}"' if key in _KEYS else "a key")
            case configparser.MissingSectionHeaderError(lineno=line):
                why = _("line {line} comes before the first [section]", line=line)
            case configparser.ParsingError(errors=[(line, _), *_]):
                why = _("line {line} is neither [section] nor key = value", line=line)
            case _:
                why = _("it is no INI file")
        raise CredentialsError(
            _('"{path}" cannot be read: {why}', path=path, why=why),
            hint=_("Fix that line. The file needs a line [basic], then ak = … and sk = …, each once."),
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
    where = _('"{path}", line {line}', path=path, line=lines[key]) if key in lines else _('"{path}"', path=path)
    if key not in FILE_KEYS:
        raise SettingsError(
            _("{where}: unknown key {key}", where=where, key=shown_unless_secret(key)),
            hint=_("Known keys: {sorted}.", sorted=", ".join(sorted(FILE_KEYS))),
        )
    hint = _('Write it as {key} = "…".', key=key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(_("{where}: {key} must be a text or a number", where=where, key=key), hint=hint)
    try:
        return str(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        raise SettingsError(_("{where}: {key} is too long a number", where=where, key=key), hint=hint) from None
