"""Measure times, memory and size, each beside another tool in turn, over real sockets; print a table.

``make bench`` measures everything, ``make bench PARTS="exchange window"`` some parts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pyperf
from aiohttp import web
from aiohttp.typedefs import Handler
from browsers.xvfb_display import x_display
from security.attacks import Callback, connect
from support.link_script import consent
from tools.json_process import JsonProcess, json_process

from oauth_helper.models import RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

TOOLS = Path(__file__).parent
OURS, SDK = "oauth-helper", "the vendor's SDK"
ROUND_TRIP = 0.05
"""Seconds to the server and back, where a proxy delays each direction by half."""
IDLE = 60
"""Seconds without data after which the proxy closes a connection, as API Gateway does."""


def rows(what: str, took: dict[str, list[float]], unit: str = "ms") -> Iterator[str]:
    """Yield a line of the table for each other tool: the median of ours beside that of the other."""
    medians = {name: statistics.median(values) for name, values in took.items()}
    ours = medians.pop(OURS)
    for name, other in medians.items():
        shown = [f"{value:.{0 if value >= 100 else 1}f} {unit}" for value in (ours, other)]
        yield f"| {what} | {shown[0]} | {name} {shown[1]} | {ours / other:.2f} |"


async def in_turn(runs: int, measures: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Measure each so often, in turn, after one round that does not count."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(-1, runs):
        for name, measure in measures.items():
            value = await measure()
            if number >= 0:
                took[name].append(value)
    return took


@contextmanager
def user(**more: str) -> Iterator[dict[str, str]]:
    """Give the environment variables of a user with an empty home folder."""
    ignored = ("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_", "XDG_", "SSH_", "BROWSER", "CI", "DISPLAY", "WAYLAND_DISPLAY")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
    with TemporaryDirectory(prefix="oauth-helper-bench-", ignore_cleanup_errors=True) as folder:
        yield environ | dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"), folder) | more


class TimedSandbox(Sandbox):
    """A sandbox that notes when its Git host was asked last."""

    git_host_asked: asyncio.Future[float]

    def expect(self) -> asyncio.Future[float]:
        """Return the moment of the next request to the Git host, which is still to come."""
        self.git_host_asked = asyncio.get_running_loop().create_future()
        return self.git_host_asked

    def _applications(self, *others: Any) -> list[web.Application]:
        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            if "authorize" in request.path and not self.git_host_asked.done():
                self.git_host_asked.set_result(time.perf_counter())
            return await handler(request)

        applications = super()._applications(*others)
        applications[2].middlewares.append(note)
        return applications


@asynccontextmanager
async def far_away(port: int) -> AsyncIterator[int]:
    """Give a port by which the server is ``ROUND_TRIP`` seconds away."""
    loop = asyncio.get_running_loop()

    async def delayed(source: asyncio.StreamReader, sink: asyncio.StreamWriter, not_before: float) -> None:
        data = b"-"
        while data:
            data = b""
            with suppress(OSError):  # TimeoutError is one
                async with asyncio.timeout(IDLE):
                    data = await source.read(2**16)
            arrive = (sink.write, data) if data else (sink.close,)
            loop.call_at(max(loop.time(), not_before) + ROUND_TRIP / 2, *arrive)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The kernel accepts at once: the first bytes wait for the round trip that TCP's handshake would have taken.
        established = loop.time() + ROUND_TRIP
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):  # the measurement has ended
            await asyncio.gather(delayed(reader, far_writer, established), delayed(far_reader, writer, 0.0))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def started(tool: str, name: str, sandbox: Sandbox, endpoint: str) -> AsyncIterator[JsonProcess]:
    """Start a tool, which will ask for an authorization URL and wait for the redirect."""
    settings = sandbox.environment() | {"OAUTH_HELPER_ENDPOINT": endpoint, "OAUTH_HELPER_TOKEN": ""}
    command = ["-m", "oauth_helper", "link", "github", "--name", name, "--events", "--no-browser"]
    if tool == SDK:
        command = [str(TOOLS / "benchmark_peers.py"), "vendor", endpoint, sandbox.project_id, name]
    with user(**settings) as environ:
        async with json_process(sys.executable, *command, environ=environ) as process:
            yield process


@asynccontextmanager
async def login(tool: str, name: str, sandbox: Sandbox, endpoint: str) -> AsyncIterator[tuple[JsonProcess, str, str]]:
    """Start a tool, and consent for its user; give its process, its listener if it has one, and the redirect."""
    async with started(tool, name, sandbox, endpoint) as process:
        told = await process.told("authorization_url")
        yield process, told.get("listener", ""), await consent(told["authorization_url"])


async def start(runs: int) -> list[str]:
    """From the start of the command to the authorization URL that it prints."""
    measured: list[str] = []
    async with Sandbox() as sandbox, far_away(urlsplit(sandbox.endpoint).port or 0) as port:
        for far, endpoint in ((0, sandbox.endpoint), (50, f"http://127.0.0.1:{port}")):

            async def printed(tool: str, endpoint: str = endpoint) -> float:
                began = time.perf_counter()
                async with started(tool, "start", sandbox, endpoint) as process:
                    await process.told("authorization_url")
                    return (time.perf_counter() - began) * 1000

            measures: dict[str, Callable[[], Awaitable[float]]] = {tool: partial(printed, tool) for tool in (OURS, SDK)}
            measured += rows(f"start → URL, {far} ms", await in_turn(runs, measures))
    return measured


async def milliseconds_to_post(process: JsonProcess, listener: str, redirect: str, sandbox: Sandbox) -> float:
    """Bring the redirect; return the time until the POST arrived."""
    count = len(sandbox.exchanges)
    began = time.monotonic()
    if listener:
        callback = Callback.at(f"{listener.partition('/start')[0]}/servicestage/oauth", urlsplit(redirect).query)
        _, writer = await connect(callback.port, callback.genuine)
        await process.told("authorization")
        writer.close()
    else:
        process.ask(redirect)
        await process.told("linked")
    return (sandbox.exchanges[count].arrived_at - began) * 1000


async def exchange(runs: int) -> list[str]:
    """From the redirect to the POST, with users who take 3 s and 90 s; all users wait at once."""
    measured: list[str] = []
    for user_time in (3, 90):
        took: defaultdict[str, list[float]] = defaultdict(list)
        async with Sandbox() as sandbox, AsyncExitStack() as stack:
            port = await stack.enter_async_context(far_away(urlsplit(sandbox.endpoint).port or 0))
            endpoint = f"http://127.0.0.1:{port}"
            tools = [OURS, SDK] * runs
            logins = [
                await stack.enter_async_context(login(tool, f"login-{number}", sandbox, endpoint))
                for number, tool in enumerate(tools)
            ]
            await asyncio.sleep(user_time)
            for tool, one in zip(tools, logins, strict=True):
                took[tool].append(await milliseconds_to_post(*one, sandbox))
        measured += rows(f"capture → POST, 50 ms, after {user_time} s", took)
    return measured


def browser_alone(family: str, profile: str) -> list[str]:
    """Return the command that starts a browser with an empty profile."""
    if family == "Firefox":
        return [shutil.which("firefox-esr") or "firefox", "--new-instance", "--no-remote", "--profile", profile]
    switches = [f"--user-data-dir={profile}", "--no-first-run", "--no-default-browser-check"]
    return [shutil.which("chromium") or "google-chrome", *switches, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


async def window(runs: int) -> list[str]:
    """From Enter to the Git host's first request, beside the browser alone."""
    measured: list[str] = []
    async with TimedSandbox(decision="authorize") as sandbox, x_display() as display:
        for family in ("Chromium", "Firefox"):

            async def ours(family: str = family) -> float:
                asked = sandbox.expect()
                link = ("link", "github", "--if-exists", "replace", "--browser", family.lower(), "--events")
                with user(**sandbox.environment(), DISPLAY=display) as environ:
                    began = time.perf_counter()
                    async with json_process(sys.executable, "-m", "oauth_helper", *link, environ=environ) as process:
                        await process.told("authorization")
                        await process.process.wait()  # it takes its browser along
                return (await asked - began) * 1000

            async def alone(family: str = family) -> float:
                async with ServiceStageClient(
                    sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.token
                ) as service:
                    url = await service.authorization_url(RepoType.GITHUB)
                asked = sandbox.expect()
                with user(DISPLAY=display) as environ:
                    began = time.perf_counter()
                    process = await asyncio.create_subprocess_exec(
                        *browser_alone(family, environ["HOME"]),
                        url,
                        env=environ,
                        stderr=asyncio.subprocess.DEVNULL,
                        start_new_session=True,
                    )
                    try:
                        return (await asked - began) * 1000
                    finally:
                        with suppress(ProcessLookupError):
                            os.killpg(process.pid, signal.SIGKILL)
                        await process.wait()

            measured += rows(f"Enter → Git host, {family}", await in_turn(runs, {OURS: ours, "the browser": alone}))
    return measured


