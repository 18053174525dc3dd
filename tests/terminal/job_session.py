"""A session of its own on a terminal: a shell that controls one job, the prompt."""

import asyncio
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terminal.pseudo_terminal import Terminal

JOB = """
    import asyncio, signal
    from oauth_helper.terminal_prompt import can_prompt
    from oauth_helper.terminal_prompt import TerminalPrompt

    async def main():
        taken = asyncio.Event()
        def offer(text):
            print("offered", text.strip(), flush=True)
            taken.set()
        print("can prompt" if can_prompt() else "cannot prompt", flush=True)
        async with TerminalPrompt(offer=offer, say=lambda line: print(line, flush=True)):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print("alive", flush=True))
            print("open", flush=True)
            await taken.wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""

SHELL = """
    import fcntl, os, signal, subprocess, sys, termios

    def job_begins(in_foreground):
        if in_foreground:
            os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests in the background ignores it

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    for command in os.fdopen(int(sys.argv[1])):
        match command.split():
            case ["start", where]:
                job = subprocess.Popen([sys.executable, "-c", sys.argv[2]], process_group=0,
                                       preexec_fn=lambda: job_begins(where == "foreground"))
            case ["foreground"]:
                os.tcsetpgrp(0, job.pid)
            case ["background"]:
                os.tcsetpgrp(0, os.getpgrp())
            case ["signal", name]:
                os.killpg(job.pid, getattr(signal, name))
            case ["wait"]:
                _, status = os.waitpid(job.pid, os.WUNTRACED)
                os.tcsetpgrp(0, os.getpgrp())
                print("stopped" if os.WIFSTOPPED(status) else f"ended {status}", flush=True)
            case ["ready"]:
                print("shell is ready", flush=True)
            case ["read"]:
                print("shell read", input(), flush=True)
"""
"""A minimal shell with one job. Like dash, it does not restore the terminal's settings."""


class Session:
    """A shell on ``terminal``, told by a pipe what to do; shell and job print to another one."""

    def __init__(self, terminal: Terminal, job: str) -> None:
        told, self._tell = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SHELL), str(told), textwrap.dedent(job)],
            stdin=terminal.theirs,
            stdout=subprocess.PIPE,
            pass_fds=[told],
            start_new_session=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(told)

    def tell(self, *commands: str) -> None:
        os.write(self._tell, "".join(f"{command}\n" for command in commands).encode())

    async def prints(self, *lines: str) -> None:
        for line in lines:
            assert await asyncio.to_thread(self._line) == line

    def end(self) -> None:
        os.close(self._tell)
        with self.process as process:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _line(self) -> str:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], 20)[0]:
            return "(nothing)"
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self.process.stdout.fileno(), 1)):
            line += byte
        return line.decode().strip()


@contextmanager
def in_session(terminal: Terminal, job: str = JOB) -> Iterator[Session]:
    session = Session(terminal, job)
    try:
        yield session
    finally:
        session.end()
