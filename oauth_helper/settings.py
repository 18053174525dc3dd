"""Settings: flag over environment over file over default, each value with its origin."""

from __future__ import annotations

import configparser
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from platformdirs import user_config_path

from oauth_helper.credentials import IamSettings
from oauth_helper.errors import CredentialsError, SettingsError
from oauth_helper.i18n import NO_TEXT, Text, _, enumerated
from oauth_helper.private_files import unsafe_reason, write_whole
from oauth_helper.values import FileValues, Sourced, check_endpoint, require_clean, shown_unless_secret, toml_error_text

BROWSER_CHOICES: Final = ("auto", "default", "chromium", "firefox", "none")
"""Beside the path of a browser."""
DEFAULT_TIMEOUT: Final = 600.0
"""Seconds."""
MAXIMUM_TIMEOUT: Final = 3600
"""Seconds."""
MOST_BYTES: Final = 1024 * 1024
"""The longest file that is read."""
ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "region": (*("OAUTH_HELPER_REGION", "HW_REGION_NAME", "HW_REGION", "HUAWEICLOUD_REGION", "HUAWEI_CLOUD_REGION"),),
    "cloud": ("OAUTH_HELPER_CLOUD", "HW_CLOUD"),
    "endpoint": ("OAUTH_HELPER_ENDPOINT",),
    "project_id": (
        *("OAUTH_HELPER_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID", "HW_PROJECT_ID", "HUAWEI_CLOUD_PROJECT_ID"),
    ),
    "iam_endpoint": ("OAUTH_HELPER_IAM_ENDPOINT", "HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"),
    "ca_bundle": ("OAUTH_HELPER_CA_BUNDLE", "SSL_CERT_FILE"),
    "credentials": ("OAUTH_HELPER_CREDENTIALS",),
    "browser": ("OAUTH_HELPER_BROWSER",),
    "tag": ("OAUTH_HELPER_TAG",),
    "timeout": ("OAUTH_HELPER_TIMEOUT",),
}
FILE_KEYS: Final = frozenset(ENVIRONMENT)
REGIONS: Final = (
    *("af-south-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "cn-east-2", "cn-east-3"),
    *("cn-east-4", "cn-north-1", "cn-north-4", "cn-north-9", "cn-north-12", "cn-south-1", "cn-south-4"),
    *("cn-southwest-2", "la-north-2", "la-south-2", "me-east-1", "my-kualalumpur-1", "ru-moscow-1", "sa-brazil-1"),
    "tr-west-1",
)
"""The regions that have ServiceStage, in the cloud ``myhuaweicloud.com`` (the vendor's SDK)."""

_DEFAULT: Final = _("default")
_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PROJECT_ID: Final = re.compile(r"[0-9A-Za-z]{32}")
"""IAM's IDs are 32 hexadecimal digits. Stand-ins for ServiceStage use other letters too; hardly any name does."""
_CLOUD: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_STS_VARIABLE: Final = "HUAWEICLOUD_SDK_STS_ENDPOINT"
_STS_REGIONS: Final = (
    *("cn-north-4", "cn-south-1", "cn-east-3", "cn-southwest-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3"),
    *("ap-southeast-4", "sa-brazil-1", "la-south-2", "af-south-1", "tr-west-1"),
)
"""The regions in which the vendor's SDK uses the region's own STS; in all others it uses that of the first one."""
_WITHOUT_WAITING: Final = sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY"))


@dataclass(frozen=True, repr=False)
class Sources:
    """Where settings come from, in this order."""

    flags: Mapping[str, str | None]  # by file key; None if the flag was not given
    environ: Mapping[str, str]
    config_file: FileValues
    credentials_file: FileValues  # section [basic] of the vendor SDK's profile file
    # Of the credentials that are used: further variables by key, and settings in their file, which count last.
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: FileValues | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run; a value of None was given nowhere and has no default."""

    region: Sourced[str | None]
    cloud: Sourced[str]  # its domain, such as myhuaweicloud.com
    endpoint: Sourced[str | None]
    project_id: Sourced[str | None]  # None: ask IAM by the project's name
    project_name: Sourced[str | None]  # the region's name, if the user sets none
    iam_endpoint: Sourced[str | None]
    ca_bundle: Sourced[str | None]
    credentials: Sourced[str | None]  # the only source of credentials to use, by name; None: the first that is found
    sts_endpoint: str
    browser: Sourced[str]
    tag: Sourced[str | None]
    timeout: Sourced[float]  # seconds to wait for the user
    config: FileValues
    notices: tuple[Text, ...] = ()  # what the user set and a flag overrides, and what may not fit it

    @property
    def plausible(self) -> Mapping[str, bool]:
        """Whether the values that may be secrets in the wrong place are usable: the project's ID, and the CA bundle."""
        return {
            "project_id": _PROJECT_ID.fullmatch(self.project_id.value or "") is not None,
            "ca_bundle": os.path.exists(self.ca_bundle.value or ""),  # noqa: PTH110 - Path raises for a long name
        }

    def required_endpoint(self) -> str:
        """Return the endpoint. Raises SettingsError: neither an endpoint nor a region was given."""
        if self.endpoint.value is None:
            hint = _(
                "Pass --region (e.g. cn-north-4) or --endpoint, or set OAUTH_HELPER_REGION. To try it without an "
                "account, run `oauth-helper link github --sandbox`."
            )
            if self.config.unreadable:
                hint += _(" {sentence}", sentence=self.config.unreadable)
            raise SettingsError(_("No region is set"), hint=hint)
        return self.endpoint.value

    @property
    def iam(self) -> IamSettings:
        """How IAM and STS are reached, and which project is meant; SettingsError if its ID is not an ID."""
        return IamSettings(
            iam_endpoint=self.iam_endpoint.value,
            sts_endpoint=self.sts_endpoint,
            project_id=self.usable_project_id(),
            project_name=self.project_name.value,
            ca_bundle=self.ca_bundle.value,
        )

    def usable_project_id(self) -> str | None:
        """Return the project's ID; None: ask IAM for it. Raises SettingsError: the value is not an ID."""
        hint = _(
            "A project ID has 32 hexadecimal digits and is no name; the console shows it under My Credentials, API "
            "Credentials. Leave it out to use the project of the region."
        )
        _check(self.project_id, _PROJECT_ID.fullmatch, _("a project ID"), hint)
        return self.project_id.value


def resolve_settings(sources: Sources) -> Settings:
    """Find every setting's value and origin; raise SettingsError with the origin if a value cannot be used."""
    notices: list[Text] = []
    region, tag, project_id = (_find_value(key, sources) for key in ("region", "tag", "project_id"))
    _check(region, is_region, _("a region"), _("Regions look like cn-north-4."))
    if tag.value is not None:
        require_clean(tag.value, tag.origin, SettingsError, spaces="inside")
    cloud = _find_value("cloud", sources, default_cloud(region.value))
    hint = _("Give it as myhuaweicloud.com, myhuaweicloud.eu or g42cloud.com.")
    _check(cloud, _CLOUD.fullmatch, _("the domain of a cloud"), hint)
    browser = _find_value("browser", sources, "auto")
    hint = _("Use one of {choices}, or the path of a browser.", choices=enumerated(BROWSER_CHOICES))
    _check(browser, is_browser_choice, _("a browser that can be used"), hint)
    timeout = _find_value("timeout", sources, f"{DEFAULT_TIMEOUT:g}")
    what = _("a number of seconds from 1 to {maximum}", maximum=MAXIMUM_TIMEOUT)
    _check(timeout, _is_timeout, what, _("Give the seconds to wait for you in the browser, such as 600."))
    if project_id.value and _is_inherited(project_id) and sources.flags.get("region"):
        notices.append(
            _(
                "The project ID of {origin} is used with --region {region}. If it is of another region, pass "
                "--project-id.",
                origin=project_id.origin,
                region=region.value,
            )
        )
    project_name = Sourced(region.value, region.origin, region.file, is_default=True)
    for name in ("HW_PROJECT_NAME", *sources.variables.get("project_name", ())):
        if project_name.is_default and (value := sources.environ.get(name)):
            require_clean(value, name, SettingsError, spaces="inside")
            project_name = Sourced(value, name)
    if project_id.value and not project_name.is_default:
        text = _("{name} is not used: {origin} names the project.", name=project_name.origin, origin=project_id.origin)
        notices.append(text)
    domain = (cloud.value or "").lower()
    return Settings(
        region=region,
        cloud=cloud.holding(domain),
        endpoint=_endpoint("endpoint", "servicestage", sources, region.value, domain, notices),
        project_id=project_id,
        project_name=project_name,
        iam_endpoint=_endpoint("iam_endpoint", "iam", sources, region.value, domain, notices),
        ca_bundle=_find_value("ca_bundle", sources),
        credentials=_find_value("credentials", sources),
        sts_endpoint=_sts_endpoint(sources.environ, region.value or "", domain),
        browser=browser.holding(browser.value or ""),
        tag=tag,
        timeout=timeout.holding(float(timeout.value or 0)),
        config=sources.config_file,
        notices=tuple(notices),
    )


def _find_value(key: str, sources: Sources, default: str | None = None) -> Sourced[str | None]:
    if flag := sources.flags.get(key):
        return Sourced(flag, flag_of(key))
    for name in (*ENVIRONMENT[key], *sources.variables.get(key, ())):
        if value := sources.environ.get(name):  # an empty variable counts as unset
            return Sourced(value, name)
    file = sources.credentials_file
    if key in {"project_id", "iam_endpoint"} and (value := file.values.get(key)):
        require_clean(value, file.place_of(key), SettingsError, in_ini=True)
        return _in_file(file, key, _("[basic] of {path}", path=file.path))
    for values in (sources.config_file, sources.defaults):
        if values and values.values.get(key):
            return _in_file(values, key, Text(values.path))
    return Sourced(default, _DEFAULT, is_default=True)


def _in_file(file: FileValues, key: str, origin: Text) -> Sourced[str | None]:
    if line := file.lines.get(key):
        origin = _("{origin}, line {line}", origin=origin, line=line)
    return Sourced(file.values[key], origin, file.path)


def flag_of(key: str) -> str:
    """Return the flag of an option by its name in Python."""
    return f"--{key.replace('_', '-')}"


def _is_inherited(setting: Sourced[str | None]) -> bool:
    return not (setting.is_default or setting.origin.startswith("--"))


def _check(setting: Sourced[str | None], is_valid: Callable[[str], object], what: Text, hint: Text) -> None:
    if setting.value is not None and not is_valid(setting.value):
        require_clean(setting.value, setting.origin, SettingsError)
        shown = shown_unless_secret(setting.value)
        raise SettingsError(
            _("{origin} is not {what}: {shown}", origin=setting.origin, what=what, shown=shown), hint=hint
        )


def _is_timeout(text: str) -> bool:
    with suppress(ValueError):
        return 1 <= float(text) <= MAXIMUM_TIMEOUT
    return False


def default_cloud(region: str | None) -> str:
    """Return the domain of the cloud that has the region."""
    return "myhuaweicloud.eu" if (region or "").startswith("eu-west-1") else "myhuaweicloud.com"


def _sts_endpoint(environ: Mapping[str, str], region: str, cloud: str) -> str:
    if endpoint := environ.get(_STS_VARIABLE):
        return check_endpoint(endpoint, origin=_STS_VARIABLE)
    if cloud == default_cloud(None) and region not in _STS_REGIONS:
        region = _STS_REGIONS[0]
    return f"https://sts.{region}.{cloud}" if region else ""


def _endpoint(
    key: str, service: str, sources: Sources, region: str | None, cloud: str, notices: list[Text]
) -> Sourced[str | None]:
    setting = _find_value(key, sources)
    typed = next((flag_of(name) for name in ("region", "cloud") if sources.flags.get(name)), None)
    of_region = f"HUAWEICLOUD_SDK_REGION_SERVICESTAGE_{(region or '').upper().replace('-', '_')}"
    if typed and _is_inherited(setting):
        notices.append(
            _("{flag} overrides the {key} of {origin}.", flag=typed, key=flag_of(key)[2:], origin=setting.origin)
        )
        setting = Sourced(None, _DEFAULT)
    # The vendor's SDK takes a list and prefers the first.
    first = sources.environ.get(of_region, "").partition(",")[0]
    if key == "endpoint" and region and first and (setting.value is None or setting.file):
        setting = Sourced(first, of_region)
    if setting.value is None and region:
        value = f"https://{service}.{region}.{cloud}"
        setting = Sourced(value, _("default of region {region}", region=region), is_default=True)
    value = setting.value or ""
    if key == "iam_endpoint":
        value = value.rstrip("/").removesuffix("/v3")
    return setting.holding(check_endpoint(value, origin=setting.origin)) if value else setting


def is_region(text: str) -> bool:
    """Whether ``text`` can be the name of a region."""
    return _REGION.fullmatch(text) is not None


def save_region(path: Path, region: str) -> None:
    """Add the region to the settings file, which has none; raise OSError or UnreadableFileError."""
    path = path.resolve()
    text = ""
    with suppress(FileNotFoundError):
        text = decoded(read_bytes(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, f'region = "{region}"\n{text}'.encode())


def is_browser_choice(text: str) -> bool:
    """Whether ``text`` says how to open a browser: one of the choices, or a path (it contains a separator)."""
    return text in BROWSER_CHOICES or "/" in text or "\\" in text


def regions_file(environ: Mapping[str, str]) -> Path | None:
    """Return the vendor SDK's file of endpoints if it names ServiceStage. We do not read it, but say so."""
    with suppress(FileNotFoundError, RuntimeError, UnreadableFileError):
        path = Path(environ.get("HUAWEICLOUD_SDK_REGIONS_FILE") or "~/.huaweicloud/regions.yaml").expanduser()
        return path if "SERVICESTAGE" in decoded(read_bytes(path)).upper() else None
    return None


class UnreadableFileError(Exception):
    """A file exists, but cannot be read as text."""

    def __init__(self, reason: Text, hint: Text = NO_TEXT) -> None:
        super().__init__(reason)
        self.reason = reason  # the predicate of a sentence whose subject is the file's name: "is a folder"
        self.hint = hint


def read_bytes(path: Path) -> bytes:
    """Return the content of a file that the user named. It never waits: only plain files and the null device are read.

    FileNotFoundError if it does not exist; UnreadableFileError if it cannot be read, is not plain or longer than 1 MB.
    """
    try:
        if path.samefile(os.devnull):
            return b""
        _require_plain(path.stat().st_mode)  # before it is opened: opening a device or a FIFO may have an effect
        descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)
        with os.fdopen(descriptor, "rb") as file:
            _require_plain(os.fstat(descriptor).st_mode)
            content = file.read(MOST_BYTES + 1) or b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise UnreadableFileError(_("cannot be read: {why}", why=error.strerror)) from None
    if len(content) > MOST_BYTES:
        raise UnreadableFileError(_("is larger than 1 MB"))
    return content


def decoded(content: bytes) -> str:
    """Return a file's text, with LF for every line break. Raises UnreadableFileError: it is not UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:200].count(b"\0") * 3 > len(content[:200]):
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


def _require_plain(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableFileError(_("is a folder"), _("Name a file."))
    if not stat.S_ISREG(mode):
        raise UnreadableFileError(_("is a pipe or a device, not a plain file"), _("Name a plain file."))


def read_config_file(environ: Mapping[str, str]) -> FileValues:
    """Read ``config.toml``; a missing file is empty, unless ``OAUTH_HELPER_CONFIG`` names it.

    Raises SettingsError: it cannot be read, others could change it, it is not TOML, or it has an unknown key.
    """
    folder = partial(user_config_path, "oauth-helper", appauthor=False)
    file, text = _read(environ, "OAUTH_HELPER_CONFIG", lambda: folder() / "config.toml", SettingsError)
    reason = None
    with suppress(OSError):  # the file has just disappeared
        reason = unsafe_reason(Path(file.path)) if text else None
    if reason:
        raise SettingsError(
            _('"{path}" is not used, because other users could change it: {reason}', path=file.path, reason=reason),
            hint=_("Make that yours alone (chown, chmod go-w), or name another file with OAUTH_HELPER_CONFIG."),
        )
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, 5000 digits, or nested too deep
        raise SettingsError(
            _('"{path}" cannot be read: {error}', path=file.path, error=toml_error_text(text, error)),
            hint=_("Fix the file, or move it away."),
        ) from error
    file = replace(file, lines=_lines_of_keys(text.split("\n")))
    return replace(file, values={key: _config_value(file, key, value) for key, value in table.items()})


def read_credentials_file(environ: Mapping[str, str]) -> FileValues:
    """Read section ``[basic]`` of the vendor SDK's profile file; a missing default file is empty.

    Raises CredentialsError: it cannot be read or is not an INI file. Its text is not shown.
    """
    variable = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
    file, text = _read(environ, variable, lambda: Path.home() / ".huaweicloud" / "credentials", CredentialsError)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # The parser's own message quotes the line, which may be the key.
        line = getattr(error, "lineno", None) or next((number for number, _text in getattr(error, "errors", ())), 1)
        raise CredentialsError(
            _(
                '"{path}" cannot be read: line {line} is no [section] or key = value, or repeats one',
                path=file.path,
                line=line,
            ),
            hint=_("Fix that line. The file needs a line [basic], then ak = … and sk = …, each once."),
        ) from None
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip().startswith("[basic]")), len(lines))
    after = (number for number, line in enumerate(lines) if number > start and line.strip().startswith("["))
    values = dict(parser["basic"]) if parser.has_section("basic") else {}
    return replace(file, values=values, lines=_lines_of_keys(lines[start : next(after, None)], start))


def _read(
    environ: Mapping[str, str], variable: str, default: Callable[[], Path], error: type[SettingsError]
) -> tuple[FileValues, str]:
    """Return the file that the variable names, or the default one, and its text; it is empty if there is none."""
    name = environ.get(variable)
    try:
        path = Path(name).expanduser() if name else default()
    except RuntimeError:  # a container's user may have neither name nor HOME; then the file is missing
        path = Path(name or os.devnull)
    try:
        path.stat()
    except PermissionError as problem:  # in a folder above the file, such as another user's home
        if not name:
            why = _(
                '"{path}" could not be examined ({reason}): check HOME, or set {variable}.',
                path=path,
                reason=Text(problem.strerror or ""),
                variable=variable,
            )
            return FileValues(str(path), unreadable=why), ""
    except OSError:
        if not name:
            return FileValues(str(path)), ""
    return FileValues(str(path)), read_named_file(name or str(path), variable, error)


def read_named_file(path: str, place: str, error: type[SettingsError]) -> str:
    """Return the text of a file that a variable or a key names; raise ``error`` if it cannot be read."""
    try:
        return decoded(read_bytes(Path(path).expanduser()))
    except (FileNotFoundError, RuntimeError):
        raise error(
            _("{variable} names a file that is not there: {path}", variable=place, path=path),
            hint=_("Create it, or unset the variable."),
        ) from None
    except UnreadableFileError as problem:
        hint = problem.hint or _("Fix the file, move it away, or name another with {variable}.", variable=place)
        raise error(_('"{path}" {reason}', path=path, reason=problem.reason), hint=hint) from None


def _lines_of_keys(lines: list[str], before: int = 0) -> Mapping[str, int]:
    """Return the number of the first line of each key."""
    numbers: dict[str, int] = {}
    for number, line in enumerate(lines, start=before + 1):
        key = re.split("[=:]", line, maxsplit=1)[0].strip().strip("\"'").lower()
        if key:
            numbers.setdefault(key, number)
    return numbers


def _config_value(file: FileValues, key: str, value: object) -> str:
    where = _('"{path}"', path=file.path)
    if line := file.lines.get(key):
        where = _('"{path}", line {line}', path=file.path, line=line)
    if key not in FILE_KEYS:
        raise SettingsError(
            _("{where}: unknown key {key}", where=where, key=shown_unless_secret(key)),
            hint=_("Known keys: {sorted}.", sorted=", ".join(sorted(FILE_KEYS))),
        )
    if not isinstance(value, bool) and isinstance(value, str | int | float):
        with suppress(ValueError):  # Python converts no number of more than 4300 digits
            return str(value)
    raise SettingsError(
        _("{where}: {key} must be a text or a number", where=where, key=key),
        hint=_('Write it as {key} = "…".', key=key),
    )


def others_can_read(path: str) -> bool:
    """Whether the file's mode lets anybody but its owner read it. On Windows: False."""
    if sys.platform == "win32":  # pragma: no cover - Windows has no such mode
        return False
    try:
        return bool(Path(path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except (FileNotFoundError, NotADirectoryError):
        return False