async def commands(runs: int) -> list[str]:
    """`--help` beside that of a click application which does nothing."""
    took: dict[str, list[float]] = {}
    for name, program in ((OURS, ["-m", "oauth_helper", "--help"]), ("click", [str(TOOLS / "benchmark_peers.py")])):
        with TemporaryDirectory() as folder:
            perf = [sys.executable, "-m", "pyperf", "command", f"--processes={runs}", "--values=1", "--quiet"]
            command = [*perf, f"--output={folder}/times", sys.executable, *program]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221 - nothing else is to run
            took[name] = [value * 1000 for value in pyperf.Benchmark.load(f"{folder}/times").get_values()]
    return list(rows("`--help`", took))


async def memory(runs: int) -> list[str]:
    """The memory of a login that waits."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    async with Sandbox() as sandbox:
        for number, tool in enumerate([OURS, SDK] * runs):
            async with login(tool, f"login-{number}", sandbox, sandbox.endpoint) as (process, *_):
                status = Path(f"/proc/{process.process.pid}/status").read_text()
                took[tool] += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    return list(rows("memory while waiting", took, "MB"))


PARTS = {part.__name__: part for part in (start, exchange, window, commands, memory)}


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--runs", type=int, default=15, help="how often each is measured")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sys.stdout.write("| what | oauth-helper | beside it | ratio |\n| --- | --- | --- | --- |\n")
    for part in asked.parts or PARTS:
        sys.stdout.write("".join(f"{row}\n" for row in asyncio.run(PARTS[part](asked.runs))))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
