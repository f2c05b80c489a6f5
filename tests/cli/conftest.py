"""Config files for the command line."""

import pytest


@pytest.fixture
def config(tmp_path):
    """Return a function that writes a config file."""

    def write(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
