"""`hysteresis`: a signal is entered by a clear lead and left by a clear loss, so that it flips less."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import ConfigError, DataError
from simengine.evaluate.classification import class_shares
from simengine.evaluate.prior_matching import TOLERANCE
from simengine.log import event, get_logger
from simengine.types import DecisionContext, FloatArray, IntArray, LabelArray, Signal
from simengine_plugins.decisions.fitting import check_target, match_shares

_FLIPS = 0.5
_WIDTHS = 200  # half-widths tried: quantiles of the margins of the validation rows

logger = get_logger("simengine.decisions.hysteresis")


class Hysteresis:
    """Enter BUY or SELL when it leads by ``enter``, leave it when its lead falls below ``exit``.

    The margin of a class is its score less the best other score, a log-odds in nats; scores are
    ``log p_c + o_c`` with the offsets of `prior_matched`, so that a weak signal is not drowned by the
    class prior. Bar by bar within a symbol, beginning with HOLD:

    - a class other than HOLD whose margin is above ``enter`` is the signal;
    - otherwise the last signal stays as long as its own margin is at least ``exit``;
    - otherwise HOLD.

    It is a Schmitt trigger (Schmitt, 1938). With ``enter = exit = 0`` it would be `prior_matched`. A bar at
    which two classes are nearly equal no longer turns the position, which saves costs and acts later. By
    default the width w of ``enter = w, exit = -w`` is the smallest for which the signal changes at most
    ``flips`` times as often as that of `prior_matched` on the validation rows. The class shares are no longer
    matched: ``reached_share_`` says what they became.

    A signal depends on the bars before it, never on later ones or on other symbols. Every segment begins
    anew with HOLD: the last signal of val is not carried into test. Bars without a row (holes, warm-up) keep
    the signal. To score bar by bar, give all bars of the symbol so far and take the last signal
    (docs/streaming.md).

    Parameters
    ----------
    flips : float, optional
        Largest number of changes of signal on validation rows, as a fraction of those without hysteresis;
        null: 0.5, unless ``enter`` and ``exit`` are given.
    enter, exit : float, optional
        Both margins, in nats, instead of ``flips``: 0.1 is odds of 1.105 to 1. ``enter`` is 0 or more,
        ``exit`` below it.
    target : PerClass, optional
        Shares that the offsets are made for; null: those of the validation labels.

    Attributes
    ----------
    offsets_ : float64 array, shape (3,)
        Of SELL, HOLD, BUY, in nats; sum 0.
    enter_, exit_ : float
        Margins, nats.
    flips_ : float64 array, shape (2,)
        Changes of signal per row on validation rows, without and with hysteresis.
    reached_share_ : float64 array, shape (3,)
        Shares decided on the validation rows.

    Examples
    --------
    With enter 0.2 and exit -0.1 the margins of BUY 0.1, 0.3, 0.0, -0.05, -0.15, 0.1 give HOLD, BUY, BUY,
    BUY, HOLD, HOLD.
    """

    fitted_on_val = True

    offsets_: FloatArray
    enter_: float
    exit_: float
    flips_: FloatArray
    reached_share_: FloatArray

    def __init__(
        self,
        *,
        flips: Annotated[
            float | None,
            Field(gt=0, lt=1, description="changes of signal, fraction of those without; null: 0.5"),
        ] = None,
        enter: Annotated[
            float | None, Field(ge=0, description="lead that enters BUY or SELL, nats; null: from flips")
        ] = None,
        exit: Annotated[
            float | None, Field(description="lead below which it is left, nats; null: from flips")
        ] = None,
        target: Annotated[
            PerClass | None, Field(description="shares of the offsets; null = validation label shares")
        ] = None,
    ) -> None:
        if (enter is None) != (exit is None):
            raise ValueError(f"enter and exit: give both or neither, received enter={enter}, exit={exit}")
        if enter is not None and exit is not None and not exit < enter:
            raise ValueError(f"exit: expected less than enter ({enter}), received {exit}")
        if enter is not None and flips is not None:
            raise ValueError(f"flips: not used when enter and exit are given, received {flips}; leave it out")
        check_target(target)
        self.flips, self.enter, self.exit, self.target = flips, enter, exit, target

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> Hysteresis:
        """Find offsets and margins on calibrated validation scores (n, 3) and labels (n,).

        Raises
        ------
        ConfigError
            If ``context`` does not say when and of which symbol the rows are.
        DataError
            If a class is to get less than one row.
        """
        if context.groups is None or context.timestamp is None:
            raise ConfigError(
                "decision hysteresis: needs symbol and time of the validation rows (context.groups, "
                "context.timestamp), received none; use it in a run, or another decision"
            )
        self.offsets_ = match_shares("hysteresis", log_proba, labels, self.target, TOLERANCE).offsets
        order = _Order(context.groups, context.timestamp)
        margins = _margins(log_proba + self.offsets_)[order.rows]
        before = order.flips(_run(margins, order.starts, 0.0, 0.0))
        if self.enter is not None and self.exit is not None:
            self.enter_, self.exit_ = self.enter, self.exit
        else:
            width = _width(margins, order, (self.flips or _FLIPS) * before)
            self.enter_, self.exit_ = width, -width
        signals = _run(margins, order.starts, self.enter_, self.exit_)
        after = order.flips(signals)
        self.flips_ = np.array([before, after]) / len(labels)
        self.reached_share_ = class_shares(signals)
        event(
            logger,
            "hysteresis",
            f"decision hysteresis: enter {self.enter_:.4f}, exit {self.exit_:.4f}; the signal of val changes "
            f"{after:,} times instead of {before:,} (in-sample)",
            enter=self.enter_,
            exit=self.exit_,
            flips=[before, after],
        )
        return self

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Refuse rows of which nobody says when and of which symbol they are.

        Raises
        ------
        ConfigError
            Always: use `decide_series`.
        """
        raise ConfigError(
            "decision hysteresis: a signal depends on the bars before it; use decide_series with the symbol "
            "and the time of each row"
        )

    def decide_series(self, log_proba: FloatArray, groups: IntArray, timestamp: IntArray) -> LabelArray:
        """Return signals (n,) of scores (n, 3), in the order of time within each symbol.

        Parameters
        ----------
        log_proba : float64 array, shape (n, 3)
            In any order.
        groups : integer array, shape (n,)
            Symbol index of each row.
        timestamp : int64 array, shape (n,)
            Of each row, distinct within a symbol.

        Raises
        ------
        DataError
            If a symbol has two rows of one time.
        """
        if not hasattr(self, "enter_"):
            raise DataError("decision hysteresis: decide_series was called before fit")
        order = _Order(groups, timestamp)
        margins = _margins(log_proba + self.offsets_)[order.rows]
        signals = np.empty(len(log_proba), np.int8)
        signals[order.rows] = _run(margins, order.starts, self.enter_, self.exit_)
        return signals


