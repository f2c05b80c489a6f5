"""The exact classifier: P(SELL, HOLD, BUY) given the bars that an observer has seen."""

from __future__ import annotations

import numpy as np

from simengine.errors import DataError
from simengine.market.chain import Market
from simengine.market.emission import emission_likelihood
from simengine.market.forward import ReturnSpectrum, return_spectrum
from simengine.types import Bars, FloatArray, IntArray


class Oracle:
    """The Bayes-optimal classifier of one market's bars.

    No classifier that sees the same bars has a lower expected log loss, so its scores are the ceiling
    for any model. It reads nothing but the OHLCV columns and the market's parameters.

    Parameters
    ----------
    market : Market
        The market that made the bars.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self._spectra: dict[int, ReturnSpectrum] = {}

    def posterior(self, bars: Bars, ends: IntArray, history: int | None = None) -> FloatArray:
        """Return P(hidden state at each end | bars up to it), by the forward filter.

        Parameters
        ----------
        bars : Bars
            n bars of this market.
        ends : int array, shape (m,)
            Bar rows, in any order.
        history : int, optional
            Number of bars seen, the last of them being the end; before them the chain is in its
            stationary distribution. None, or more bars than there are, means all bars from the first.

        Returns
        -------
        float64 array, shape (m, K)
            Rows sum to one.

        Raises
        ------
        DataError
            If an end is not a row of the bars, ``history`` is below 1, or the bars cannot come from
            this market.
        """
        from simengine.market.kernels import filter_rows, filter_windows

        rows = _checked_ends(bars, ends)
        if history is not None and history < 1:
            raise DataError(f"history must be at least 1 bar or None for all bars, received {history}")
        if len(rows) == 0:
            return np.empty((0, self.market.n_states))
        first = 0 if history is None else max(int(rows.min()) - history + 1, 0)
        likelihood = emission_likelihood(self.market, bars.slice(first, int(rows.max()) + 1))
        chain = (self.market.transition, self.market.stationary, likelihood)
        if history is None:
            order = np.argsort(rows, kind="stable")
            result = np.empty((len(rows), self.market.n_states))
            result[order] = filter_rows(*chain, rows[order])
        else:
            result = filter_windows(*chain, rows - first, history)
        if not np.isfinite(result).all():
            raise DataError(
                f"{bars.symbol}: the bars are impossible under this market; pass bars that it simulated"
            )
        return result

    def class_probabilities(
        self,
        bars: Bars,
        ends: IntArray,
        lower: FloatArray,
        upper: FloatArray,
        horizon_bars: int,
        history: int | None = None,
    ) -> FloatArray:
        """Return the exact P(SELL, HOLD, BUY) of R = log(close[t+H] / close[t]) at each end t.

        SELL is R <= lower, BUY is R > upper, HOLD the rest. The open of a bar is the close of the one
        before, so measuring from the next open gives the same.

        Parameters
        ----------
        bars : Bars
            n bars of this market.
        ends : int array, shape (m,)
            Bar rows t, in any order.
        lower, upper : float64 arrays, shape (m,)
            Log-return thresholds at each end, lower <= upper.
        horizon_bars : int
            H, at least 1.
        history : int, optional
            Bars that the observer sees, as in `posterior`.

        Returns
        -------
        float64 array, shape (m, 3)
            Rows sum to one; entries are exact to about 1e-8 and may be 0.

        Raises
        ------
        DataError
            As `posterior`; also if a threshold is not a number, the lower one exceeds the upper one,
            their number differs from that of the ends, or the horizon is below 1.
        """
        x = _checked_thresholds(bars, ends, lower, upper)
        if horizon_bars < 1:
            raise DataError(f"horizon_bars must be at least 1, received {horizon_bars}")
        rows = np.asarray(ends, dtype=np.int64)
        spectrum = self._spectrum(horizon_bars)
        posterior = self.posterior(bars, rows, history)
        phase = self.market.phase(bars.timestamp[rows])
        below = spectrum.cdf(posterior, phase, x)
        sell = below[:, 0]
        not_buy = np.maximum(below[:, 1], sell)
        return np.stack([sell, not_buy - sell, 1.0 - not_buy], axis=1)

    def _spectrum(self, horizon_bars: int) -> ReturnSpectrum:
        if horizon_bars not in self._spectra:
            self._spectra[horizon_bars] = return_spectrum(self.market, horizon_bars)
        return self._spectra[horizon_bars]


def _checked_ends(bars: Bars, ends: IntArray) -> IntArray:
    rows = np.asarray(ends, dtype=np.int64)
    outside = (rows < 0) | (rows >= len(bars))
    if outside.any():
        raise DataError(
            f"{bars.symbol}: ends must be bar rows 0 to {len(bars) - 1}, received {rows[np.argmax(outside)]}"
        )
    return rows


def _checked_thresholds(bars: Bars, ends: IntArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    if not len(ends) == len(lower) == len(upper):
        raise DataError(
            f"{bars.symbol}: one lower and one upper threshold per end, received {len(lower)} and "
            f"{len(upper)} for {len(ends)} ends"
        )
    x = np.stack([np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)], axis=1)
    wrong = ~(x[:, 0] <= x[:, 1])
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{bars.symbol}: thresholds must be numbers with lower <= upper, received {x[row, 0]:.6g} and "
            f"{x[row, 1]:.6g} at bar {ends[row]}"
        )
    return x
