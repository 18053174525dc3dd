"""Entries that tests of the journal write."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from oauth_helper.models import Pending, RepoType, Target
from oauth_helper.secret import Secret

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TARGET = Target("https://servicestage.cn-north-4.myhuaweicloud.com", "a-project", "my-auth")
ENTRY = f"pending-{TARGET.digest}-github.json"


def pending(name: str = "my-auth", age: timedelta = timedelta(0), repo_type: RepoType = RepoType.GITHUB) -> Pending:
    return Pending(
        replace(TARGET, name=name), repo_type, NOW - age, Secret("planted-code"), Secret("$2a$10$planted-state"), "intl"
    )


def as_json(entry: Pending) -> dict[str, Any]:
    return dict(msgspec.to_builtins(entry, enc_hook=Secret.reveal))


def made_at(path: Path, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(),) * 2)
