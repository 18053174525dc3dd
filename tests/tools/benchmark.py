"""Measure times, memory and size, each beside another tool in turn, over real sockets; print a table.

``make bench`` measures everything, ``make bench PARTS="start window"`` a part. A limit that is not met fails nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import secrets
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import time
import venv
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlencode, urlsplit

import pyperf
import trustme
from security.attacks import Callback, connect, read_answer
from support.json_process import JsonProcess, json_process

TOOLS = Path(__file__).parent
OURS, SDK, GOOGLE, MSAL = "oauth-helper", "huaweicloudsdkservicestage", "google-auth-oauthlib", "msal"
NAMES = {SDK: "vendor SDK script", "browser": "the browser alone", "click": "bare click `--help`"}
CONSOLE = "https://console.huaweicloud.com/servicestage/oauth?repo_type=github"
IDLE_CLOSE = 60.0
"""Seconds after which a server closes an idle connection, the default of nginx and many gateways."""
LIMITS = {
    ("start → URL request, 0 ms", SDK): 1.45,
    ("start → URL request, 50 ms", SDK): 1.3,
    ("capture → POST, 50 ms, after 3 s", SDK): 1.05,
    ("capture → POST, 50 ms, after 90 s", SDK): 0.25,
    ("window, Chromium", "browser"): 1.3,
    ("window, Firefox", "browser"): 2.0,
    ("Enter → Git host, Chromium", "browser"): 1.75,
    ("Enter → Git host, Firefox", "browser"): 2.0,
    ("memory while waiting", SDK): 1.1,
    ("installed", SDK): 1.0,
}
"""The most that ours may be of the other's."""


@dataclass(frozen=True)
class Row:
    """One figure of ours beside one of another tool."""

    what: str
    ours: float
    unit: str
    beside: str
    other: float

    def __str__(self) -> str:
        ratio = self.ours / self.other if self.other else math.nan
        limit = LIMITS.get((self.what, self.beside))
        told = "" if limit is None else f"≤ {limit:g}" + (", **not met**" if ratio > limit else "")
        cells = (figure(self.ours, self.unit), f"{NAMES.get(self.beside, self.beside)} {figure(self.other, self.unit)}")
        return f"| {' | '.join((self.what, *cells, '' if math.isnan(ratio) else f'{ratio:.2f}', told))} |"


