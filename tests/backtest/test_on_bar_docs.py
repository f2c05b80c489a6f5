"""docs/on_bar.md says what a rule is given, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from simengine.backtest import onbar

PAGE = (Path(__file__).parents[2] / "docs" / "on_bar.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def example():
    names = {}
    exec(compile(CODE, "docs/on_bar.md", "exec"), names)
    return names


def test_the_trailing_stop_is_the_only_way_out(example):
    result = example["trailed"]
    assert len(result.trades) > 10
    assert set(result.trades_frame()["exit_reason"]) == {"stop_loss"}
    # It is never further than 4 % below the best price, a gap apart, and the entry bar has none.
    later = result.trades[result.trades["exit_bar"] > result.trades["entry_bar"]]
    best = later["entry_price"] * (1 + later["mfe"])
    assert (later["exit_price"] >= 0.96 * best * (1 - 1e-12)).mean() > 0.9


def test_the_pyramid_grows_in_quarters(example):
    result = example["pyramided"]
    bought = result.orders[result.orders["opening"] == 1]
    trades = np.concatenate([result.trades, result.open_trades])
    assert len(trades) > 5
    steps = [
        np.count_nonzero((bought["bar"] >= t["entry_bar"]) & (bought["bar"] <= t["exit_bar"])) for t in trades
    ]
    assert max(steps) > 2
    assert max(steps) <= 4
    assert 0.9 < result.exposure.max() < 1.1
    assert {*result.trades_frame()["exit_reason"]} == {"stop_loss"}


def test_every_place_of_the_account_is_named():
    places = [name for name in onbar.__all__ if name.isupper() and name != "MEMORY_SIZE"]
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = re.findall(r"`([A-Z_]+)`", " ".join(line.split("|")[1] for line in rows))
    assert sorted(named) == sorted(places)
    assert all(f"\n{name}" in onbar.__doc__ or f" {name}" in onbar.__doc__ for name in places)
