"""The same case in other engines, each in its own fill convention, and their results in one form.

vectorbt and backtesting.py come with ``pip install '.[bench]'``; they are imported when called. Their
own warnings, which would say nothing about the figures, are ignored here.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from random_market import as_side

from simengine.backtest import backtest
from simengine.types import Bars

BPS = 1e-4

TRADE = np.dtype(
    [
        ("entry_bar", np.int64),
        ("exit_bar", np.int64),
        ("side", np.int64),
        ("units", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("pnl", np.float64),
    ]
)


class Terms(NamedTuple):
    """One unit per trade; stops are fractions of the entry fill price, None switches them off."""

    cash: float = 1e6
    fee_bps: float = 10.0
    slippage_bps: float = 5.0
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None


class Outcome(NamedTuple):
    """Equity at the close of each bar, shape (n,), and the closed trades (dtype `TRADE`)."""

    equity: NDArray[np.float64]
    trades: NDArray[np.void]


class Difference(NamedTuple):
    """The largest relative difference of equity, and how many trades differ in any field."""

    equity: float
    trades: int


def compare(one: Outcome, other: Outcome, tolerance: float = 1e-9) -> Difference:
    """Compare equity at every bar and trade by trade; a profit is measured against its notional."""
    equity = float(np.max(np.abs(one.equity / other.equity - 1)))
    common = min(len(one.trades), len(other.trades))
    a, b = one.trades[:common], other.trades[:common]
    differs = np.zeros(common, dtype=bool)
    for name in ("entry_bar", "exit_bar", "side"):
        differs |= a[name] != b[name]
    for name in ("units", "entry_price", "exit_price"):
        differs |= ~(np.abs(a[name] - b[name]) <= tolerance * np.abs(b[name]))
    notional = b["units"] * b["entry_price"]
    differs |= ~(np.abs(a["pnl"] - b["pnl"]) <= tolerance * notional)
    return Difference(equity, int(differs.sum()) + abs(len(one.trades) - len(other.trades)))


def as_trades(**columns: Any) -> NDArray[np.void]:
    trades = np.empty(len(columns["pnl"]), TRADE)
    for name in TRADE.names or ():
        trades[name] = columns[name]
    return trades


def call_ours(
    bars: Bars, signals: NDArray[np.int8], terms: Terms, fill_convention: str, **options: Any
) -> Any:
    """Return the `BacktestResult` of one unit per trade: an order wherever the position differs.

    ``options`` replace those of the terms.
    """
    return backtest(
        bars,
        signals=signals,
        size=1.0,
        size_unit="units",
        rebalance="every_bar",
        fill_convention=fill_convention,
        **terms._asdict() | options,
    )


def read(result: Any) -> Outcome:
    """Return a `BacktestResult` in the common form."""
    return Outcome(result.equity, as_trades(**{name: result.trades[name] for name in TRADE.names or ()}))


def ours(
    bars: Bars, signals: NDArray[np.int8], terms: Terms, fill_convention: str, **options: Any
) -> Outcome:
    return read(call_ours(bars, signals, terms, fill_convention, **options))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings and progress bars."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def import_peer(name: str) -> Any:
    """Import ``vectorbt`` or ``backtesting``; None when it is not installed."""
    import importlib

    with quiet():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            return None


def _next_bar(values: NDArray[Any]) -> NDArray[Any]:
    """Move decisions to the bar that fills them."""
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])


def call_vectorbt(bars: Bars, signals: NDArray[np.int8], terms: Terms, **options: Any) -> Any:
    """Return vectorbt's Portfolio in its compiled engine: orders at the open, ``stop_first_drop``.

    ``options`` replace those made of signals and terms.
    """
    import pandas as pd
    import vectorbt

    side = _next_bar(as_side(signals))
    index = pd.DatetimeIndex(bars.timestamp.view("M8[ns]"))
    stops = {"sl_stop": terms.stop_loss, "tp_stop": terms.take_profit}
    if terms.trailing_stop is not None:
        stops |= {"sl_stop": terms.trailing_stop, "sl_trail": True}
    given = {name: value for name, value in stops.items() if value is not None}
    if given:
        given |= {"stop_entry_price": "fillprice", "stop_exit_price": "stopmarket"}
    with quiet():
        return vectorbt.Portfolio.from_signals(
            close=pd.Series(bars.close, index=index),
            open=bars.open,
            high=bars.high,
            low=bars.low,
            price=bars.open,
            init_cash=terms.cash,
            engine="rust",
            freq="1min",
            **{
                "entries": pd.Series(side == 1, index=index),
                "short_entries": pd.Series(side == -1, index=index),
                "upon_opposite_entry": "reverse",
                "size": 1.0,
                "fees": terms.fee_bps * BPS,
                "slippage": terms.slippage_bps * BPS,
            }
            | given
            | options,
        )


def call_vectorbt_shared(bars: list[Bars], side: NDArray[np.int8], terms: Terms) -> Any:
    """Return vectorbt's Portfolio of several symbols on one cash account; ``side`` is (n, symbols)."""
    import pandas as pd
    import vectorbt

    index = pd.DatetimeIndex(bars[0].timestamp.view("M8[ns]"))
    filled = _next_bar(side)
    o, h, l, c = (  # noqa: E741
        np.stack([getattr(b, name) for b in bars], axis=1) for name in ("open", "high", "low", "close")
    )
    with quiet():
        return vectorbt.Portfolio.from_signals(
            close=pd.DataFrame(c, index=index),
            open=o,
            high=h,
            low=l,
            price=o,
            entries=filled == 1,
            short_entries=filled == -1,
            upon_opposite_entry="reverse",
            size=1.0,
            fees=terms.fee_bps * BPS,
            slippage=terms.slippage_bps * BPS,
            init_cash=terms.cash,
            sl_stop=terms.stop_loss,
            tp_stop=terms.take_profit,
            stop_entry_price="fillprice",
            stop_exit_price="stopmarket",
            group_by=True,
            cash_sharing=True,
            engine="rust",
            freq="1min",
        )