def figure(value: float, unit: str) -> str:
    """A value with three digits."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def rows(what: str, took: dict[str, list[float]], unit: str = "ms") -> list[Row]:
    """The median of ours beside that of each other tool."""
    medians = {name: statistics.median(values) for name, values in took.items() if values}
    return [Row(what, medians[OURS], unit, name, other) for name, other in medians.items() if name != OURS]


def progress(text: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@cache
def python_of(package: str) -> str:
    """The interpreter of an environment that has nothing but this package, as its users have it."""
    folder = Path(sys.prefix) / "alone" / package
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet"]
    if not folder.exists():
        progress(f"install {package}")
        venv.create(folder, with_pip=True)
        subprocess.run([*pip, str(TOOLS.parents[1]) if package == OURS else package], check=True)
    elif package == OURS:
        subprocess.run([*pip, "--no-deps", "--force-reinstall", str(TOOLS.parents[1])], check=True)
    return python


def our_command() -> str:
    """``oauth-helper``, as it is installed there."""
    return str(Path(python_of(OURS)).with_name("oauth-helper"))


@contextmanager
def home() -> Iterator[dict[str, str]]:
    """The environment variables of a user with an empty home folder and no display."""
    ignored = ("OAUTH_HELPER_", "HUAWEICLOUD_", "HW_", "XDG_", "SSH_")
    ignored_too = {"BROWSER", "CI", "PYTHONPATH", "SSL_CERT_FILE", "DISPLAY", "WAYLAND_DISPLAY"}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
    environ = {
        name: value for name, value in environ.items() if name not in ignored_too and "PROXY" not in name.upper()
    }
    with TemporaryDirectory(prefix="oauth-helper-bench-", ignore_cleanup_errors=True) as folder:
        yield environ | dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"), folder)


@dataclass
class Cloud:
    """ServiceStage, a Git host and a token endpoint in one: it answers at once and notes when each request came."""

    ca_bundle: Path
    port: int = 0
    """Of ServiceStage and the token endpoint, over TLS."""
    git_host: str = ""
    moments: dict[tuple[str, str], float] = field(default_factory=dict)
    """Who asked for what, known by the project or client in the path, and when for the first time."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, dict[str, object]]:
        """Status, Location and document."""
        match method, urlsplit(target).path.split("/")[1:]:
            case "GET", ["v1", who, "git", "auths"]:
                return self._noted(who, "list", {"authorizations": [], "count": 0})
            case "GET", ["v1", who, "git", "auths", _, "redirect"]:
                return self._noted(who, "url", {"url": self.authorization_url(who)})
            case "POST", ["v1", who, "git", "auths", repo_type, "oauth"]:
                record = {"name": json.loads(body)["name"], "repo_type": repo_type, "token_type": "oauth", "status": 0}
                return self._noted(who, "post", {"authorization": record})
            case "POST", [who, "token"]:
                return self._noted(who, "post", {"access_token": "t", "token_type": "Bearer", "expires_in": 600})
            case "GET", [who, "authorize"]:
                self._noted(who, "git host", {})
                return 302, redirect_of(target), {}
            case _:
                return 404, "", {}

    def _noted(self, who: str, what: str, document: dict[str, object]) -> tuple[int, str, dict[str, object]]:
        self.moments.setdefault((who, what), time.perf_counter())
        self.news.set()
        return 200, "", document

    async def moment(self, who: str, what: str) -> float:
        """Wait for a request; return when it came."""
        async with asyncio.timeout(60):
            while (who, what) not in self.moments:
                self.news.clear()
                await self.news.wait()
        return self.moments[who, what]

    def authorization_url(self, who: str) -> str:
        """A new one."""
        query = {"client_id": "0" * 20, "redirect_uri": CONSOLE, "state": f"$2a$10${secrets.token_hex(26)}"}
        return f"{self.git_host}/{who}/authorize?{urlencode(query)}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(OSError, EOFError, TimeoutError, asyncio.CancelledError):  # the last one is the benchmark's end
            while True:
                async with asyncio.timeout(IDLE_CLOSE):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = [line.lower() for line in head.split("\r\n")]
                length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
                method, target, _ = head.split("\r\n")[0].split(" ")
                status, location, document = self.answer(method, target, await reader.readexactly(length))
                body = json.dumps(document).encode()
                fields = f"Location: {location}\r\n" if location else ""
                fields += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"HTTP/1.1 {status} OK\r\n{fields}\r\n".encode() + body)
        writer.close()


def redirect_of(authorization_url: str) -> str:
    """Where the Git host sends a browser whose user consents."""
    asked = parse_qs(urlsplit(authorization_url).query)
    uri = asked["redirect_uri"][0]
    response = urlencode({"code": secrets.token_hex(10), "state": asked["state"][0]})
    return f"{uri}{'&' if '?' in uri else '?'}{response}"


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    """Serve on free ports of 127.0.0.1."""
    with TemporaryDirectory() as folder:
        authority = trustme.CA()
        serving = Cloud(Path(folder, "ca.pem"))
        authority.cert_pem.write_to_path(serving.ca_bundle)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
        service = await asyncio.start_server(serving.serve, "127.0.0.1", 0, ssl=tls)
        git_host = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
        serving.port = service.sockets[0].getsockname()[1]
        serving.git_host = f"http://127.0.0.1:{git_host.sockets[0].getsockname()[1]}"
        yield serving
        service.close()
        git_host.close()


