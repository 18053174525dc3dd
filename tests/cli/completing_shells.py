"""Real shells that have the command's completion script, and a user who presses TAB in them."""

import asyncio
import shlex
import shutil
import sys
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from support.screen import Screen, terminal

_INSERT_ALL = "\x14"
"""Ctrl-T: put everything that fits into the line."""
_SHOW_LINE = "\x07"
"""Ctrl-G: show the line as it is now."""
_EMPTY = "\x15"
"""Ctrl-U: begin with an empty line again."""


class CompletingShell(ABC):
    """One shell."""

    name: ClassVar[str]

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        path = shutil.which(self.name)
        if path is None:
            pytest.skip(f"{self.name} is not installed")
        self.path = path
        self.folder = folder
        # As when it is installed: found on the path, by its own name.
        found = f"{Path(sys.executable).parent}:{environ['PATH']}"
        self.environ = dict(environ) | {"PATH": found, "TERM": "xterm", "HOME": str(folder), "ZDOTDIR": str(folder)}

    @abstractmethod
    async def offered(self, lines: Sequence[str]) -> list[list[str]]:
        """Press TAB behind each of ``lines``; return the words that are offered in place of its last one."""


class _OnTerminal(CompletingShell):
    """A shell in a terminal, which can be told to put everything that fits into the line."""

    @abstractmethod
    def command(self) -> list[str]:
        """Write the shell's settings; return how it is started."""

    async def offered(self, lines: Sequence[str]) -> list[list[str]]:
        async with terminal(program=self.command(), environ=self.environ) as screen:
            await screen.until("READY>")
            return [await self._offered(screen, line) for line in lines]

    async def _offered(self, screen: Screen, line: str) -> list[str]:
        screen.type(line + _INSERT_ALL + _SHOW_LINE)
        await screen.until(">EOL")
        *_, told = screen.shown.partition("LINE<")
        screen.shown = ""
        screen.type(_EMPTY)
        # What is shown in between is wrapped by no terminal: the line is short.
        words = shlex.split(told.partition(">EOL")[0])
        stay = len(shlex.split(line)) - (not line.endswith(" "))
        assert words[:stay] == shlex.split(line)[:stay]
        return [word for word in words[stay:] if word != line.rsplit(" ", maxsplit=1)[-1]]


class Bash(_OnTerminal):
    name = "bash"

    def command(self) -> list[str]:
        settings = self.folder / "bashrc"
        settings.write_text(
            "PS1='READY> '; source <(oauth-helper completion bash)\n"
            "show_line() { printf 'LINE<%s>EOL\\n' \"$READLINE_LINE\"; }\n"
            r"""bind '"\C-t": insert-completions'; bind -x '"\C-g": show_line'""" + "\n"
        )
        return [self.path, "--noprofile", "--rcfile", str(settings), "-i"]


class Zsh(_OnTerminal):
    name = "zsh"

    def command(self) -> list[str]:
        (self.folder / ".zshrc").write_text(
            "autoload -Uz compinit && compinit -u -D; PROMPT='READY> '; unsetopt beep\n"
            "source <(oauth-helper completion zsh)\n"
            "show-line() { print; print -r -- \"LINE<$BUFFER>EOL\" }; zle -N show-line; bindkey '^G' show-line\n"
            "zle -C insert-all complete-word _generic; bindkey '^T' insert-all\n"
            "zstyle ':completion:insert-all:*' completer _all_matches _complete\n"
            "zstyle ':completion:insert-all:*' insert yes\n"
        )
        return [self.path, "-i"]


class Fish(CompletingShell):
    name = "fish"

    async def offered(self, lines: Sequence[str]) -> list[list[str]]:
        at_each = "; echo EOL; ".join(f"complete --do-complete {shlex.quote(line)}" for line in lines)
        asked = f"oauth-helper completion fish | source; {at_each}"
        process = await asyncio.create_subprocess_exec(
            *(self.path, "--no-config", "-c", asked), stdout=PIPE, stderr=PIPE, env=self.environ, cwd=self.folder
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        return [[told.partition("\t")[0] for told in each.splitlines()] for each in out.decode().split("EOL\n")]


SHELLS = (Bash, Zsh, Fish)
