"""Run the command line in this process."""

import pytest

from simengine.cli.app import execute


@pytest.fixture
def simengine(capsys):
    """Return a function: arguments to (exit code, stdout, stderr)."""

    def call(*arguments):
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def config(tmp_path):
    """Return a function that writes a config file."""

    def write(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
