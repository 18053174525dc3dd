"""A plugin: every asynchronous test runs on uvloop, as with the loop of a user of the Python API who has it.

Used by ``make versions``: ``PYTHONPATH=tests python -m pytest -p on_uvloop``.
"""

from collections.abc import Callable
from typing import Any

import uvloop


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": uvloop.new_event_loop}