def read_vectorbt(portfolio: Any) -> Outcome:
    """Return vectorbt's Portfolio in the common form."""
    with quiet():
        equity = portfolio.value().to_numpy()
        records = portfolio.trades.values
    closed = records[records["status"] == 1]
    trades = as_trades(
        entry_bar=closed["entry_idx"],
        exit_bar=closed["exit_idx"],
        side=np.where(closed["direction"] == 0, 1, -1),
        units=closed["size"],
        entry_price=closed["entry_price"],
        exit_price=closed["exit_price"],
        pnl=closed["pnl"],
    )
    return Outcome(equity, trades)


def vectorbt(bars: Bars, signals: NDArray[np.int8], terms: Terms, **options: Any) -> Outcome:
    return read_vectorbt(call_vectorbt(bars, signals, terms, **options))


def vectorbt_targets(bars: Bars, targets: NDArray[np.float64], cash: float) -> NDArray[np.float64]:
    """Return the equity of target exposures in vectorbt, without costs; NaN is no order."""
    import pandas as pd
    import vectorbt

    index = pd.DatetimeIndex(bars.timestamp.view("M8[ns]"))
    with quiet():
        portfolio = vectorbt.Portfolio.from_orders(
            pd.Series(bars.close, index=index),
            size=np.concatenate([[np.nan], targets[:-1]]),
            size_type="targetpercent",
            price=bars.open,
            init_cash=cash,
            engine="rust",
            freq="1min",
        )
        return portfolio.value().to_numpy()


def six_metrics(portfolio: Any) -> tuple[float, ...]:
    """What a user of vectorbt reads first."""
    with quiet():
        trades = portfolio.trades
        return (
            float(portfolio.final_value()),
            float(portfolio.total_return()),
            float(portfolio.max_drawdown()),
            float(portfolio.sharpe_ratio()),
            float(trades.count()),
            float(trades.win_rate()),
        )


