"""The exceptions, and tracebacks that show no message of a library."""

import errno
import re

import pytest
from models.examples import error_classes

from oauth_helper.errors import (
    MachineError,
    OAuthHelperError,
    RefusedError,
    StoppedError,
    cannot_listen,
    safe_traceback,
)
from oauth_helper.i18n import _


def caught(error: Exception) -> Exception:
    """The exception with a traceback."""
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def test_every_error_has_a_hint_and_a_kind_of_its_own() -> None:
    classes = error_classes()
    assert len(classes) > 20
    assert len({error.kind for error in classes}) == len(classes)
    for error in classes:
        assert error.default_hint
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.kind)
        assert 1 <= error.exit_status <= 9 or error is StoppedError


@pytest.mark.parametrize(
    ("status", "code", "is_foreign"),
    [
        (None, None, False),
        (302, None, True),
        (400, "APIGW.0101", True),
        (400, "SVCSTG.REPO.0400", False),
        (401, None, False),
        (429, None, False),
        (500, None, False),
    ],
)
def test_a_refusal_of_a_proxy_or_gateway_is_recognised(status: int | None, code: str | None, is_foreign: bool) -> None:
    assert OAuthHelperError(_("no"), status=status, code=code).is_foreign_refusal is is_foreign


def test_that_nothing_was_created_is_added_once() -> None:
    error = RefusedError(_("no"), hint=_("Try again."))
    for _again in range(2):
        error.say_that_nothing_was_created()
        assert (error.hint, error.nothing_created) == ("Nothing was created. Try again.", True)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EACCES])
def test_a_socket_that_cannot_listen_has_a_hint_about_the_limit(number: int) -> None:
    error = cannot_listen(OSError(number, "words of asyncio"))
    assert error.message.startswith("Cannot listen on 127.0.0.1: ")
    assert "asyncio" not in error.message
    assert (error.hint == MachineError.default_hint) is (number == errno.EACCES)


def test_a_traceback_has_our_own_messages_and_only_the_class_of_other_exceptions() -> None:
    ours, other = caught(MachineError(_("the disk is full"))), caught(ValueError("planted-secret"))
    shown = safe_traceback(ours) + safe_traceback(other)
    assert "MachineError: the disk is full" in shown
    assert shown.endswith("ValueError")
    assert shown.count("in caught") == 2


def test_a_traceback_shows_each_exception_of_a_group() -> None:
    group = ExceptionGroup("planted-secret", [caught(KeyError("planted-secret")), caught(OSError("planted-secret"))])
    shown = safe_traceback(caught(group))
    kinds = [line for line in shown.splitlines() if line.endswith(("Error", "Group"))]
    assert kinds == ["KeyError", "OSError", "ExceptionGroup"]
    assert "planted" not in shown


def test_a_traceback_shows_each_exception_of_a_cycle_once() -> None:
    first, second = caught(ValueError()), caught(KeyError())
    first.__context__, second.__context__ = second, first
    assert [line for line in safe_traceback(first).splitlines() if line.endswith("Error")] == ["KeyError", "ValueError"]
