"""A finished run's model with everything around it that was fitted, to score bars with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simengine.data.checks import validate
from simengine.data.rows import features_of
from simengine.data.scale import Scaler
from simengine.errors import ConfigError, DataError
from simengine.plugin.check import check_config
from simengine.predict import apply_inference, log_softmax
from simengine.steps.infer import restore_inference
from simengine.steps.learn import restore_model
from simengine.steps.parts import build_parts
from simengine.steps.prepare import SCALER
from simengine.types import N_CLASSES

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.kinds import Calibrator, Decision, Features, Model, Source, TestTimeTransform
    from simengine.plugin.registry import Registry
    from simengine.rundir import RunDir
    from simengine.types import Bars, Float32Array, FloatArray, LabelArray


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The fitted parts of a run between bars and signals.

    Parameters
    ----------
    model : Model
        With the weights of the run.
    features, scaler : Features, Scaler
        What `inputs` applies to bars.
    calibrator, decision : Calibrator or None, Decision
        What `decide` applies to logits.
    views : tuple of TestTimeTransform
        ``inference.tta`` of the run.
    source : Source
        Where the bars of the run come from; ``load()`` reads them again.
    """

    model: Model
    features: Features
    scaler: Scaler
    calibrator: Calibrator | None
    decision: Decision
    views: tuple[TestTimeTransform, ...]
    source: Source

    @property
    def warmup(self) -> int:
        """Bars at the start of a symbol whose features are not known yet."""
        return self.features.warmup

    def inputs(self, bars: Bars) -> Float32Array:
        """Return the features of bars as the model is fed with them: scaled by what train rows taught.

        Parameters
        ----------
        bars : Bars
            n consecutive bars of one symbol.

        Returns
        -------
        float32 array, shape (n, F)
            Row t uses bars up to t; the first `warmup` rows may be NaN.

        Raises
        ------
        DataError
            When the bars are none that a market can have, or a feature is not finite after its warm-up.
        """
        validate({bars.symbol: bars}, f"bars of {bars.symbol}")
        return self.scaler.transform(features_of(bars, self.features))

    def decide(self, logits: Float32Array, *, series: bool = False) -> tuple[FloatArray, LabelArray]:
        """Return calibrated probabilities and signals, as the run makes them from its model's logits.

        Parameters
        ----------
        logits : array, shape (n, 3)
            Of the model or its stream, all finite.
        series : bool
            Whether the rows are bars of one symbol in the order of time, beginning where the decision is
            to begin anew. A decision that depends on the bars before (`hysteresis`) needs them all; others
            decide each row alone and do not care.

        Returns
        -------
        proba : float64 array, shape (n, 3)
        signals : int8 array, shape (n,)
            0 SELL, 1 HOLD, 2 BUY.

        Raises
        ------
        ConfigError
            When the run averages views of its windows, of which one row of logits knows nothing, or when its
            decision depends on the bars before and the rows are not said to be a series.
        DataError
            When the logits have another shape or are not finite.
        """
        if not all(getattr(view, "is_identity", False) for view in self.views):
            names = ", ".join(type(view).__name__ for view in self.views)
            raise ConfigError(
                f"inference.tta: this run averages the views {names} of each window, which one row of logits "
                "cannot stand for; train with [identity], or score windows with simengine.predict.score"
            )
        if hasattr(self.decision, "decide_series") and not series:
            raise ConfigError(
                f"inference.decision: {type(self.decision).__name__} depends on the bars before; give the "
                "logits of all bars of the symbol so far, in the order of time, with series=True, and take "
                "the last signal"
            )
        values = np.asarray(logits, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != N_CLASSES:
            raise DataError(f"logits must have shape (n, {N_CLASSES}); received {values.shape}")
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(wrong):
            raise DataError(
                f"logits of row {wrong[0]} are {values[wrong[0]].tolist()}; leave out the rows before the "
                "stream is ready"
            )
        log_proba, signals = apply_inference(
            log_softmax(values),
            self.calibrator,
            self.decision,
            groups=np.zeros(len(values), np.int64),
            timestamp=np.arange(len(values), dtype=np.int64),
        )
        return np.exp(log_proba), signals


def load_trained(run_dir: RunDir, config: Config, registry: Registry) -> TrainedModel:
    """Restore what a finished run fitted.

    Raises
    ------
    RunError
        When the run holds no trained model.
    """
    parts = build_parts(check_config(config, registry), registry)
    restore_model(parts.model, run_dir)
    restore_inference(parts, run_dir)
    return TrainedModel(
        model=parts.model,
        features=parts.features,
        scaler=Scaler.from_dict(run_dir.read_json(SCALER)),
        calibrator=parts.calibrator,
        decision=parts.decision,
        views=parts.tta,
        source=parts.source,
    )