class _Order:
    """Rows sorted by symbol, then by time."""

    def __init__(self, groups: IntArray, timestamp: IntArray) -> None:
        self.rows = np.lexsort((timestamp, groups))
        group, time = np.asarray(groups)[self.rows], np.asarray(timestamp)[self.rows]
        new = np.append(True, group[1:] != group[:-1])
        again = np.flatnonzero(~new[1:] & (time[1:] == time[:-1]))
        if len(again):
            raise DataError(
                f"decision hysteresis: rows {self.rows[again[0]]} and {self.rows[again[0] + 1]} are of the "
                "same symbol and time; give each bar once"
            )
        self.starts = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        """First sorted row of the symbol of each sorted row."""
        self._inner = ~new[1:]

    def flips(self, signals: LabelArray) -> int:
        """Return how often sorted signals change within a symbol."""
        return int(np.count_nonzero((signals[1:] != signals[:-1]) & self._inner))


def _margins(scores: FloatArray) -> FloatArray:
    """Return by how much SELL and BUY lead the best other class, (n, 2)."""
    sell, hold, buy = scores.T
    return np.stack([sell - np.maximum(hold, buy), buy - np.maximum(sell, hold)], axis=1)


def _run(margins: FloatArray, starts: IntArray, enter: float, exit_: float) -> LabelArray:
    """Return the signals of sorted margins (n, 2) of SELL and BUY.

    A signal is the class entered last, unless its own margin fell below ``exit_`` since. Both are the last
    event of their kind up to a row, so that no loop over rows is needed.
    """
    rows = np.arange(len(margins))
    entered = margins > enter  # never both: with enter >= 0 only the leading class can
    last = np.maximum.accumulate(np.where(entered.any(axis=1), rows, -1))
    signals = np.full(len(margins), Signal.HOLD, np.int8)
    for column, side in enumerate((Signal.SELL, Signal.BUY)):
        broken = np.maximum.accumulate(np.where(margins[:, column] < exit_, rows, -1))
        held = (last >= starts) & entered[last, column] & (broken <= last)
        signals[held] = side
    return signals


def _width(margins: FloatArray, order: _Order, most: float) -> float:
    """Return the smallest half-width tried under which the signals change at most ``most`` times."""
    tried = np.unique(np.quantile(np.abs(margins), np.linspace(0, 1, _WIDTHS)))
    for width in tried[tried > 0]:
        if order.flips(_run(margins, order.starts, float(width), -float(width))) <= most:
            return float(width)
    return float(tried[-1]) + 1.0  # wider than every margin: nothing is ever entered


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("hysteresis", Hysteresis)]
