"""The command ``completion``, and what a shell is told when TAB is pressed. Neither asks anybody anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from io import StringIO
from itertools import pairwise
from typing import Final

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from oauth_helper.cli.completion_variable import COMPLETION_VARIABLE
from oauth_helper.cli.options import Choice
from oauth_helper.cli.spoken_help import command

_BREAKS: Final = frozenset({"=", ":"})
"""Where bash breaks words besides at blanks (its COMP_WORDBREAKS), as far as words of ours hold it."""


class _Bash(BashComplete):
    """Puts together again what bash has broken: ``--browser = ch``, ``http : //127.0.0.1``."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        *whole, last = _whole([*args, incomplete])
        return whole, last


class _WholeWords(ShellComplete):
    """For shells that replace the whole word, ``--browser=ch``, where click gives what belongs behind the ``=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            return [CompletionItem(f"{option}={item.value}", item.type, item.help) for item in items]
        return items


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


@command(
    "completion",
    help="""Print the script with which SHELL (bash, zsh or fish) completes what you type.

    \b
    bash 4.4 or newer, in ~/.bashrc:
      source <(oauth-helper completion bash)
    zsh, in ~/.zshrc, behind compinit:
      source <(oauth-helper completion zsh)
    fish, once:
      oauth-helper completion fish >~/.config/fish/completions/oauth-helper.fish
    """,
)
@click.argument("shell", type=Choice(list(_SHELLS)), metavar="SHELL")
def completion_command(shell: str) -> None:
    """Run ``oauth-helper completion``."""
    # As bytes: on Windows a shell would stumble over what text becomes there, lines that end with CR LF.
    program = click.get_current_context().find_root().command
    click.echo(_completer(shell, program).source().encode(), nl=False)


def answer_the_shell(program: Callable[[], click.Command]) -> int | None:
    """Tell the shell what of ``program`` fits where TAB was pressed, if it is a shell that asks; else None.

    The user is in the middle of a line: where anything goes wrong, nothing is said.
    """
    if not (instruction := os.environ.get(COMPLETION_VARIABLE)):
        return None
    with suppress(Exception, KeyboardInterrupt), redirect_stderr(StringIO()):
        shell, _, what = instruction.partition("_")
        completer = _completer(shell, program())
        told = completer.source() if what == "source" else f"{completer.complete()}\n"
        # Past Python's buffer: at exit it would complain of a shell that no longer listens. And see above.
        os.write(sys.stdout.fileno(), told.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        return 0
    return 1


def _completer(shell: str, program: click.Command) -> ShellComplete:
    return _SHELLS[shell](program, {}, "oauth-helper", COMPLETION_VARIABLE)


def _whole(words: list[str]) -> list[str]:
    whole = words[:1]
    for before, word in pairwise(words):
        if before in _BREAKS or word in _BREAKS:
            whole[-1] += word
        else:
            whole.append(word)
    return whole
