"""Where a fault comes from is told, and nothing that a library says of it."""

import pytest

from oauth_helper.errors import MachineError, safe_traceback
from oauth_helper.i18n import _


def caught(error: Exception) -> Exception:
    """The error with a trace, as whoever catches it has it."""
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def test_our_own_errors_are_told_in_their_words_and_others_by_their_kind() -> None:
    told = safe_traceback(caught(MachineError(_("the disk is full")))) + safe_traceback(
        caught(ValueError("planted-secret"))
    )
    assert "MachineError: the disk is full" in told
    assert told.endswith("ValueError")
    assert told.count("in caught") == 2


def test_each_error_of_a_group_is_told() -> None:
    group = ExceptionGroup("planted-secret", [caught(KeyError("planted-secret")), caught(OSError("planted-secret"))])
    told = safe_traceback(caught(group))
    kinds = [line for line in told.splitlines() if line.endswith(("Error", "Group"))]
    assert kinds == ["KeyError", "OSError", "ExceptionGroup"]
    assert "planted" not in told


def test_errors_that_came_of_each_other_are_told_once() -> None:
    first, second = caught(ValueError()), caught(KeyError())
    first.__context__, second.__context__ = second, first
    assert [line for line in safe_traceback(first).splitlines() if line.endswith("Error")] == ["KeyError", "ValueError"]
