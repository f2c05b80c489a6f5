"""The table: which entries may stand side by side, over which times, and how it is written out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simengine.compare.entry import Entry
from simengine.compare.figures import backtest_figures, classification_figures
from simengine.errors import RunError
from simengine.rundir import plain
from simengine.types import CLASS_NAMES

if TYPE_CHECKING:
    import pandas as pd

STRATEGY_SETTINGS = frozenset(
    {"rebalance", "stop_loss", "take_profit", "trailing_stop", "max_bars", "limit_offset", "limit_bars"}
)
"""Settings under ``backtest`` that are choices to compare; every other one is a condition that must agree."""


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
            "classification": classification_figures(entry, own, scored[0] if paired else None),
            "backtest": backtest_figures(entry, times),
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
