"""Whether labels can be learnt and traded: a quick classifier on an inner split of train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simengine.backtest import backtest
from simengine.data.gaps import find_holes
from simengine.data.label_search import LabelSearch
from simengine.data.split import purge_bars
from simengine.data.volatility import ewm_volatility
from simengine.seed import integer
from simengine.types import N_CLASSES, Bars, FloatArray, LabelArray, Signal
from simengine_plugins.threshold_optimizers.counting import within

Classifier = Annotated[
    Literal["logistic", "gradient_boosting"],
    Field(description="the quick classifier of skill_weight and pnl_weight"),
]
FeeBps = Annotated[
    float | None, Field(ge=0, description="fee of the net return, on notional; null: as in backtest.fees")
]
SlippageBps = Annotated[
    float | None, Field(ge=0, description="slippage of the net return; null: as in backtest.slippage")
]

INNER_TRAIN = 0.7
MAX_ROWS = 20_000
LAGS = (1, 2, 4, 8, 16, 32)
_FLOOR = 1e-7


def proxy_features(bars: Bars) -> FloatArray:
    """Return a few causal features of each bar, (n, 9) float64.

    Log returns over 1 to 32 bars in units of vol_t sqrt(bars), ln(vol_t / its mean over 200 bars), the place
    of the close in the bar's range, and ln(volume / its mean over 48 bars); NaN before all bars are there.
    """
    import pandas as pd

    close, n = np.log(bars.close), len(bars)
    volatility = ewm_volatility(bars.close)
    unit = np.where(volatility > 0, volatility, np.nan)
    columns = []
    for lag in LAGS:
        column = np.full(n, np.nan)
        column[lag:] = close[lag:] - close[: max(0, n - lag)]
        columns.append(column / (unit * np.sqrt(lag)))
    columns.append(np.log(unit / pd.Series(unit).rolling(200).mean().to_numpy()))
    spread = bars.high - bars.low
    inside = (bars.close - bars.low) / np.where(spread > 0, spread, 1.0)
    columns.append(np.where(spread > 0, inside, 0.5))
    usual = pd.Series(bars.volume).rolling(48).mean().to_numpy()
    columns.append(np.log1p(bars.volume / np.where(usual > 0, usual, np.nan)))
    return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class _Rows:
    """One symbol: its features, and the rows of the inner train (before purging) and inner val."""

    bars: Bars
    features: FloatArray
    usable: np.ndarray[Any, np.dtype[np.bool_]]
    border: int


class Proxy:
    """A multinomial logistic regression, or boosted trees, on nine features of a window's last bar.

    Parameters
    ----------
    task : LabelSearch
        Whose bars are split again: the first 70 % of the span before the end of train is the inner train.
    classifier : {"logistic", "gradient_boosting"}
        Both of scikit-learn.
    fee_bps, slippage_bps : float, optional
        Of the net return; None: those of the task.
    """

    def __init__(
        self,
        task: LabelSearch,
        classifier: str,
        fee_bps: float | None = None,
        slippage_bps: float | None = None,
    ) -> None:
        self.task = task
        self.classifier = classifier
        self.fee_bps = task.fee_bps if fee_bps is None else fee_bps
        self.slippage_bps = task.slippage_bps if slippage_bps is None else slippage_bps
        start = min(int(bars.timestamp[0]) for bars in task.bars.values())
        self.border = start + round(INNER_TRAIN * (task.train_end - start))
        self.rows = [self._prepared(bars) for bars in task.bars.values()]

    def _prepared(self, bars: Bars) -> _Rows:
        features = proxy_features(bars)
        full = np.arange(len(bars)) >= self.task.window - 1
        usable = np.isfinite(features).all(axis=1) & full
        border = int(np.searchsorted(bars.timestamp, self.border, side="left"))
        return _Rows(bars, features, usable, border)

    def judge(self, changed: Mapping[str, Any]) -> tuple[float, float]:
        """Return skill and net return of the classifier trained on the labels of some options.

        The labeler is fitted on the inner train alone, and window + horizon - 1 bars before the border are
        left out. Skill is 1 - NLL / NLL of the inner train's class shares, on the labelled rows of inner val.
        The signal of a bar is the class whose probability exceeds its share in the inner train the most, HOLD
        keeps the position, and the net return is that of the portfolio of all symbols over inner val.

        Returns
        -------
        tuple of float
            Both NaN when a class has no inner train label, or inner val no label.
        """
        labels, horizon = self._labels(changed)
        purge = purge_bars(self.task.window, horizon)
        x_train, y_train = self._taken(labels, lambda rows: slice(0, max(0, rows.border - purge)))
        x_val, y_val = self._taken(labels, lambda rows: slice(rows.border, None))
        counts = np.bincount(y_train, minlength=N_CLASSES)
        if counts.min() == 0 or len(y_val) == 0:
            return np.nan, np.nan
        step = -(-len(y_train) // MAX_ROWS)
        center, scale = x_train.mean(axis=0), x_train.std(axis=0)
        scale[scale == 0] = 1.0
        model = self._model().fit((x_train[::step] - center) / scale, y_train[::step])
        if len(model.classes_) < N_CLASSES:
            return np.nan, np.nan
        prior = np.log(counts / counts.sum())

        def log_proba(features: FloatArray) -> FloatArray:
            found = model.predict_proba((features - center) / scale)
            floored: FloatArray = np.log(np.maximum(found, _FLOOR))
            return floored

        nll = -log_proba(x_val)[np.arange(len(y_val)), y_val].mean()
        return float(1 - nll / -prior[y_val].mean()), self._net_return(log_proba, prior)

    def _labels(self, changed: Mapping[str, Any]) -> tuple[list[LabelArray], int]:
        labeler = self.task.create(changed).fit(self.task.bars, self.border)
        horizon = labeler.horizon_bars
        found = []
        for bars in self.task.bars.values():
            holes = find_holes(bars.timestamp, self.task.max_gap_ns)
            found.append(within(labeler.label(bars), holes, horizon))
        return found, horizon

    def _taken(self, labels: list[LabelArray], span: Any) -> tuple[FloatArray, LabelArray]:  # noqa: ANN401
        features, classes = [], []
        for rows, found in zip(self.rows, labels, strict=True):
            part = span(rows)
            keep = rows.usable[part] & (found[part] >= 0)
            features.append(rows.features[part][keep])
            classes.append(found[part][keep])
        return np.concatenate(features), np.concatenate(classes)

    def _model(self) -> Any:  # noqa: ANN401 - a scikit-learn classifier
        if self.classifier == "logistic":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(max_iter=1000)
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=60,
            min_samples_leaf=100,
            early_stopping=False,
            random_state=integer(self.task.seed, "labels.proxy"),
        )

    def _net_return(self, log_proba: Any, prior: FloatArray) -> float:  # noqa: ANN401 - a callable
        exposure = np.array([np.nan] * N_CLASSES)
        exposure[Signal.SELL], exposure[Signal.BUY] = -1.0, 1.0
        bars, targets = {}, {}
        for rows in self.rows:
            inner = rows.bars.slice(rows.border, len(rows.bars))
            usable = rows.usable[rows.border :]
            if len(inner) < 2 or not usable.any():
                continue
            wanted = np.full(len(inner), np.nan)
            lift = log_proba(rows.features[rows.border :][usable]) - prior
            wanted[usable] = exposure[lift.argmax(axis=1)]
            bars[inner.symbol], targets[inner.symbol] = inner, wanted
        done = backtest(bars, targets=targets, fee_bps=self.fee_bps, slippage_bps=self.slippage_bps)
        return float(done.stats["net_return"])
