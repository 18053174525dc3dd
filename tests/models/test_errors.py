"""The exceptions, and tracebacks that show no message of a library."""

import re

import pytest
from models.examples import error_classes

from oauth_helper.errors import (
    MachineError,
    StoppedError,
    safe_traceback,
)
from oauth_helper.i18n import _


def caught(error: Exception) -> Exception:
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


def test_a_traceback_has_our_own_messages_and_only_the_class_of_other_exceptions() -> None:
    ours, other = caught(MachineError(_("the disk is full"))), caught(ValueError("planted-secret"))
    shown = safe_traceback(ours) + safe_traceback(other)
    assert "MachineError: the disk is full" in shown
    assert shown.endswith("ValueError")
    assert shown.count("in caught") == 2


def test_a_traceback_shows_each_exception_of_a_group_or_a_cycle_once() -> None:
    group = ExceptionGroup("planted-secret", [caught(KeyError("planted-secret")), caught(OSError("planted-secret"))])
    shown = safe_traceback(caught(group))
    kinds = [line for line in shown.splitlines() if line.endswith(("Error", "Group"))]
    assert kinds == ["KeyError", "OSError", "ExceptionGroup"]
    assert "planted" not in shown
    first, second = caught(ValueError()), caught(KeyError())
    first.__context__, second.__context__ = second, first
    assert [line for line in safe_traceback(first).splitlines() if line.endswith("Error")] == ["KeyError", "ValueError"]
