"""The public API is what ``__all__`` names, sorted, importable, and nothing is imported before it is used."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import oauth_helper
from oauth_helper import errors, events, redirect, schema


def test_every_public_name_can_be_imported() -> None:
    assert oauth_helper.__all__ == sorted(oauth_helper.__all__)
    for name in oauth_helper.__all__:
        assert getattr(oauth_helper, name).__module__.startswith("oauth_helper.")
    assert set(oauth_helper.__all__) <= set(dir(oauth_helper))


def test_every_error_is_public() -> None:
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.OAuthHelperError):
            assert name in oauth_helper.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = oauth_helper.nonsense


def test_importing_the_package_and_asking_for_help_imports_no_aiohttp() -> None:
    script = (
        "import sys, oauth_helper; assert len([m for m in sys.modules if m.startswith('oauth_helper')]) == 1;"
        "from oauth_helper.cli import main; assert main(['link', '--help']) == 0; assert 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=30)


def members(documented: type) -> Iterator[tuple[str, object]]:
    """What a class of ours offers by itself: its methods and properties, not what it has of another."""
    for name, member in vars(documented).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod | staticmethod)):
            yield f"{documented.__qualname__}.{name}", member


def documentable(room: ModuleType) -> Iterator[tuple[str, object]]:
    for name in room.__all__:
        value = getattr(room, name)
        if inspect.isclass(value):
            yield name, value
            yield from members(value)
        elif inspect.isfunction(value):
            yield name, value


@pytest.mark.parametrize("room", [oauth_helper, redirect, schema], ids=lambda room: room.__name__)
def test_every_public_class_function_and_method_says_what_it_is_for(room: ModuleType) -> None:
    found = dict(documentable(room))
    assert found
    undocumented = [name for name, value in found.items() if not (value.__doc__ or "").strip()]
    assert undocumented == []


def test_every_event_says_what_it_tells() -> None:
    for event in events.Event.__subclasses__():
        # A dataclass without one of its own is given its signature.
        assert not (event.__doc__ or "").startswith(f"{event.__name__}(")
