"""The sweep: many variants of one symbol at once.

Bars outside, variants inside: a block of `WIDTH` variants is one flat array with a constant distance
between its fields, so that the compiler turns the inner loops into vector instructions. In most bars
no variant of a block trades. Bounds over the block tell so with a few comparisons, and then only the
statistics move on. The accounting itself is `step`, the same as everywhere, with everything rare
switched off; a variant to which something rare happens is marked `UNSURE`, and is to be run alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.booking import idle
from simengine.backtest.kernel.compiling import borrowed, compiled
from simengine.backtest.kernel.layout import TRADING, Account, Bar, Market, Position, Rules
from simengine.backtest.kernel.step import step
from simengine.backtest.kernel.sums import Sums, add_bar

WIDTH = 32

# Fields of a block, each `WIDTH` numbers. First the account ...
A_CASH = 0 * WIDTH
A_TARGET = 1 * WIDTH
A_UNITS = 2 * WIDTH
A_STOP = 3 * WIDTH
A_GOAL = 4 * WIDTH
A_FLOW = 5 * WIDTH
A_TRADED = 6 * WIDTH
A_CLOSED = 7 * WIDTH
A_WINS = 8 * WIDTH
A_STATUS = 9 * WIDTH
# ... then its statistics ...
S_LAST = 10 * WIDTH
S_INVERSE = 11 * WIDTH
S_R1 = 12 * WIDTH
S_R2 = 13 * WIDTH
S_DOWN = 14 * WIDTH
S_PEAK = 15 * WIDTH
S_TROUGH = 16 * WIDTH
S_SUMMIT = 17 * WIDTH
S_EXPOSURE = 18 * WIDTH
S_EQUITY = 19 * WIDTH
# ... then the variant.
V_THRESHOLD = 20 * WIDTH
V_STOP_LOSS = 21 * WIDTH
V_TAKE_PROFIT = 22 * WIDTH
FIELDS = 23

SLACK = 1e-9
"""Bounds are drawn this much tighter than they are: a step too many changes nothing, one missed does."""


def new_state(
    cash: float, thresholds: NDArray[np.float64], stops: NDArray[np.float64], goals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the fields of a block of at most `WIDTH` variants; what is over repeats the last one."""
    state = np.zeros((FIELDS, WIDTH))
    for field in (A_CASH, S_LAST, S_PEAK, S_EQUITY):
        state[field // WIDTH] = cash
    state[A_STOP // WIDTH], state[A_GOAL // WIDTH] = -np.inf, np.inf
    state[S_INVERSE // WIDTH] = 1.0 / cash
    state[S_TROUGH // WIDTH] = state[S_SUMMIT // WIDTH] = 1.0
    for field, values in ((V_THRESHOLD, thresholds), (V_STOP_LOSS, stops), (V_TAKE_PROFIT, goals)):
        state[field // WIDTH] = np.concatenate([values, np.repeat(values[-1:], WIDTH - len(values))])
    return state.ravel()


@compiled
def add_close(k: int, cash: float, value: float, st: NDArray[np.float64]) -> None:
    """Add one close of variant k to its statistics."""
    now = cash + value
    s = add_bar(
        0,
        st[S_LAST + k],
        now,
        abs(value),
        Sums(
            inverse=st[S_INVERSE + k],
            r1=st[S_R1 + k],
            r2=st[S_R2 + k],
            r3=0.0,
            r4=0.0,
            downside=st[S_DOWN + k],
            peak=st[S_PEAK + k],
            trough=st[S_TROUGH + k],
            summit=st[S_SUMMIT + k],
            exposure=st[S_EXPOSURE + k],
            equity=st[S_EQUITY + k],
            invested=0,
            peak_bar=0,
            longest=0,
        ),
    )
    st[S_LAST + k] = now
    st[S_INVERSE + k] = s.inverse
    st[S_R1 + k] = s.r1
    st[S_R2 + k] = s.r2
    st[S_DOWN + k] = s.downside
    st[S_PEAK + k] = s.peak
    st[S_TROUGH + k] = s.trough
    st[S_SUMMIT + k] = s.summit
    st[S_EXPOSURE + k] = s.exposure
    st[S_EQUITY + k] = s.equity


@compiled
def bounds_of(
    by_side: bool, maintenance: float, st: NDArray[np.float64], w: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return the prices and probabilities within which no variant of the block acts.

    (low, high, buy, sell): a bar between low and high touches no stop, goal or liquidation; a
    probability up to buy (sell) is an order to buy (sell) for no variant. ``by_side``: a variant that
    holds a side has no order for it; otherwise, one that has last been told so.
    """
    for k in range(WIDTH):
        units = st[A_UNITS + k]
        # Where the account would be liquidated.
        long = units > 0.0
        edge = -st[A_CASH + k] / (units * (1.0 - maintenance if long else 1.0 + maintenance))
        stop = st[A_STOP + k]
        goal = st[A_GOAL + k]
        below = -np.inf
        above = np.inf
        if long:
            below = stop if stop > edge else edge
            above = goal
        if units < 0.0:
            below = -goal
            above = -stop if -stop < edge else edge
        side = units if by_side else st[A_TARGET + k]
        threshold = st[V_THRESHOLD + k]
        w[k] = below
        w[WIDTH + k] = -above
        w[2 * WIDTH + k] = -np.inf if side > 0.0 else -threshold
        w[3 * WIDTH + k] = -np.inf if side < 0.0 else -threshold
    half = WIDTH // 2
    while half > 0:
        for q in range(4):
            for k in range(half):
                a = w[q * WIDTH + k]
                b = w[q * WIDTH + half + k]
                w[q * WIDTH + k] = a if a > b else b
        half //= 2
    return w[0] * (1.0 + SLACK), -w[WIDTH] * (1.0 - SLACK), -w[2 * WIDTH], -w[3 * WIDTH]


@cache
def block_driver(convention: int, unit: int, by_side: bool) -> Callable[..., Any]:
    """Return the compiled driver of a block for one kind of rules.

    They are constants to the compiler. ``by_side``: orders on every bar instead of on a changed target.
    """
    band = 0.0 if by_side else np.nan

    def run(
        edges: NDArray[np.int64],
        market: Market,
        sell: NDArray[np.float64],
        buy: NDArray[np.float64],
        rules: Rules,
        state: NDArray[np.float64],
        sums: NDArray[np.float64],
        squares: NDArray[np.float64],
    ) -> None:
        """Carry a block of variants through all bars.

        ``sums`` and ``squares``, shape (parts, WIDTH), take those of the returns from ``edges[p]`` up to
        ``edges[p + 1]``.
        """
        st = borrowed(state)
        w = np.empty(4 * WIDTH)
        opens = borrowed(market.open)
        highs = borrowed(market.high)
        lows = borrowed(market.low)
        closes = borrowed(market.close)
        p_buy = borrowed(buy)
        p_sell = borrowed(sell)
        fees = borrowed(rules.fees)
        low, high, buys, sells = bounds_of(by_side, rules.maintenance, st, w)
        for p in range(len(edges) - 1):
            for i in range(edges[p] + 1, edges[p + 1] + 1):
                b = p_buy[i - 1]
                a = p_sell[i - 1]
                side = 1.0 if b >= a else -1.0
                top = b if b >= a else a
                c = closes[i]
                if lows[i] > low and highs[i] < high and not top > (buys if side > 0.0 else sells):
                    for k in range(WIDTH):
                        add_close(k, st[A_CASH + k], st[A_UNITS + k] * c, st)
                    continue
                bar = Bar(0, opens[i], highs[i], lows[i], c, 0.0, 0.0, 0.0, 0.0)
                for k in range(WIDTH):
                    own = Rules(
                        size=rules.size,
                        unit=unit,
                        fees=fees,
                        fee=rules.fee,
                        tiered=False,
                        fixed_fee=0.0,
                        minimum_fee=0.0,
                        slippage=rules.slippage,
                        stop_share=rules.stop_share,
                        impact=0.0,
                        cap=np.inf,
                        carry=False,
                        stop_loss=st[V_STOP_LOSS + k],
                        take_profit=st[V_TAKE_PROFIT + k],
                        trailing=np.inf,
                        max_bars=0,
                        margin=rules.margin,
                        maintenance=rules.maintenance,
                        liquidation_fee=0.0,
                        financed=False,
                        borrow=0.0,
                        tick=0.0,
                        lot=0.0,
                        minimum=0.0,
                        rounds=False,
                        offset=np.nan,
                        limit_bars=1,
                        band=band,
                        convention=convention,
                        resizes=False,
                        straight=True,
                        watches=True,
                    )
                    account = Account(
                        st[A_CASH + k],
                        np.nan if by_side else st[A_TARGET + k],
                        TRADING,
                        np.inf,
                        st[A_TRADED + k],
                        st[A_CLOSED + k],
                        st[A_WINS + k],
                        Position(
                            st[A_UNITS + k], 0.0, st[A_STOP + k], st[A_GOAL + k], 0.0, 0.0, st[A_FLOW + k], -1
                        ),
                        idle(),
                    )
                    stated = side if top > st[V_THRESHOLD + k] else np.nan
                    account = step(1, stated, bar, own, account, None, None, None)
                    held = account.position
                    st[A_CASH + k] = account.cash
                    if not by_side:
                        st[A_TARGET + k] = account.target
                    st[A_UNITS + k] = held.units
                    st[A_STOP + k] = held.stop
                    st[A_GOAL + k] = held.goal
                    st[A_FLOW + k] = held.flow
                    st[A_TRADED + k] = account.traded
                    st[A_CLOSED + k] = account.closed
                    st[A_WINS + k] = account.wins
                    st[A_STATUS + k] += account.status
                    add_close(k, account.cash, held.units * c, st)
                low, high, buys, sells = bounds_of(by_side, rules.maintenance, st, w)

            for k in range(WIDTH):
                sums[p, k] = st[S_R1 + k]
                squares[p, k] = st[S_R2 + k]
                st[S_R1 + k] = 0.0
                st[S_R2 + k] = 0.0

    return compiled(run)
