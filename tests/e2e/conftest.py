"""Small whole runs that several end-to-end tests look at."""

import json
from pathlib import Path

import pytest

from simengine import api

ROOT = Path(__file__).parents[2]

SMALL = (
    "data.source.symbols=2",
    "data.source.bars=4000",
    "training.epochs=1",
    "window.train_stride=4",
    "model.embedding=8",
    "model.heads=2",
)


@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def small():
    """Overrides that make the shipped config small: seconds instead of minutes."""
    return SMALL


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """One small xLSTM run of the shipped config."""
    return api.run(ROOT / "config.yaml", overrides=SMALL, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def read(small_run):
    """Read a JSON file of the small run."""
    return lambda name: json.loads((small_run.run_dir / name).read_text(encoding="utf-8"))