@asynccontextmanager
async def far_away(port: int, round_trip: float) -> AsyncIterator[int]:
    """Give a port by which the server is ``round_trip`` seconds away: a proxy that delays each direction by half."""
    loop = asyncio.get_running_loop()

    async def delayed(source: asyncio.StreamReader, sink: asyncio.StreamWriter, not_before: float) -> None:
        def arrive(data: bytes) -> None:
            with suppress(OSError):
                sink.write(data) if data else sink.write_eof() if sink.can_write_eof() else sink.close()

        data = b"-"
        while data:
            data = b""
            with suppress(OSError):
                data = await source.read(2**16)
            loop.call_at(max(loop.time(), not_before) + round_trip / 2, arrive, data)
        await asyncio.sleep(round_trip)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The kernel accepts at once: the first bytes wait for the round trip that TCP's handshake would have taken.
        established = loop.time() + round_trip
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(delayed(reader, far_writer, established), delayed(far_reader, writer, 0.0))
        far_writer.close()
        writer.close()

    if not round_trip:
        yield port
        return
    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


_numbers = count()


@dataclass
class Login:
    """One process of a tool, which waits for its redirect."""

    tool: str
    who: str
    process: JsonProcess
    began: float
    serving: Cloud
    redirect: str = ""
    callback: Callback | None = None

    async def waits(self) -> None:
        """Read until it waits."""
        if self.tool == OURS:
            told = await self.process.told("authorization_url")
            listener = told["listener"].partition("/start")[0]
            query = urlsplit(redirect_of(told["authorization_url"])).query
            self.callback = Callback.at(f"{listener}/servicestage/oauth", query)
        elif self.tool == SDK:
            self.redirect = redirect_of((await self.process.told("url"))["url"])
        else:
            url = str((await self.process.told("opened"))["opened"])
            while "/authorize?" not in url:  # the tool's own page, which leads to the provider
                page = Callback.at(url, "")
                reader, writer = await connect(page.port, page.raw("GET", page.path))
                answer = await read_answer(reader)
                writer.close()
                url = answer.header("location") if answer else ""
            redirect = urlsplit(redirect_of(url))
            method = "POST" if self.tool == MSAL else "GET"
            self.callback = Callback.at(redirect._replace(query="").geturl(), redirect.query, method)

    async def posts_after(self) -> float:
        """Bring the redirect; return the milliseconds until the POST was at the server."""
        writer = None
        if self.callback:
            _, writer = await connect(self.callback.port)
        brought = time.perf_counter()
        if writer and self.callback:
            writer.write(self.callback.genuine)
        else:
            self.process.ask(self.redirect)
        posted = await self.serving.moment(self.who, "post")
        if self.tool == OURS:
            await self.process.told("authorization")
        if writer:
            writer.close()
        return (posted - brought) * 1000


@asynccontextmanager
async def login(tool: str, serving: Cloud, port: int, *options: str, **environ: str) -> AsyncIterator[Login]:
    """Start a tool."""
    who, endpoint, bundle = f"{tool}-{next(_numbers)}", f"https://127.0.0.1:{port}", str(serving.ca_bundle)
    settings = {"OAUTH_HELPER_ENDPOINT": endpoint, "OAUTH_HELPER_PROJECT_ID": who, "OAUTH_HELPER_CA_BUNDLE": bundle}
    settings |= {"HUAWEICLOUD_SDK_AK": "A" * 20, "HUAWEICLOUD_SDK_SK": "s" * 40, "REQUESTS_CA_BUNDLE": bundle}
    if tool == OURS:
        way = options or ("--browser", "none")
        command = [our_command(), "link", "github", "--name", "my-auth", "--events", *way]
    elif tool == SDK:
        command = [python_of(SDK), str(TOOLS / "benchmark_peers.py"), "vendor", endpoint, who, bundle]
    else:
        command = [python_of(tool), str(TOOLS / "torture_peers.py"), tool, f"{endpoint}/{who}"]
    with home() as variables:
        began = time.perf_counter()
        async with json_process(*command, environ=variables | settings | environ) as process:
            yield Login(tool, who, process, began, serving)


