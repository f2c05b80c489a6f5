"""The chosen variant of a sweep on its test span."""

from types import SimpleNamespace

import numpy as np

from simengine.backtest import backtest
from simengine.backtest.chunk import COLUMNS, threshold_targets
from simengine.backtest.sweeping import MIN_BARS
from simengine.steps import sweep
from simengine.types import Bars


def test_a_test_span_too_short_to_judge_a_choice_is_long_enough_for_one_variant(monkeypatch):
    n = 20
    assert n < MIN_BARS
    price = 100 + np.sin(np.arange(float(n)))
    bars = {"X": Bars("X", np.arange(n) * 3_600 * 10**9, price, price + 1, price - 1, price, np.ones(n))}
    proba = {"X": np.random.default_rng(1).dirichlet([3, 3, 3], n)}
    monkeypatch.setattr(sweep, "_traded", lambda *_: (bars, proba))
    account = SimpleNamespace(options=lambda _: {"fee_bps": 5.0})
    levels = {"stop_loss": 0.01, "take_profit": None, "trailing_stop": None, "max_bars": 3}
    found = sweep._on_test(account, None, None, {"row": 0, "threshold": 0.4, **levels, "sharpe": 1.0})
    alone = backtest(bars, targets={"X": threshold_targets(proba["X"], 0.4)}, fee_bps=5.0, **levels)
    assert found == {
        "span": ["1970-01-01T00:00Z", "1970-01-01T19:00Z"],
        **{name: alone.stats[name] for name in COLUMNS},
    }
    assert found["trades"] > 0
