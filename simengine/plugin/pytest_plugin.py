"""A pytest fixture: `pytest_plugins = ["simengine.plugin.pytest_plugin"]` in `conftest.py`."""

from __future__ import annotations

import pytest

from simengine.plugin.manager import build_registry
from simengine.plugin.registry import Registry


@pytest.fixture(scope="session")
def simengine_registry() -> Registry:
    """Return the built-in components alone: whatever is installed beside them plays no part."""
    return build_registry(discover=False)
