"""One Sharpe ratio against luck: correction for the number of trials, and the record that it takes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.stats import probabilistic_sharpe
from simengine.errors import ConfigError

_NORMAL = NormalDist()


def expected_maximum_sharpe(trial_sharpes: ArrayLike, trials: float) -> float:
    """Return the Sharpe ratio that the best of N skilless trials is expected to show.

    sqrt(V) ((1 - g) z(1 - 1/N) + g z(1 - 1/(N e))) with the variance V of the trials' Sharpe ratios, the
    normal quantile z and Euler's g: Bailey and Lopez de Prado (2014).

    Parameters
    ----------
    trial_sharpes : array_like, shape (K,)
        Per bar; NaN (a variant that never trades) is left out of V.
    trials : float
        N. The approximation is for large N; it never counts as less than 0, which one trial gives.
    """
    if math.isnan(trials):
        return math.nan
    if trials <= 1:
        return 0.0
    values = np.asarray(trial_sharpes, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    tail = (1 - np.euler_gamma) * _NORMAL.inv_cdf(1 - 1 / trials)
    tail += np.euler_gamma * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return float(values.std(ddof=1) * max(0.0, tail))


def deflated_sharpe(
    sharpe: float, n: int, skewness: float, kurtosis: float, trial_sharpes: ArrayLike, trials: float
) -> float:
    """Return the probability that the true Sharpe ratio of the best trial is above 0.

    The probabilistic Sharpe ratio against the one that the best of as many skilless trials would show:
    Bailey and Lopez de Prado, "The deflated Sharpe ratio: correcting for selection bias, backtest
    overfitting and non-normality" (2014).

    Parameters
    ----------
    sharpe : float
        Of the best trial, per bar, not annualised.
    n : int
        Number of returns.
    skewness, kurtosis : float
        Of the best trial's returns; a normal law has 0 and 3.
    trial_sharpes : array_like, shape (K,)
        Of all trials, per bar; NaN is left out of their variance.
    trials : float
        Number of trials: all that were tried, or their effective number.
    """
    benchmark = expected_maximum_sharpe(trial_sharpes, trials)
    return probabilistic_sharpe(sharpe, n, skewness, kurtosis, benchmark)


def minimum_track_record_length(
    sharpe: float, skewness: float, kurtosis: float, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return how many returns it takes to be confident that a Sharpe ratio is above the benchmark.

    1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2, Bailey and Lopez de Prado, "The Sharpe ratio
    efficient frontier" (2012).

    Parameters
    ----------
    sharpe, benchmark : float
        Per bar, not annualised.
    skewness, kurtosis : float
        Of the returns; a normal law has 0 and 3.
    confidence : float
        Between 0.5 and 1, both excluded.

    Returns
    -------
    float
        In bars; infinite when the Sharpe ratio is not above the benchmark.
    """
    if not 0.5 < confidence < 1:
        raise ConfigError(f"confidence must lie between 0.5 and 1; received {confidence!r}")
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if math.isnan(benchmark) or not variance > 0:
        return math.nan
    if sharpe <= benchmark:
        return math.inf
    return 1 + variance * (_NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2
