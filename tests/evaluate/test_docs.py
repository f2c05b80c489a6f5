from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from simengine.evaluate.baselines import RESULT_STATISTICS
from simengine.evaluate.classification import oracle_metrics
from simengine.types import EpochRecord

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def oracle_names():
    proba = np.full((4, 3), 1 / 3)
    return oracle_metrics(
        labels=np.array([0, 1, 2, 2], np.int8),
        window_proba=proba,
        full_proba=proba,
        model_log_proba=np.log(proba),
        forward_return=np.array([-0.1, 0.0, 0.1, 0.1]),
        train_share=np.full(3, 1 / 3),
        horizon_bars=2,
    )


BACKTEST = (
    *RESULT_STATISTICS, "gross_return", "gross_t", "net_return_interval", "buy_and_hold_return",
    "random_percentile", "fill_convention", "sensitivity",
)  # fmt: skip


@pytest.mark.parametrize("name", [*oracle_names(), *BACKTEST])
def test_every_metric_is_explained(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", [field.name for field in fields(EpochRecord)])
def test_every_figure_of_an_epoch_is_explained(name):
    assert f"`{name}`" in PAGE.split("## `history.json`")[1]
