"""The figures of one row, recomputed over given windows and bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.compare.entry import Entry
from simengine.evaluate.logproba import as_log_proba
from simengine.evaluate.scores import class_shares, macro_f1, nll, sign_auc, skill, top_label_ece
from simengine.evaluate.significance import block_bootstrap_interval, return_lag
from simengine.report.files import CALIBRATED
from simengine.types import FloatArray, LabelArray

if TYPE_CHECKING:
    import pandas as pd


def _scores(rows: pd.DataFrame) -> tuple[FloatArray, LabelArray]:
    return as_log_proba(rows[CALIBRATED].to_numpy(dtype=np.float64)), rows["label"].to_numpy(dtype=np.int8)


def classification_figures(entry: Entry, rows: pd.DataFrame, first: pd.DataFrame | None) -> dict[str, Any]:
    """Return the figures of an entry's rows; ``first`` holds the same rows of the entry to compare with."""
    log_proba, labels = _scores(rows)
    decided = rows["signal"].to_numpy(dtype=np.int8)
    share = None if entry.train_share is None else np.asarray(entry.train_share, dtype=np.float64)
    figures: dict[str, Any] = {
        "n": len(rows),
        "label_share": class_shares(labels).tolist(),
        "decided_share": class_shares(decided).tolist(),
        "macro_f1": macro_f1(labels, decided),
        "ece": top_label_ece(log_proba, labels),
        "nll": nll(log_proba, labels),
        "skill": None if share is None else skill(log_proba, labels, share),
        "sign_auc": sign_auc(log_proba, rows["forward_return"].to_numpy(dtype=np.float64)),
        "nll_difference": None,
        "nll_difference_interval": [None, None],
    }
    if first is not None:
        row = np.arange(len(labels))
        worse = _scores(first)[0][row, labels] - log_proba[row, labels]
        figures["nll_difference"] = float(worse.mean())
        figures["nll_difference_interval"] = _interval(entry, worse, rows)
    return figures


def _interval(entry: Entry, difference: FloatArray, rows: pd.DataFrame) -> list[float]:
    """Return the interval of the mean difference, resampling blocks of time with all their symbols."""
    _, at = np.unique(rows["timestamp"].to_numpy(), return_inverse=True)
    total = np.bincount(at, weights=difference)
    # Scaled so that its mean over the times is the mean over the rows, however many symbols a time has.
    series = np.asarray(total * (len(total) / len(difference)), dtype=np.float64)
    block = return_lag(entry.horizon_bars)
    return list(block_bootstrap_interval(series, block, entry.seed, statistic="mean"))


def backtest_figures(entry: Entry, times: pd.DatetimeIndex) -> dict[str, Any]:
    """Return the PnL figures of an entry at the given bars (sorted, at least two)."""
    from simengine.backtest.stats import calendar_bars_per_year, return_statistics

    curve = entry.equity.set_index("timestamp").loc[times]
    equity, gross, hold = (
        curve[name].to_numpy(dtype=np.float64) for name in ("equity", "gross_equity", "buy_and_hold")
    )
    per_year = calendar_bars_per_year(times.as_unit("ns").asi8)
    statistics = return_statistics(equity, float(entry.backtest.get("bars_per_year") or per_year))
    block = return_lag(entry.horizon_bars)
    return {
        "net_return": statistics["net_return"],
        "net_return_interval": list(block_bootstrap_interval(_returns(equity), block, entry.seed)),
        "gross_return": float(gross[-1] / gross[0] - 1.0),
        "buy_and_hold_return": float(hold[-1] / hold[0] - 1.0),
        "sharpe": statistics["sharpe"],
        "max_drawdown": statistics["max_drawdown"],
        **_trading(entry.trades, times, float(equity.mean()), (len(times) - 1) / per_year),
    }


def _returns(equity: FloatArray) -> FloatArray:
    """Return the simple returns per bar; 0 once nothing is left."""
    before = equity[:-1]
    return np.divide(np.diff(equity), before, out=np.zeros(len(before)), where=before > 0)


def _trading(
    trades: pd.DataFrame, times: pd.DatetimeIndex, mean_equity: float, years: float
) -> dict[str, Any]:
    import pandas as pd

    def inside(column: str) -> pd.Series[bool]:
        return pd.to_datetime(trades[column], utc=True).between(times[0], times[-1])

    entered, exited = inside("entry_time"), inside("exit_time")
    size = trades["units"].abs()
    notional = (size * trades["entry_price"])[entered].sum() + (size * trades["exit_price"])[exited].sum()
    return {
        "trades": int(exited.sum()),
        "turnover": float(notional / mean_equity / years) if years > 0 and mean_equity > 0 else math.nan,
        "fees": float(trades["fees"][exited].sum()),
    }
