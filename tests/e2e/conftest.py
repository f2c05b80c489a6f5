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
"""The shipped config, made small: seconds instead of minutes."""

GBM = ("model=hist_gradient_boosting", "model.max_iter=30")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> api.RunResult:
    """One small xLSTM run of the shipped config."""
    out = tmp_path_factory.mktemp("runs")
    return api.run(ROOT / "config.yaml", overrides=SMALL, out=out)


@pytest.fixture
def read(small_run):
    """Read a JSON file of the small run."""
    return lambda name: json.loads((small_run.run_dir / name).read_text(encoding="utf-8"))
