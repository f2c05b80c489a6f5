import os

import pytest
from hypothesis import HealthCheck, settings

from simengine.cli.app import execute
from simengine.plugin.pytest_plugin import simengine_registry

__all__ = ["simengine_registry"]

# In the gate every run tries the same examples: a rare one is a finding for a developer's machine.
settings.register_profile(
    "simengine",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("simengine")


@pytest.fixture
def simengine(capsys):
    """Return a function: arguments to (exit code, stdout, stderr)."""

    def call(*arguments):
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
