"""`SweepResult`: the table of a sweep, and what its best variant is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.backtest.chunk import COLUMNS
from simengine.backtest.costs import is_whole, said
from simengine.backtest.variants import FIELDS, Variants
from simengine.errors import ConfigError, unknown_name
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.overfit import Overfitting

LOWER_IS_BETTER = frozenset({"max_drawdown", "fees", "turnover", "exposure"})
CONFIDENCE = 0.95
"""Deflated Sharpe ratio from which the best variant counts as more than luck."""

_PERCENT = frozenset({"net_return", "max_drawdown", "win_rate", "exposure"})
_WHOLE = frozenset({"trades", "max_bars"})
_TOP = 5
_SHOWN = ("net_return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate", "turnover", "exposure")


def best_row(table: Mapping[str, FloatArray], by: str) -> int | None:
    """Return the row with the best value of a column, the first of equal ones; NaN is never best."""
    if by not in table:
        raise ConfigError(unknown_name("column", str(by), table))
    values = -table[by] if by in LOWER_IS_BETTER else table[by]
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def span_text(first: int, last: int) -> tuple[str, str]:
    """Return two times (ns UTC) as ISO text to the minute."""
    start, end = (np.datetime_as_string(np.datetime64(t, "ns"), unit="m") for t in (first, last))
    return f"{start}Z", f"{end}Z"


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult:
    """Figures of every variant of a sweep.

    Parameters
    ----------
    variants : Variants
        In the order of the rows.
    table : mapping of str to float64 array, shape (K,)
        ``final_equity, net_return, sharpe, sortino, max_drawdown, trades, win_rate, fees, turnover,
        exposure``, as in `simengine.backtest.stats`.
    sums, squares : float64 arrays, shape (K, 16)
        Sums of one-bar returns, and of their squares, in 16 consecutive blocks.
    counts : int64 array, shape (16,)
        Returns in each block.
    symbols : tuple of str
        What was traded, in one account.
    span : (int, int)
        Open times of the first and the last bar, ns UTC.
    fill_convention : str
        How orders and stops share a bar.
    bars_per_year : float
        Used for annualisation.
    skewness, kurtosis : float
        Of the one-bar returns of the variant with the best Sharpe ratio; NaN when none trades.
    """

    variants: Variants
    table: Mapping[str, FloatArray]
    sums: FloatArray
    squares: FloatArray
    counts: IntArray
    symbols: tuple[str, ...]
    span: tuple[int, int]
    fill_convention: str
    bars_per_year: float
    skewness: float
    kurtosis: float

    def __len__(self) -> int:
        return len(self.variants)

    def best(self, by: str = "sharpe") -> dict[str, Any] | None:
        """Return the best variant by a column, as `row` does; None when no variant has a value there.

        Of ``max_drawdown, fees, turnover`` and ``exposure`` the lowest is best.
        """
        row = best_row(self.table, by)
        return None if row is None else self.row(row)

    def row(self, row: int) -> dict[str, Any]:
        """Return ``row``, the variant (None: off) and its figures as plain numbers.

        Raises
        ------
        ConfigError
            A row that is not in the table.
        """
        if not (is_whole(row) and 0 <= row < len(self)):
            raise ConfigError(f"the rows of the table are 0 to {len(self) - 1}, received {said(row)}")
        figures = {name: float(values[row]) for name, values in self.table.items()}
        return {"row": row, **self.variants[row], **figures}

    @cached_property
    def overfitting(self) -> Overfitting | None:
        """How much of the best Sharpe ratio is luck of the search; None for a single variant."""
        from simengine.backtest.overfit import overfitting

        if len(self) < 2:
            return None
        return overfitting(
            self.sums,
            self.squares,
            self.counts,
            skewness=self.skewness,
            kurtosis=self.kurtosis,
            best=best_row(self.table, "sharpe"),
        )

    @property
    def significant(self) -> bool:
        """Whether the best Sharpe ratio is more than the luck of as many trials (95 %)."""
        found = self.overfitting
        return found is not None and found.deflated_sharpe >= CONFIDENCE and found.pbo < 0.5

    @property
    def verdict(self) -> str:
        """One sentence on what the best variant is worth."""
        found, best = self.overfitting, self.best()
        if best is None:
            return "no variant trades: there is nothing to choose from"
        if best["sharpe"] <= 0:
            return "not significant: even the best variant has no Sharpe ratio above 0; not trading is better"
        if found is None:
            return "one variant: nothing was chosen, so there is no luck of a search to correct for"
        if math.isnan(found.deflated_sharpe):
            return "not significant: fewer than two variants trade, so the luck of the search cannot be told"
        chance = f"a true Sharpe ratio above 0 has the probability {_percent(found.deflated_sharpe)}"
        if not found.deflated_sharpe >= CONFIDENCE:
            return f"not significant: after {found.trials:,} trials {chance}, short of {_percent(CONFIDENCE)}"
        if not found.pbo < 0.5:
            return (
                f"not significant: the best of one half of the time is below the median of the other in "
                f"{_percent(found.pbo)} of the splits"
            )
        return f"significant: after {found.trials:,} trials {chance}; the next bars are the real test"

    def overfitting_dict(self) -> dict[str, Any]:
        """Return the overfitting statistics and the verdict as plain data."""
        found = self.overfitting
        figures = {} if found is None else asdict(found)
        return {**figures, "significant": self.significant, "verdict": self.verdict}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the block sums as plain data for JSON."""
        return {
            "symbols": list(self.symbols),
            "span": list(self.times),
            "fill_convention": self.fill_convention,
            "bars_per_year": self.bars_per_year,
            "variants": list(self.variants),
            "table": {name: values.tolist() for name, values in self.table.items()},
            "best": self.best(),
            "overfitting": self.overfitting_dict(),
        }

    @property
    def times(self) -> tuple[str, str]:
        """First and last bar, ISO, UTC."""
        return span_text(*self.span)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per variant: its values (NaN, of ``max_bars`` 0: off), then its figures."""
        import pandas as pd

        rules = {name: self.variants.rows[name] for name in FIELDS}
        return pd.DataFrame({**rules, **self.table}).astype({"max_bars": int})

    def to_csv(self) -> str:
        """Return the table as CSV text; an empty cell is off or undefined, numbers read back equal."""
        columns = [*(self.variants.rows[name].tolist() for name in FIELDS)]
        columns += [self.table[name].tolist() for name in COLUMNS]
        names = (*FIELDS, *COLUMNS)
        lines = [",".join(names)]
        for values in zip(*columns, strict=True):
            lines.append(",".join(map(_cell, names, values)))
        return "\n".join(lines) + "\n"

    def top(self, n: int = _TOP, by: str = "sharpe") -> list[dict[str, Any]]:
        """Return the n best variants by a column, best first; those without a value come last.

        Raises
        ------
        ConfigError
            An unknown column, or an n that is not a whole number, 1 or more.
        """
        if by not in self.table:
            raise ConfigError(unknown_name("column", str(by), self.table))
        if not (is_whole(n) and n >= 1):
            raise ConfigError(f"top takes a number of variants, 1 or more, received {said(n)}")
        values = self.table[by]
        order = np.argsort(values if by in LOWER_IS_BETTER else -values, kind="stable")
        return [self.row(int(row)) for row in order[:n]]

    def __repr__(self) -> str:
        head = {
            "symbols": ", ".join(self.symbols),
            "start": self.times[0],
            "end": self.times[1],
            "fill_convention": self.fill_convention,
            "variants": f"{len(self):,}",
        }
        top = self.top()
        lines = ["SweepResult", *_aligned(head), "", f"Top {len(top)} of {len(self):,} by Sharpe ratio"]
        lines += table_lines(top)
        lines += ["", "What the choice is worth", *_aligned(self.overfitting_rows()), f"  {self.verdict}"]
        return "\n".join(lines)

    def overfitting_rows(self) -> dict[str, str]:
        """Return the overfitting statistics as labelled text."""
        found = self.overfitting
        if found is None:
            return {}
        needed = found.minimum_track_record
        length = "never long enough" if math.isinf(needed) else f"{needed:,.0f} bars"
        deflated = {
            f"deflated Sharpe ratio, {found.trials:,} trials": _percent(found.deflated_sharpe),
            f"deflated Sharpe ratio, {found.effective_trials:,.1f} effective": _percent(
                found.deflated_sharpe_effective
            ),
        }
        return {
            **deflated,
            "probability of overfitting (PBO)": _percent(found.pbo),
            "choice loses out of sample": _percent(found.probability_of_loss),
            "minimum track record": f"{length} before any correction; there are {found.bars:,}",
        }


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return variants and their figures as an aligned table, leaving out what is off in all of them."""
    used = [name for name in FIELDS if any(row[name] is not None for row in rows)]
    names = ["row", *used, *_SHOWN]
    body = [[str(row["row"]), *(_text(name, row[name]) for name in names[1:])] for row in rows]
    head = [name.replace("_", " ") for name in names]
    widths = [max(len(line[k]) for line in [head, *body]) for k in range(len(names))]
    return [
        "  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for line in [head, *body]
    ]


def _aligned(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"  {name:<{width}}  {text}" for name, text in rows.items()]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "off"
    if math.isnan(value):
        return "-"
    if name in _WHOLE:
        return f"{value:,.0f}"
    if name in FIELDS:
        return f"{value:g}"
    return f"{value:.2%}" if name in _PERCENT else f"{value:,.2f}"


def _cell(name: str, value: float) -> str:
    if math.isnan(value) or (name == "max_bars" and value == 0):
        return ""
    return f"{value:.0f}" if name in _WHOLE else repr(value)
