"""A small finished run directory, made by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

SHARES = [0.283, 0.339, 0.378]

CONFIG: dict[str, Any] = {
    "name": "demo",
    "seed": 7,
    "data": {"source": {"type": "oracle_market", "market": "realistic", "symbols": 2, "bars": 30000}},
    "features": "technical25",
    "labels": {"labeler": {"type": "volatility_quantile", "horizon_bars": 12, "sell": 0.283, "buy": 0.378}},
    "model": {"type": "xlstm", "embedding": 16},
    "inference": {"calibrator": "vector", "decision": "prior_matched"},
    "strategy": {"type": "follow_signal", "on_hold": "keep"},
    "backtest": {
        "cash": 100000,
        "fees": {"type": "proportional", "fee_bps": 10},
        "slippage": {"type": "bps", "slippage_bps": 5},
        "fill_convention": "open_first",
        "rebalance": "on_change",
        "capital": "sleeves",
        "bars_per_year": None,
    },
}


def predictions(n: int, symbols: tuple[str, ...], rng: np.random.Generator, start: str) -> pd.DataFrame:
    """Return calibrated and over-confident raw probabilities of ``n`` test and ``n`` val bars per symbol."""
    frames = []
    for symbol in symbols:
        times = pd.date_range(start, periods=2 * n, freq="5min", tz="UTC").as_unit("ns")
        logits = np.log(SHARES) + 0.5 * rng.normal(size=(2 * n, 3))
        proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels = (rng.random(2 * n)[:, None] > proba.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        raw = proba**3 / (proba**3).sum(axis=1, keepdims=True)
        frame = pd.DataFrame({"symbol": symbol, "timestamp": times, "segment": ["val"] * n + ["test"] * n})
        frame["label"] = labels.astype(np.int8)
        frame.loc[frame.index[-12:], "label"] = np.int8(-1)
        frame["signal"] = (proba / SHARES).argmax(axis=1).astype(np.int8)
        frame[["raw_sell", "raw_hold", "raw_buy"]] = raw
        frame[["p_sell", "p_hold", "p_buy"]] = proba
        frame["forward_return"] = 0.002 * (labels - 1) + 0.001 * rng.normal(size=2 * n)
        frame.loc[frame.index[-12:], "forward_return"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def equity(times: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    returns = 0.0008 * rng.normal(size=(len(times), 3)) + [-0.00003, 0.00001, 0.00002]
    returns[0] = 0.0
    curve = 100000.0 * np.exp(returns.cumsum(axis=0))
    frame = pd.DataFrame(curve, columns=["equity", "gross_equity", "buy_and_hold"])
    frame.insert(0, "timestamp", times)
    frame["exposure"] = np.sign(rng.normal(size=len(times))).round(3)
    return frame


def trades(n: int, symbol: str, times: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    entry = np.sort(rng.integers(1, len(times) - 20, size=n))
    held = rng.integers(1, 19, size=n)
    side = np.where(rng.random(n) < 0.5, "long", "short")
    move = 0.004 * rng.normal(size=n)
    frame = pd.DataFrame({"symbol": symbol, "side": side})
    frame["entry_time"] = times[entry].strftime("%Y-%m-%d %H:%M:%S+00:00")
    frame["exit_time"] = times[entry + held].strftime("%Y-%m-%d %H:%M:%S+00:00")
    frame["units"] = 500.0
    frame["entry_price"] = 100.0
    frame["exit_price"] = 100.0 * (1.0 + move)
    frame["fees"] = 100.0
    frame["slippage"] = 50.0
    frame["financing"] = 20.0
    frame["pnl"] = 50000.0 * move - 170.0
    frame["return"] = frame["pnl"] / 50000.0
    frame["mae"] = -np.abs(move)
    frame["mfe"] = np.abs(move)
    frame["bars_held"] = held
    frame["exit_reason"] = np.where(rng.random(n) < 0.2, "stop_loss", "signal")
    return frame


def classification(**changes: Any) -> dict[str, Any]:
    values = {
        "n": 1976,
        "effective_n": 1976 / 12,
        "label_share": SHARES,
        "label_share_error": [0.035, 0.037, 0.038],
        "raw_argmax_share": [0.02, 0.06, 0.92],
        "raw_nll": 1.14,
        "raw_ece": 0.121,
        "argmax_share": [0.03, 0.08, 0.89],
        "argmax_share_error": [0.013, 0.021, 0.024],
        "nll": 1.071,
        "ece": 0.012,
        "ace": 0.014,
        "brier": 0.65,
        "skill": 0.021,
        "decided_share": [0.28, 0.34, 0.38],
        "decided_share_error": [0.035, 0.037, 0.038],
        "macro_f1": 0.381,
        "balanced_accuracy": 0.39,
        "argmax_macro_f1": 0.24,
        "per_class": {"precision": [0.3, 0.4, 0.4], "recall": [0.3, 0.4, 0.4], "f1": [0.3, 0.4, 0.4]},
        "sign_auc": 0.543,
        "hold_auc": 0.58,
    }
    return {**values, **changes}


METRICS: dict[str, Any] = {
    "classification": {"val": classification(n=1980, nll=1.068), "test": classification()},
    "inference": {
        "test": [
            {"stage": "plain", "name": None, "weight": None, "nll": 1.14, "ece": 0.121, "ace": 0.08,
             "brier": 0.68, "argmax_share": [0.02, 0.06, 0.92]},
            {"stage": "view", "name": "jitter", "weight": 0.5, "nll": 1.2, "ece": 0.15, "ace": 0.09,
             "brier": 0.7, "argmax_share": [0.01, 0.04, 0.95]},
            {"stage": "mean of views", "name": None, "weight": None, "nll": 1.13, "ece": 0.11, "ace": 0.07,
             "brier": 0.67, "argmax_share": [0.02, 0.05, 0.93]},
            {"stage": "calibrated", "name": "vector", "weight": None, "nll": 1.071, "ece": 0.012,
             "ace": 0.014, "brier": 0.65, "argmax_share": [0.03, 0.08, 0.89]},
        ],
    },
    "prior_tilt": {
        "by_part": {"training.balancer": [0.1, -0.2, 0.1], "inference.decision": [None, 0.5, 0.0]},
        "total": [None, 0.0, -0.2], "left": [None, 0.0, -0.2], "implied_share": [0.0, 0.525, 0.475],
    },
    "oracle": {"test": {**classification(nll=1.04, skill=0.05), "skill_ratio": 0.42, "kl": 0.02}},
    "backtest": {
        "net_return": -0.0312, "gross_return": 0.0123, "cagr": -0.4, "sharpe": -1.21, "sortino": -1.6,
        "calmar": -2.0, "max_drawdown": 0.0641, "volatility": 0.21, "trades": 260, "win_rate": 0.44,
        "profit_factor": 0.9, "expectancy": -12.0, "exposure": 0.98, "turnover": 812.3, "fees": 26000.0,
        "slippage_cost": 13000.0, "funding": 0.0, "gross_t": 0.71, "buy_and_hold_return": 0.0204,
        "probabilistic_sharpe": None, "random_percentile": 0.61,
        "net_return_interval": [-0.081, 0.022], "fill_convention": "open_first",
        "sensitivity": {"open_first": -0.0312, "stop_first_drop": -0.0412, "open_first_skip_entry": None},
        "random_shifts": {"percentile": 0.61, "net_return": -0.0312, "mean": -0.04, "q05": -0.1, "q25": -0.06,
                          "q50": -0.041, "q75": -0.02, "q95": 0.02, "n": 200},
    },
    "class_prior": {"test": {"nll": 1.092, "skill": 0.0, "ece": 0.003}},
    "baselines": {
        "buy_and_hold": {"net_return": 0.0204, "sharpe": 0.8, "max_drawdown": 0.05},
        "reversal": {"net_return": -0.09, "gross_return": 0.01, "sharpe": -3.2, "max_drawdown": 0.1,
                     "trades": 800},
    },
}  # fmt: skip

HISTORY = [
    {"epoch": epoch, "train_loss": 1.2 - 0.05 * epoch, "learning_rate": 0.001, "class_weights": [1, 1, 1],
     "val_nll": 1.15 - 0.02 * epoch, "val_ece": 0.05, "val_macro_f1": 0.25,
     "val_argmax_share": [0.02 * epoch, 0.05, 0.95 - 0.02 * epoch], "best": True}
    for epoch in (1, 2)
]  # fmt: skip

MANIFEST: dict[str, Any] = {
    "version": "0.1.0",
    "git_commit": None,
    "seed": 7,
    "data_sha256": "ab" * 32,
    "horizon_bars": 12,
    "train_share": SHARES,
    "versions": {"numpy": "2.4"},
}

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a run directory; keyword arguments replace its parts."""

    def make(
        name: str = "run",
        *,
        config: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        manifest: dict[str, Any] | None = None,
        history: list[dict[str, Any]] | None = None,
        symbols: tuple[str, ...] = ("AAA", "BBB"),
        n: int = 600,
        n_trades: int = 260,
        seed: int = 1,
        start: str = "2020-01-01",
    ) -> Path:
        rng = np.random.default_rng(seed)
        path = tmp_path / name
        path.mkdir()
        (path / "config.resolved.yaml").write_text(yaml.safe_dump(config or CONFIG, sort_keys=False))
        (path / "metrics.json").write_text(json.dumps(metrics or METRICS))
        (path / "manifest.json").write_text(json.dumps(manifest or MANIFEST))
        (path / "history.json").write_text(json.dumps(HISTORY if history is None else history))
        table = predictions(n, symbols, rng, start)
        table.to_parquet(path / "predictions.parquet")
        times = pd.DatetimeIndex(table.loc[table["segment"] == "test", "timestamp"].unique())
        equity(times, rng).to_parquet(path / "equity.parquet")
        trades(n_trades, symbols[0], times, rng).to_csv(path / "trades.csv", index=False)
        (path / "DONE").touch()
        return path

    return make


@pytest.fixture
def metrics() -> dict[str, Any]:
    return copy.deepcopy(METRICS)


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(MANIFEST)