def make_backtesting(
    bars: Bars, signals: NDArray[np.int8], terms: Terms, commission: float | tuple[float, float] | None = None
) -> Any:
    """Return a backtesting.py Backtest whose ``run()`` simulates the case, ``open_first_skip_entry``.

    Its spread moves entries only, so only terms without slippage can be compared. A stop is measured
    from the fill price, which a strategy knows in the bar after the order: that is why the convention
    has no stops in the entry bar. ``commission`` (or fixed and relative) replaces that of the terms.
    """
    if terms.slippage_bps or terms.trailing_stop is not None:
        raise ValueError("backtesting.py has no slippage on exits and no trailing stop of this kind")
    import backtesting
    import pandas as pd

    side = as_side(signals).tolist()
    stop_loss, take_profit = terms.stop_loss, terms.take_profit

    class FollowSignals(backtesting.Strategy):
        def init(self):
            pass

        def next(self):
            row = len(self.data) - 1
            for trade in self.trades:
                if trade.entry_bar == row:
                    sign = 1 if trade.is_long else -1
                    if stop_loss is not None:
                        trade.sl = trade.entry_price * (1 - stop_loss * sign)
                    if take_profit is not None:
                        trade.tp = trade.entry_price * (1 + take_profit * sign)
            wanted = side[row]
            held = self.position.size
            if wanted == 0 or wanted * held > 0:
                return
            if held:
                self.position.close()
            if wanted > 0:
                self.buy(size=1)
            else:
                self.sell(size=1)

    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame(
        {name.title(): getattr(bars, name) for name in names},
        index=pd.DatetimeIndex(bars.timestamp.view("M8[ns]")),
    )
    with quiet():
        return backtesting.Backtest(
            frame,
            FollowSignals,
            cash=terms.cash,
            commission=terms.fee_bps * BPS if commission is None else commission,
            spread=0.0,
            finalize_trades=False,
        )


def read_backtesting(stats: Any) -> Outcome:
    """Return what backtesting.py's ``run()`` returned in the common form."""
    table = stats["_trades"].sort_values("ExitBar", kind="stable")
    trades = as_trades(
        entry_bar=table["EntryBar"],
        exit_bar=table["ExitBar"],
        side=np.sign(table["Size"]),
        units=np.abs(table["Size"]),
        entry_price=table["EntryPrice"],
        exit_price=table["ExitPrice"],
        pnl=table["PnL"],
    )
    return Outcome(stats["_equity_curve"]["Equity"].to_numpy(), trades)


def backtesting_py(bars: Bars, signals: NDArray[np.int8], terms: Terms, **options: Any) -> Outcome:
    test = make_backtesting(bars, signals, terms, **options)
    with quiet():
        return read_backtesting(test.run())


def bare(bars: Bars, signals: NDArray[np.int8], terms: Terms, fill_convention: str) -> Outcome:
    """Return the outcome of the bare loop."""
    import bare_loops

    equity = np.empty(len(bars))
    rows = np.empty((len(bars) + 1, len(bare_loops.TRADE_COLUMNS)))
    convention = bare_loops.CONVENTIONS.index(fill_convention)
    k = bare_loops.run_into(as_prices(bars), as_side(signals), as_plan(terms), convention, equity, rows)
    columns = dict(zip(bare_loops.TRADE_COLUMNS, rows[:k].T, strict=True))
    side = np.sign(columns["units"])
    return Outcome(equity, as_trades(**columns | {"side": side, "units": np.abs(columns["units"])}))


def as_prices(bars: Bars) -> Any:
    import bare_loops

    return bare_loops.Prices(bars.open, bars.high, bars.low, bars.close)


def as_plan(terms: Terms) -> Any:
    import bare_loops

    return bare_loops.Plan(
        cash=terms.cash,
        size=1.0,
        fee=terms.fee_bps * BPS,
        slippage=terms.slippage_bps * BPS,
        stop_loss=np.nan if terms.stop_loss is None else terms.stop_loss,
        take_profit=np.nan if terms.take_profit is None else terms.take_profit,
    )
