"""The profiles of KooCLI, Huawei Cloud's command line, as Terraform's provider reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from oauth_helper.credential_sources import FixedCredentials
from oauth_helper.credentials import AccessKey
from oauth_helper.i18n import Text, _
from oauth_helper.secret import safe_text
from oauth_helper.settings import UnreadableFileError, read_text_file
from oauth_helper.values import FileValues

DEFAULT_FILE: Final = "~/.hcloud/config.json"
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9]{16,32}")
_SECRET_KEY: Final = re.compile(r"[A-Za-z0-9]{8,40}")
"""What is not encrypted. The format of encrypted values is not documented; they are longer."""


class _Key(Struct, frozen=True):
    access_key: str = msgspec.field(name="accessKeyId", default="")
    secret_key: str = msgspec.field(name="secretAccessKey", default="")
    security_token: str = msgspec.field(name="securityToken", default="")


class _Sso(Struct, frozen=True):
    token: _Key = msgspec.field(name="stsToken", default=_Key())


class _Profile(_Key, frozen=True):
    name: str = ""
    mode: str = "AKSK"
    region: str = ""
    project_id: str = msgspec.field(name="projectId", default="")
    sso: _Sso = msgspec.field(name="ssoAuth", default=_Sso())


class _Configuration(Struct, frozen=True):
    """KooCLI's config.json, as Terraform's provider reads it."""

    current: str = "default"
    profiles: tuple[_Profile, ...] = ()


def read_profile(path: Path, profile: str) -> FixedCredentials | Text:
    """Return the credentials of a profile, of the current one by default, or why they cannot be used.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        document = msgspec.json.decode(read_text_file(path), type=_Configuration)
    except UnreadableFileError as error:
        return _('"{path}" {reason}', path=path, reason=error.reason)
    except (msgspec.MsgspecError, RecursionError):  # the error's text may repeat a part of the file
        return _('"{path}" is not a configuration file of KooCLI', path=path)
    profile = profile or document.current
    where = _('profile "{profile}" of "{path}" (KooCLI)', profile=safe_text(profile, limit=64), path=path)
    found = next((one for one in document.profiles if one.name == profile), None)
    if found is None:
        return _("{where} does not exist", where=where)
    key = found.sso.token if found.mode.upper() == "SSO" else found
    if found.mode.upper() not in {"AKSK", "SSO"}:
        return _("{where} has the mode {mode}, which is not used", where=where, mode=safe_text(found.mode, limit=32))
    if not (key.access_key or key.secret_key):
        return _("{where} has no access key", where=where)
    if not (_ACCESS_KEY.fullmatch(key.access_key) and _SECRET_KEY.fullmatch(key.secret_key)):
        command = "`hcloud configure set --cli-auth-encrypt=false`"
        return _("{where} is encrypted; {command} stores it for other tools too", where=where, command=command)
    source = FixedCredentials("koocli", where, AccessKey(key.access_key, key.secret_key, key.security_token or None))
    source.file = str(path)
    settings = {"region": found.region, "project_id": found.project_id}
    source.defaults = FileValues(str(path), {key: value for key, value in settings.items() if value})
    return source