async def in_turn(runs: int, measures: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Measure each so often, in turn, each second round the other way round, after one that does not count."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(-1, runs):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            value = await measures[name]()
            if number >= 0:
                took[name].append(value)
    return took


async def start(runs: int) -> list[Row]:
    """From the process's start to the request for the authorization URL, which in ours comes after the list call."""
    measured = []
    async with cloud() as serving:
        for milliseconds in (0, 50):
            async with far_away(serving.port, milliseconds / 1000) as port:

                async def asked_after(tool: str, at: int = port) -> float:
                    async with login(tool, serving, at) as one:
                        await one.waits()
                        return (serving.moments[one.who, "url"] - one.began) * 1000

                took = await in_turn(runs, {tool: lambda tool=tool: asked_after(tool) for tool in (OURS, SDK)})  # type: ignore[misc]
            measured += rows(f"start → URL request, {milliseconds} ms", took)
    return measured


async def exchange(runs: int) -> list[Row]:
    """From the redirect to the POST, with users who take 3 s and 90 s; the slow ones wait all at once."""
    measured = []
    async with cloud() as serving, far_away(serving.port, 0.05) as port:
        for user_time, batches in ((3, runs), (90, 1)):
            took: defaultdict[str, list[float]] = defaultdict(list)
            for batch in range(batches):
                progress(f"exchange after {user_time} s: {batch + 1} of {batches}")
                async with AsyncExitStack() as stack:
                    waiting = []
                    for tool in [OURS, SDK, GOOGLE, MSAL] * (runs // batches):
                        one = await stack.enter_async_context(login(tool, serving, port))
                        await one.waits()
                        waiting.append((one, time.perf_counter()))
                    for one, since in waiting:
                        await asyncio.sleep(max(0.0, since + user_time - time.perf_counter()))
                        took[one.tool].append(await one.posts_after())
            measured += rows(f"capture → POST, 50 ms, after {user_time} s", took)
    return measured


@asynccontextmanager
async def screen() -> AsyncIterator[str]:
    """An X display of our own."""
    read_end, write_end = os.pipe()
    command = ("Xvfb", "-displayfd", str(write_end), "-screen", "0", "1280x900x24", "-nolisten", "tcp")
    server = await asyncio.create_subprocess_exec(*command, pass_fds=[write_end], stderr=asyncio.subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        number = (await asyncio.to_thread(pipe.readline)).strip()
    yield f":{number}"
    server.terminate()
    await server.wait()


def browser_alone(family: str, folder: str) -> list[str]:
    """The command that starts a browser with an empty profile."""
    if family == "Firefox":
        return [shutil.which("firefox-esr") or "firefox", "--new-instance", "--no-remote", "--profile", folder]
    switches = [f"--user-data-dir={folder}", "--no-first-run", "--no-default-browser-check"]
    return [shutil.which("chromium") or "google-chrome", *switches, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


async def window(runs: int) -> list[Row]:
    """From Enter, and from the authorization URL, to the Git host's first request, beside the browser alone."""
    measured = []
    async with cloud() as serving, screen() as display:
        for family in ("Chromium", "Firefox"):
            if not shutil.which(browser_alone(family, "")[0]):
                progress(f"window: {family} is not installed")
                continue
            from_url: list[float] = []

            async def ours(family: str = family, from_url: list[float] = from_url) -> float:
                way = ("--browser", family.lower())
                async with login(OURS, serving, serving.port, *way, DISPLAY=display) as one:
                    there = await serving.moment(one.who, "git host")
                    await one.process.told("authorization")
                    await one.process.process.wait()  # it takes its browser along
                from_url.append((there - serving.moments[one.who, "url"]) * 1000)
                return (there - one.began) * 1000

            async def alone(family: str = family) -> float:
                who = f"alone-{next(_numbers)}"
                with home() as environ:
                    profile = Path(environ["HOME"], "profile")
                    profile.mkdir()
                    command = [*browser_alone(family, str(profile)), serving.authorization_url(who)]
                    began = time.perf_counter()
                    process = subprocess.Popen(  # noqa: ASYNC220 - it does not block
                        command,
                        env=environ | {"DISPLAY": display},
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                    try:
                        return (await serving.moment(who, "git host") - began) * 1000
                    finally:
                        with suppress(ProcessLookupError):
                            os.killpg(process.pid, signal.SIGKILL)
                        process.wait()

            took = await in_turn(runs, {OURS: ours, "browser": alone})
            measured += rows(f"window, {family}", {OURS: from_url[1:], "browser": took["browser"]})
            measured += rows(f"Enter → Git host, {family}", took)
    return sorted(measured, key=lambda row: row.what.startswith("Enter"))


async def commands(runs: int) -> list[Row]:
    """`--help` beside that of a click application which does nothing."""
    ours = [our_command(), "--help"]
    bare = [python_of(OURS), str(TOOLS / "benchmark_peers.py"), "click"]
    took: dict[str, list[float]] = {}
    for name, command in ((OURS, ours), ("click", bare)):
        with TemporaryDirectory() as folder:
            file = f"{folder}/times.json"
            perf = [sys.executable, "-m", "pyperf", "command", f"--processes={runs}", "--values=1", f"--output={file}"]
            subprocess.run([*perf, "--quiet", *command], check=True)  # noqa: ASYNC221 - nothing else is to run
            took[name] = [value * 1000 for value in pyperf.Benchmark.load(file).get_values()]
    return rows("`oauth-helper --help`", took)


async def waiting(runs: int) -> list[Row]:
    """Memory and processor time of a login whose user is away for a minute."""
    memory: defaultdict[str, list[float]] = defaultdict(list)
    processor: defaultdict[str, list[float]] = defaultdict(list)
    async with cloud() as serving, AsyncExitStack() as stack:
        logins = []
        for tool in [OURS, SDK, GOOGLE, MSAL] * min(runs, 5):
            logins.append(await stack.enter_async_context(login(tool, serving, serving.port)))
            await logins[-1].waits()
        progress(f"waiting: {len(logins)} processes for a minute")
        before = [used(one) for one in logins]
        await asyncio.sleep(60)
        for one, then in zip(logins, before, strict=True):
            status = Path(f"/proc/{one.process.process.pid}/status").read_text()
            memory[one.tool] += [
                int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")
            ]
            processor[one.tool].append((used(one) - then) / 60 * 100)
    return [*rows("memory while waiting", memory, "MB"), *rows("CPU while waiting", processor, "%")[:1]]


def used(one: Login) -> float:
    """Seconds of the processor that a process has used so far."""
    tasks = Path(f"/proc/{one.process.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


async def weight(_runs: int) -> list[Row]:
    """What pip installs, compiled modules included."""
    ignored = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence.pth")
    sizes: dict[str, list[float]] = {}
    for package in (OURS, SDK, GOOGLE, MSAL):
        (folder,) = Path(python_of(package)).parents[1].glob("lib/python3*/site-packages")
        paths = [path for path in folder.iterdir() if not path.name.startswith(ignored)]
        files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        sizes[package] = [sum(file.stat().st_size for file in files) / 1e6]
    return rows("installed", sizes, "MB")


PARTS = {part.__name__: part for part in (start, exchange, window, commands, waiting, weight)}


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--runs", type=int, default=15, help="how often each is measured")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]
    measured: Sequence[Row] = [row for part in asked.parts or PARTS for row in asyncio.run(PARTS[part](asked.runs))]
    head = ("what", OURS, "beside it", "ratio", "limit")
    sys.stdout.write("\n".join((f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * 5)} |", *map(str, measured))))
    sys.stdout.write(f"\n\nMedians of {asked.runs} runs; load before: {load:.1f} on {os.cpu_count()} cores.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
