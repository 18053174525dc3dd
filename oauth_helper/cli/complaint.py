"""How an error is said on standard error, and what foreign errors mean to people."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Final

import click

from oauth_helper.cli.error_stream import ErrorStream
from oauth_helper.cli.voice import Voice
from oauth_helper.errors import MachineError, OAuthHelperError, StoppedError, UsageError
from oauth_helper.phrase import Phrase, enumerated, phrase
from oauth_helper.presentable import escaped, is_plain_word

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_MACHINE: Final = _DISK_FULL | {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAFNOSUPPORT, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOBUFS),
}
"""What the system refuses whichever program asks: descriptors, memory, processes, the loopback interface."""
_NO_MEMORY: Final = ("can't start new thread", "failed to map segment", "Cannot allocate memory")
"""What Python says without an error number."""


def print_error(error: OAuthHelperError, *, as_json: bool, trace: bool) -> None:
    """Say on standard error what happened and what to do next; with ``as_json`` the last line is for scripts."""
    if trace:
        from oauth_helper.fault_trace import trace_of  # noqa: PLC0415 - who uses it wrongly need not wait for it

        ErrorStream().lines([escaped(trace_of(error), keep="\n")])
    message = error.message
    if error.request_id:
        message = phrase("{message} (request id {request_id})", message=message, request_id=error.request_id)
    Voice(quiet=True).report(message, error.hint)
    if as_json:
        ErrorStream().lines([json.dumps({"error": error.to_json()})])


def error_for(fault: BaseException) -> OAuthHelperError:
    """Return what an error means: itself if it is ours, else Ctrl-C, something that this machine lacks, or a fault."""
    members = list(_members(fault))
    if ours := next((member for member in members if isinstance(member, OAuthHelperError)), None):
        return ours
    if isinstance(fault, click.Abort | KeyboardInterrupt):
        return StoppedError(phrase("Interrupted"))
    if isinstance(fault, OSError) and fault.errno in _DISK_FULL:
        return MachineError(
            phrase("The result could not be written: {strerror}", strerror=fault.strerror),
            hint=phrase("What was done is done: `oauth-helper list` shows what stands."),
        )
    if lack := next((lack for each in members for cause in (each, each.__cause__) if (lack := _lack(cause))), None):
        error: OAuthHelperError = MachineError(
            phrase("The system refused something that is needed: {lack}", lack=lack),
            hint=phrase(
                "Check the limits of memory, open files and processes (`ulimit -a`), and that the address "
                "127.0.0.1 exists. `oauth-helper doctor` checks this machine."
            ),
        )
    else:
        error = OAuthHelperError(phrase("Unexpected {name__}", name__=type(fault).__name__))
    error.__cause__ = fault
    return error


def usage_error(error: click.ClickException) -> UsageError:
    """Return an error of click's in words that repeat nothing but short plain words: a value may be a secret."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, more = _usage(error)
    hint = phrase("See `{command} --help`.", command=context.command_path if context else "oauth-helper")
    return UsageError(message, hint=phrase("{more} {hint}", more=more, hint=hint) if more else hint)


def _usage(error: click.ClickException) -> tuple[Phrase, Phrase | None]:
    match error:
        case click.NoSuchOption():
            typed = error.option_name.lstrip("-")
            if not is_plain_word(typed):
                return phrase("Unknown option"), None
            unknown = phrase("Unknown option: {option}", option=error.option_name)
            if error.possibilities:
                return unknown, phrase("Did you mean {option}?", option=error.possibilities[0])
            takes_names = error.ctx and any(isinstance(one, click.Argument) for one in error.ctx.command.params)
            return unknown, phrase('Put "--" before a name that begins with "-".') if takes_names else None
        case click.BadOptionUsage() if error.ctx and (found := _named(error.option_name, error.ctx.command)):
            if found.is_flag or found.count:
                return phrase("The option {option} takes no value", option=_name_of(found)), None
            return phrase("The option {option} needs a value", option=_name_of(found)), None
        case click.MissingParameter() if error.param:
            missing = phrase("Missing argument {name}", name=_name_of(error.param))
            return missing, _choices(error.param)
        case UnusableValue():
            return phrase("{name}: {message}", name=_name_of(error.parameter), message=error.words), None
        case click.BadParameter() if error.param:
            return _bad_value(error.param), None
        case click.UsageError() if error.ctx and isinstance(error.ctx.command, click.Group):
            return phrase("No command was given"), None
        case _:
            return phrase("The command line cannot be understood"), None


def _bad_value(parameter: click.Parameter) -> Phrase:
    name, kind = _name_of(parameter), parameter.type
    if isinstance(kind, click.IntRange | click.FloatRange):
        limits = {"name": name, "lowest": kind.min, "highest": kind.max}
        if isinstance(kind, click.IntRange):
            return phrase("{name} takes a whole number from {lowest} to {highest}", **limits)
        return phrase("{name} takes a number from {lowest} to {highest}", **limits)
    return phrase("The value of {name} cannot be used", name=name)


class UnusableValue(click.BadParameter):
    """What a value of an option or argument should be, in words that may be shown."""

    def __init__(self, words: Phrase, param: click.Parameter) -> None:
        super().__init__(words, param=param)
        self.words = words
        self.parameter = param


def not_one_of(value: str, choices: list[str], param: click.Parameter) -> UnusableValue:
    """Return the error for a value that is none of the ``choices``."""
    names = enumerated(choices)
    if is_plain_word(value):
        return UnusableValue(phrase('"{value}" is not one of {choices}', value=value, choices=names), param)
    return UnusableValue(phrase("it must be one of {choices}", choices=names), param)


def _choices(parameter: click.Parameter) -> Phrase | None:
    kind = parameter.type
    if not isinstance(kind, click.Choice):
        return None
    return phrase("It is one of {choices}.", choices=enumerated([str(one) for one in kind.choices]))


def _named(name: str, command: click.Command) -> click.Option | None:
    return next((one for one in command.params if isinstance(one, click.Option) and name in one.opts), None)


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "").upper().strip("[].")


def _members(fault: BaseException) -> Iterator[BaseException]:
    """Return the error itself, or those in a group."""
    if isinstance(fault, BaseExceptionGroup):
        for each in fault.exceptions:
            yield from _members(each)
    else:
        yield fault


def _lack(fault: BaseException | None) -> str | Phrase | None:
    if isinstance(fault, OSError) and fault.errno in _MACHINE:
        return fault.strerror or type(fault).__name__
    if isinstance(fault, MemoryError):
        return phrase("memory")
    if isinstance(fault, RuntimeError | ImportError) and any(words in str(fault) for words in _NO_MEMORY):
        return phrase("memory or threads")
    return None
