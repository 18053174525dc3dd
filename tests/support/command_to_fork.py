"""Imports the command once, and then forks it for each message on the socket whose descriptor is the argument.

A message is JSON with ``arguments``, ``environ``, ``current`` (the folder to be in), ``umask`` and ``is_terminal``. It
brings four descriptors: the three streams, and a pipe that gets the process id and, at the end, the exit status.
"""

import fcntl
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import termios
import time
from typing import Any

import oauth_helper
from oauth_helper.cli import main


def become(asked: dict[str, Any], streams: list[int]) -> None:
    """Take over what was asked, in the process that is to be the command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if asked["is_terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # As Python opens them where LANG is C.UTF-8.
    sys.stdin = os.fdopen(0, errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    os.chdir(asked["current"])
    os.umask(asked["umask"])
    sys.argv = ["oauth-helper", *asked["arguments"]]


def watch(asked: dict[str, Any], streams: list[int], report: int) -> None:
    """Fork the command, and report what becomes of it."""
    child = os.fork()
    if not child:
        os.close(report)
        become(asked, streams)
        sys.exit(main())
    for stream in streams:
        os.close(stream)
    os.write(report, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def serve(requests: socket.socket) -> None:
    for module in pkgutil.walk_packages(oauth_helper.__path__, "oauth_helper."):
        if not module.name.endswith(("__main__", "supervisor")):
            importlib.import_module(module.name)
    gc.freeze()  # so that no fork has to copy what is there already
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps those that watch
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 2**20, 4)
        if not message:
            return
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            watch(json.loads(message), descriptors[:3], descriptors[3])
        for descriptor in descriptors:
            os.close(descriptor)


serve(socket.socket(fileno=int(sys.argv[1])))
