"""Fixtures for all tests. With OAUTH_HELPER_TESTS_MAY_NOT_SKIP=1 a skipped test is a failure.

The one exception is a machine that hides the processes of other users (``hidepid``): no package changes that.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.command_runner import searched_commands
from support.forked_command import end_servers
from support.thoroughness import IS_THOROUGH

from oauth_helper.sandbox import Sandbox

_OURS = ("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_")
_ALSO_READ = ("BROWSER", "CI", "SSL_CERT_FILE", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "NO_COLOR")
_PLACES = (
    *("CODESPACES", "CODESPACE_NAME", "DEVCONTAINER", "GITPOD_WORKSPACE_ID", "KUBERNETES_SERVICE_HOST", "container"),
    *("REMOTE_CONTAINERS", "REMOTE_CONTAINERS_IPC", "SSH_CLIENT", "SSH_TTY", "SUDO_USER", "WSL_DISTRO_NAME"),
    "WSL_INTEROP",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_SWITCH = "OAUTH_HELPER_TESTS_MAY_NOT_SKIP"

_MANY_PROCESSES = (
    "test_journal",
    "test_killed",
    "test_private_files",
    "test_recipes",
    "test_torture",
    "test_two_users",
)
"""Tests that start many processes. Their coverage is not measured: it is slow, and other tests cover the same code."""

_skips_are_failures = os.environ.get(_SWITCH) == "1"
_ALLOWED_SKIP = "hidepid"
_skipped: list[str] = []


for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    # A shell that starts us in the background, and nohup, ignore these signals, which child processes inherit.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

# Otherwise each of a thousand processes compiles the package, and each worker rewrites the assertions of the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A command has a buffer before a pipe, and may notice only at the end that the reader is gone.
os.environ.pop("PYTHONUNBUFFERED", None)

# No deadline: a slow machine is no failure.
settings.register_profile("by default", settings.default, max_examples=25, deadline=None)
settings.register_profile("thorough", settings.default, deadline=None)
settings.load_profile("thorough" if IS_THOROUGH else "by default")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Remove all variables of the user who runs the tests; return an empty home folder."""
    if request.path.name.startswith(_MANY_PROCESSES):
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            monkeypatch.delenv(name)
    proxies = (*_PROXIES, *(name.lower() for name in _PROXIES))
    for name in os.environ:
        if name.startswith(_OURS) or name in (*_ALSO_READ, *_PLACES) or name in proxies:
            monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return home


@pytest.fixture(autouse=True)
def recorded_commands(clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """At the end of the test, search its secrets in all that its commands wrote."""
    with searched_commands(tmp_path / "recorded", monkeypatch):
        yield


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session", autouse=True)
def end_forking_processes() -> Iterator[None]:
    """End the processes that fork commands before their coverage is combined."""
    yield
    end_servers()


class _SkipWatch:
    """Count skipped tests. With one, coverage is not checked: a missing browser lowers it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail") and _ALLOWED_SKIP not in str(report.longrepr):
            _skipped.append(report.nodeid)
            if hasattr(self._config.option, "cov_fail_under"):
                self._config.option.cov_fail_under = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked ``thorough``, or their cases with the word in ``thorough("firefox")``, by default."""
    left_out = [] if IS_THOROUGH else [item for item in items if _is_only_thorough(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_only_thorough(item: pytest.Item) -> bool:
    case = item.name.partition("[")[2]
    markers = item.iter_markers("thorough")
    return any(not marker.args or any(word in case for word in marker.args) for marker in markers)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_SkipWatch(config), "skip-watch")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _skips_are_failures and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and not _skips_are_failures:
        terminalreporter.write_line(f"{len(_skipped)} tests were skipped, so coverage is not judged.")
    if _skips_are_failures and _skipped:
        terminalreporter.write_line(f"{_SWITCH} is set, and {len(_skipped)} tests were skipped: that is a failure.")
