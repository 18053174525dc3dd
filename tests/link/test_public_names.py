"""The public API is what ``__all__`` names, and nothing is imported before it is used."""

import subprocess
import sys

import pytest

import oauth_helper
from oauth_helper import errors


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
