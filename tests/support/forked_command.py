"""Starts the command as a fork of a process that has imported it: many times faster than a Python of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio import BaseTransport, StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Final

RECORDING: Final = str(Path(__file__).parent / "recording")
_servers: Final[dict[bool, tuple[subprocess.Popen[bytes], socket.socket]]] = {}
"""By whether their coverage is measured: a command does as the process from which it is forked."""


class _Forked(asyncio.SubprocessTransport):
    """What :class:`Process` needs of a process that is no child of this one."""

    def __init__(self, pid: int, report: StreamReader, pipes: dict[int, BaseTransport]) -> None:
        super().__init__()
        self._pid = pid
        self._pipes = pipes
        self._ending = asyncio.create_task(self._end(report))

    async def _end(self, report: StreamReader) -> int:
        status = int(await report.readline())
        self._pipes[3].close()
        return status

    def get_pid(self) -> int:
        return self._pid

    def get_returncode(self) -> int | None:
        return self._ending.result() if self._ending.done() else None

    def get_pipe_transport(self, fd: int) -> BaseTransport:
        return self._pipes[fd]

    def send_signal(self, signal: int) -> None:
        if self._ending.done():
            raise ProcessLookupError
        with suppress(ProcessLookupError):  # it has ended, and its report is on the way
            os.kill(self._pid, signal)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    async def _wait(self) -> int:
        return await asyncio.shield(self._ending)

    def close(self) -> None:
        for pipe in self._pipes.values():
            pipe.close()


async def reader_of(descriptor: int) -> tuple[StreamReader, BaseTransport]:
    """Read a pipe or a terminal; the transport closes it."""
    reader = StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport


async def fork_command(
    *arguments: str, environ: Mapping[str, str], stdin: int = DEVNULL, terminal: int | None = None
) -> Process:
    """Start the command; with a terminal, as its foreground process, and else with pipes for its output."""
    loop = asyncio.get_running_loop()
    pipes: dict[int, BaseTransport] = {}
    ours = SimpleNamespace(stdin=None, stdout=None, stderr=None)
    theirs = [os.dup(terminal) for _ in range(3)] if terminal is not None else []
    if terminal is None:
        if stdin == PIPE:
            reading, writing = os.pipe()
            protocol = StreamReaderProtocol(StreamReader())
            transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(writing, "wb", 0))
            ours.stdin = StreamWriter(transport, protocol, None, loop)
            pipes[0] = transport
        else:
            reading = os.open(os.devnull, os.O_RDONLY) if stdin == DEVNULL else os.dup(stdin)
        theirs.append(reading)
        for number, name in ((1, "stdout"), (2, "stderr")):
            reading, writing = os.pipe()
            reader, pipes[number] = await reader_of(reading)
            setattr(ours, name, reader)
            theirs.append(writing)
    reading, report = os.pipe()
    theirs.append(report)
    told, pipes[3] = await reader_of(reading)
    os.umask(mask := os.umask(0o077))
    asked = {"arguments": arguments, "environ": dict(environ), "current": str(Path.cwd()), "umask": mask}
    socket.send_fds(_server(), [json.dumps(asked | {"is_terminal": terminal is not None}).encode()], theirs)
    for descriptor in theirs:
        os.close(descriptor)
    return Process(_Forked(int(await told.readline()), told, pipes), ours, loop)  # type: ignore[arg-type]


def _server() -> socket.socket:
    is_measured = any(name.startswith("COVERAGE_") for name in os.environ)
    if is_measured not in _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(Path(__file__).with_name("command_to_fork.py")), str(theirs.fileno())]
            environ = dict(os.environ) | {"PYTHONPATH": RECORDING}
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=environ,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        _servers[is_measured] = process, ours
    return _servers[is_measured][1]


def end_servers() -> None:
    """End the processes that fork commands, so that their coverage is saved."""
    while _servers:
        process, requests = _servers.popitem()[1]
        requests.close()
        process.wait()
