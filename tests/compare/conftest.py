"""Entries small enough to check by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simengine.compare import Entry

COSTS: dict[str, Any] = {
    "cash": 100000,
    "fees": {"type": "proportional", "fee_bps": 10},
    "slippage": {"type": "bps", "slippage_bps": 5},
    "fill_convention": "open_first",
    "rebalance": "on_change",
    "stop_loss": None,
}


def predictions(start: int, n: int, symbols: tuple[str, ...] = ("AAA",), seed: int = 0) -> pd.DataFrame:
    """Return hourly test rows ``start`` to ``start + n``; a row's label depends on its time alone."""
    frames = []
    for symbol in symbols:
        hours = np.arange(start, start + n)
        proba = np.random.default_rng([seed, len(symbol)]).dirichlet([4, 5, 6], size=start + n)[start:]
        frame = pd.DataFrame({"symbol": symbol, "timestamp": at(hours), "segment": "test"})
        frame["label"] = (hours % 3).astype(np.int8)
        frame["signal"] = ((hours + hours // 5) % 3).astype(np.int8)
        frame[["raw_sell", "raw_hold", "raw_buy"]] = proba
        frame[["p_sell", "p_hold", "p_buy"]] = proba
        frame["forward_return"] = 0.001 * (hours % 3 - 1.0) + 0.0001 * (-1.0) ** hours
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def at(hours: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Timestamp("2021-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")).as_unit(
        "ns"
    )


def equity(start: int, n: int, growth: float = 1.001) -> pd.DataFrame:
    hours = np.arange(start, start + n)
    wave = 1.0 + 0.01 * np.sin(hours)
    return pd.DataFrame(
        {
            "timestamp": at(hours),
            "equity": 1000.0 * growth**hours * wave,
            "gross_equity": 1000.0 * 1.002**hours,
            "buy_and_hold": 1000.0 * 1.0005**hours,
            "exposure": 1.0,
        }
    )


def trades(rows: list[tuple[int, int]]) -> pd.DataFrame:
    """Return trades of 2 units from 100 to 110 with 3 of fees, as (entry hour, exit hour)."""
    return pd.DataFrame(
        {
            "symbol": "AAA",
            "entry_time": [str(at([entry])[0]) for entry, _ in rows],
            "exit_time": [str(at([exit_])[0]) for _, exit_ in rows],
            "units": 2.0,
            "entry_price": 100.0,
            "exit_price": 110.0,
            "fees": 3.0,
        }
    )


@pytest.fixture
def data() -> SimpleNamespace:
    """Return the makers of the parts of an entry."""
    return SimpleNamespace(COSTS=COSTS, predictions=predictions, equity=equity, trades=trades)


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    def make(
        label: str = "a", *, start: int = 0, n: int = 300, growth: float = 1.001, **changes: Any
    ) -> Entry:
        settings: dict[str, Any] = {
            "predictions": predictions(start, n),
            "equity": equity(start, n, growth),
            "trades": trades([(1, 4), (50, 60), (250, 260)]),
            "data_sha256": "ab",
            "backtest": COSTS,
            "horizon_bars": 2,
            "train_share": (0.3, 0.3, 0.4),
            "seed": 7,
        }
        return Entry(label=label, **{**settings, **changes})

    return make
