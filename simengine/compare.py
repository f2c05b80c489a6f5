"""Several runs, or several strategies of one run, in one table over the times they share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import RunError
from simengine.evaluate.logproba import as_log_proba
from simengine.evaluate.scores import class_shares, macro_f1, nll, sign_auc, skill, top_label_ece
from simengine.evaluate.significance import block_bootstrap_interval, return_lag
from simengine.report.files import (
    CALIBRATED,
    check_probabilities,
    dig,
    read_config,
    read_equity,
    read_predictions,
    read_trades,
)
from simengine.rundir import RunDir, plain
from simengine.types import CLASS_NAMES, FloatArray, LabelArray

if TYPE_CHECKING:
    import pandas as pd

STRATEGY_SETTINGS = frozenset({"rebalance", "stop_loss", "take_profit"})
"""Settings under ``backtest`` that are choices to compare; every other one is a condition that must agree."""


@dataclass(frozen=True)
class Entry:
    """One row of a comparison: a run, or another strategy on a run's predictions.

    Parameters
    ----------
    label : str
        Name of the row, unique within a comparison.
    predictions : DataFrame
        Columns ``symbol, timestamp, segment, label, signal, raw_*, p_*, forward_return``.
    equity : DataFrame
        Columns ``timestamp, equity, gross_equity, buy_and_hold, exposure``: the portfolio.
    trades : DataFrame
        Closed trades as in ``trades.csv``.
    data_sha256 : object
        What identifies the bars: equal for equal data.
    backtest : mapping
        The ``backtest`` section of the resolved config.
    horizon_bars : int
        Label horizon H; intervals allow for correlation over ``max(48, 2 H)`` bars.
    train_share : sequence of float, length 3, optional
        Label shares of the train rows; ``skill`` is None without them.
    seed : int
        Root seed of the bootstrap intervals.
    """

    label: str
    predictions: pd.DataFrame
    equity: pd.DataFrame
    trades: pd.DataFrame
    data_sha256: object
    backtest: Mapping[str, Any]
    horizon_bars: int
    train_share: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_probabilities(self.predictions, self.label)

    def with_strategy(self, label: str, equity: pd.DataFrame, trades: pd.DataFrame) -> Entry:
        """Return the same predictions traded by another strategy."""
        return replace(self, label=label, equity=equity, trades=trades)


@dataclass(frozen=True)
class Comparison:
    """The table of `compare_entries`.

    Parameters
    ----------
    span : dict
        ``first`` and ``last`` common time (ISO, UTC), common ``bars`` and common labelled ``windows``.
    rows : list of dict
        ``label``, ``classification`` and ``backtest`` of each entry, in the order given.
    notes : list of str
        What limits the comparison.
    """

    span: dict[str, Any]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and strings; undefined figures are None."""
        return dict(plain({"span": self.span, "rows": self.rows, "notes": self.notes}))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per entry, indexed by label; lists of three become ``_sell, _hold, _buy``."""
        import pandas as pd

        flat = [dict(_flat_columns({**row["classification"], **row["backtest"]})) for row in self.rows]
        return pd.DataFrame(flat, index=pd.Index([row["label"] for row in self.rows], name="label"))


def _flat_columns(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in metrics.items():
        if isinstance(value, list):
            ends = CLASS_NAMES if len(value) == len(CLASS_NAMES) else ("low", "high")
            yield from ((f"{name}_{end}", item) for end, item in zip(ends, value, strict=True))
        else:
            yield name, value


def read_entry(run_dir: Path | str, label: str | None = None) -> Entry:
    """Return the entry of a finished run; its label is the directory's name unless given.

    Raises
    ------
    RunError
        When the directory is no finished run, or a file is missing or cannot be read.
    """
    run = RunDir.open(run_dir)
    config, manifest = read_config(run.path), run.read_json("manifest.json")
    if dig(manifest, "data_sha256") is None:
        raise RunError(f"{run / 'manifest.json'}: data_sha256 is missing, so the data cannot be compared")
    return Entry(
        label=label or run.path.name,
        predictions=read_predictions(run.path),
        equity=read_equity(run.path),
        trades=read_trades(run.path),
        data_sha256=manifest["data_sha256"],
        backtest=config.get("backtest") or {},
        horizon_bars=int(dig(config, "labels", "labeler", "horizon_bars") or 1),
        train_share=manifest.get("train_share"),
        seed=int(config.get("seed") or 0),
    )


def compare_entries(entries: Sequence[Entry], *, allow_different: bool = False) -> Comparison:
    """Put entries into one table, every figure recomputed over the test times they all share.

    Classification figures use the (symbol, time) pairs of the test segment that every entry has with a
    label; PnL figures use the equity at the bars that every entry has, starting from the first common
    one. ``trades`` and ``fees`` count the closed trades that exit within these times, ``turnover`` the
    notional of their fills within them, over mean equity and years. So the figures of a run differ from
    its own ``metrics.json`` when another entry covers fewer times, or when a position was still open.

    Parameters
    ----------
    entries : sequence of Entry
        At least one; the first is the one that ``nll_difference`` is taken to (own NLL minus its NLL, nats,
        with a 95 % moving-block interval; below 0 is better).
    allow_different : bool
        Compare in spite of other data or cost settings, and say so in the notes.

    Raises
    ------
    RunError
        When labels repeat, data or costs differ, or no test time is common.
    """
    if not entries:
        raise RunError("compare: no run was given; name at least one run directory")
    _check_labels(entries)
    notes = list(_differences(entries))
    if notes and not allow_different:
        raise RunError(f"{notes[0]}; such figures do not compare: pass --allow-different to see them anyway")
    keys = _common_windows(entries)
    times = _common_times(entries)
    scored = [_rows_at(entry, keys) for entry in entries]
    if any((rows["label"].to_numpy() != scored[0]["label"].to_numpy()).any() for rows in scored):
        notes.append("labels differ between entries: each is scored against its own, without nll_difference")
        paired = False
    else:
        paired = True
    rows = [
        {
            "label": entry.label,
            "classification": _classification(entry, own, scored[0] if paired else None),
            "backtest": _backtest(entry, times),
        }
        for entry, own in zip(entries, scored, strict=True)
    ]
    span = {
        "first": times[0].isoformat(),
        "last": times[-1].isoformat(),
        "bars": len(times),
        "windows": len(keys),
    }
    return Comparison(span, rows, notes)


def _check_labels(entries: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.label in seen:
            raise RunError(f"compare: {entry.label!r} was given twice; give every entry its own label")
        seen.add(entry.label)


def _differences(entries: Sequence[Entry]) -> Iterator[str]:
    first = entries[0]
    for entry in entries[1:]:
        if json.dumps(plain(entry.data_sha256), sort_keys=True) != json.dumps(
            plain(first.data_sha256), sort_keys=True
        ):
            yield f"{entry.label}: other data than {first.label} (data_sha256 differs)"
        ours, theirs = dict(_settings(first.backtest)), dict(_settings(entry.backtest))
        for place in sorted(ours.keys() | theirs.keys()):
            if ours.get(place) != theirs.get(place):
                yield (
                    f"{entry.label}: other costs than {first.label} "
                    f"({place}: {theirs.get(place, 'not set')} instead of {ours.get(place, 'not set')})"
                )


def _settings(section: Mapping[str, Any], prefix: str = "backtest") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if prefix == "backtest" and key in STRATEGY_SETTINGS:
            continue
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


def _common_windows(entries: Iterable[Entry]) -> pd.MultiIndex:
    common: pd.MultiIndex | None = None
    for entry in entries:
        keys = _index(_labelled(entry))
        common = keys if common is None else common.intersection(keys)
    if common is None or not len(common):
        raise RunError(
            "compare: the entries share no labelled test window (symbol and time); choose runs that overlap"
        )
    # By time first: blocks of the interval are runs of time, all symbols together.
    return common.sortlevel([1, 0])[0]


def _labelled(entry: Entry) -> pd.DataFrame:
    frame = entry.predictions
    return frame[(frame["segment"] == "test") & (frame["label"] >= 0) & (frame["signal"] >= 0)]


def _index(frame: pd.DataFrame) -> pd.MultiIndex:
    import pandas as pd

    return pd.MultiIndex.from_frame(frame[["symbol", "timestamp"]])


def _rows_at(entry: Entry, keys: pd.MultiIndex) -> pd.DataFrame:
    frame = _labelled(entry)
    return frame.set_index(_index(frame)).loc[keys]


def _common_times(entries: Iterable[Entry]) -> pd.DatetimeIndex:
    import pandas as pd

    common: pd.DatetimeIndex | None = None
    for entry in entries:
        times = pd.DatetimeIndex(entry.equity["timestamp"])
        common = times if common is None else common.intersection(times)
    if common is None or len(common) < 2:
        raise RunError("compare: the entries share fewer than two bars of equity; choose runs that overlap")
    return common.sort_values()


def _scores(rows: pd.DataFrame) -> tuple[FloatArray, LabelArray]:
    return as_log_proba(rows[CALIBRATED].to_numpy(dtype=np.float64)), rows["label"].to_numpy(dtype=np.int8)


def _classification(entry: Entry, rows: pd.DataFrame, first: pd.DataFrame | None) -> dict[str, Any]:
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
    series = total * (len(total) / len(difference))
    block = return_lag(entry.horizon_bars)
    return list(block_bootstrap_interval(series, block, entry.seed, statistic="mean"))


def _backtest(entry: Entry, times: pd.DatetimeIndex) -> dict[str, Any]:
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
        "net_return_interval": list(
            block_bootstrap_interval(equity[1:] / equity[:-1] - 1.0, block, entry.seed)
        ),
        "gross_return": float(gross[-1] / gross[0] - 1.0),
        "buy_and_hold_return": float(hold[-1] / hold[0] - 1.0),
        "sharpe": statistics["sharpe"],
        "max_drawdown": statistics["max_drawdown"],
        **_trading(entry.trades, times, float(equity.mean()), (len(times) - 1) / per_year),
    }


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
