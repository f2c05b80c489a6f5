import pytest
from hypothesis import settings

from simengine.cli.app import execute
from simengine.plugin.pytest_plugin import simengine_registry

__all__ = ["simengine_registry"]

settings.register_profile("simengine", deadline=None)
settings.load_profile("simengine")


@pytest.fixture
def simengine(capsys):
    """Return a function: arguments to (exit code, stdout, stderr)."""

    def call(*arguments):
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
