"""The battery must fail a component that breaks its contract, and say how."""

import numpy as np
import pytest

from simengine import Bars
from simengine.backtest.costs import FeeSchedule
from simengine.errors import ConfigError, PluginError
from simengine.plugin.testing import check_component
from simengine.plugin.testing.samples import make_bars


class Calibrator:
    def fit(self, log_proba, labels):
        self.shift_ = float(log_proba.mean())
        return self

    def transform(self, log_proba):
        return log_proba.copy()


class Unnormalised(Calibrator):
    def transform(self, log_proba):
        return 2 * log_proba


class Single(Calibrator):
    def transform(self, log_proba):
        return log_proba.astype(np.float32)


class Mutating(Calibrator):
    def transform(self, log_proba):
        log_proba -= 0.0
        log_proba[0] = np.log(1 / 3)
        return log_proba


class Forgetful(Calibrator):
    def fit(self, log_proba, labels):
        self._power = 2.0
        return self

    def transform(self, log_proba):
        scaled = getattr(self, "_power", 1.0) * log_proba
        return scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)


class Pooled(Calibrator):
    def transform(self, log_proba):
        scaled = log_proba - log_proba.mean(axis=0)
        return scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)


class Random(Calibrator):
    def transform(self, log_proba):
        scaled = log_proba + np.random.default_rng().normal(size=log_proba.shape)
        return scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)


class Argmax:
    def fit(self, log_proba, labels, context):
        return self

    def decide(self, log_proba):
        return log_proba.argmax(axis=1)


class Peek:
    """Features that know the next bar."""

    names = ("now", "next")
    warmup = 0

    def compute(self, bars):
        following = np.append(bars.close[1:], bars.close[-1])
        return np.stack([np.log(bars.close), np.log(following)], axis=1).astype(np.float32)


class Whole:
    """Features scaled by the whole series."""

    names = ("scaled",)
    warmup = 0

    def compute(self, bars):
        return (bars.close / bars.close.mean()).astype(np.float32)[:, None]


class Cold:
    names = ("lagged",)
    warmup = 3

    def compute(self, bars):
        lagged = np.full((len(bars), 1), np.nan, np.float32)
        lagged[5:, 0] = bars.close[:-5]
        return lagged


class FarLabeler:
    """Labels that look one bar further than they say."""

    horizon_bars = 4

    def fit(self, bars_by_symbol, train_end):
        return self

    def label(self, bars):
        labels = np.full(len(bars), -1, np.int8)
        labels[:-5] = np.where(bars.close[5:] > bars.close[:-5], 2, 0)
        return labels

    def thresholds(self, bars):
        return None


class GreedyLabeler(FarLabeler):
    """A labeler fitted on everything."""

    horizon_bars = 5

    def fit(self, bars_by_symbol, train_end):
        self.mean_ = float(np.mean([bars.close.mean() for bars in bars_by_symbol.values()]))
        return self


class Clairvoyant:
    def targets(self, context):
        return np.append(np.sign(np.diff(context.bars.close)), 0.0)


class Leveraged:
    def targets(self, context):
        return np.full(len(context.signals), np.inf)


class Borrowing:
    def targets(self, context):
        return np.where(context.signals == 2, 2.0, np.nan)


class BatchNorm:
    weight = 1.0

    def __call__(self, batch):
        return (batch - batch.mean(axis=(0, 1))).astype(np.float32)


class LongBatches:
    def epoch(self, labels, groups, epoch, rng, batch_size):
        yield np.arange(len(labels))


class GlobalRandom:
    def epoch(self, labels, groups, epoch, rng, batch_size):
        yield np.random.default_rng().permutation(len(labels))[:batch_size]


class Negative:
    def start(self, labels):
        return np.array([1.0, -1.0, 1.0])

    def update(self, labels, log_proba, epoch):
        return np.ones(3)


class Naive:
    """Cross-entropy through a softmax: infinite where the probability underflows."""

    def __call__(self, targets, logits):
        import tensorflow as tf

        proba = tf.exp(logits) / tf.reduce_sum(tf.exp(logits), axis=-1, keepdims=True)
        return -tf.reduce_sum(targets * tf.math.log(proba * proba), axis=-1)


class MeanLoss:
    def __call__(self, targets, logits):
        import tensorflow as tf

        return tf.reduce_mean(-tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1))


class Upside:
    def load(self):
        bars = make_bars(50, 0, "X")
        return {"X": Bars("X", bars.timestamp, bars.open, bars.low, bars.high, bars.close, bars.volume)}


class Unsorted:
    def load(self):
        bars = make_bars(50, 0, "X")
        return {"X": Bars("X", bars.timestamp[::-1].copy(), *(values for _, values in bars.columns()))}


class Tip:
    def model(self):
        return {"rate": 0.001}


class Number:
    def schedule(self):
        return 0.001


class Fine:
    def schedule(self):
        return FeeSchedule(((0.0, 0.001),))


@pytest.mark.parametrize(
    ("kind", "component", "message"),
    [
        ("calibrator", Argmax, "lacks transform"),
        ("calibrator", Unnormalised, "transform() must be normalised: probabilities sum to "),
        ("calibrator", Single, "transform() must be float64, received float32"),
        ("calibrator", Mutating, "transform() changed its input; work on a copy"),
        ("calibrator", Forgetful, "transform() differs after the state went through a file"),
        ("calibrator", Pooled, "a row's result depends on other rows"),
        ("calibrator", Random, "two fits on the same scores differ"),
        ("decision", Argmax, "decide() must be int8, received int64"),
        ("features", Peek, "looks ahead: bars after t change the features up to t: next"),
        ("features", Whole, "looks ahead: bars after t change the features up to t: scaled"),
        ("features", Cold, "compute() must be finite from row warmup = 3 on"),
        (
            "labeler",
            FarLabeler,
            "looks beyond its horizon: bars after t change labels up to t - horizon_bars",
        ),
        ("labeler", GreedyLabeler, "looks ahead: bars from train_end on change what fit() learns"),
        ("strategy", Clairvoyant, "looks ahead: bars or predictions after t change the targets up to t"),
        ("strategy", Leveraged, "targets() must be finite, or NaN to keep the last target"),
        ("strategy", Borrowing, "targets() must lie in [-1, 1] or be NaN, received [2.0]"),
        ("tta", BatchNorm, "a sample's result depends on the other samples of its batch"),
        ("balancer", LongBatches, "a batch must hold 1 to 32 rows, received 500"),
        ("balancer", GlobalRandom, "two epochs with the same random stream differ"),
        ("reweighter", Negative, "weights must be finite and above 0, received [ 1. -1.  1.]"),
        ("loss", Naive, "the loss must be finite at a logit gap of 50"),
        ("loss", MeanLoss, "the loss must have the shape (32,), received ()"),
        ("source", Upside, "high of X lies below its open or close"),
        ("source", Unsorted, "timestamps of X must be strictly increasing"),
        ("slippage", Tip, "model() must return SlippageModel, received dict"),
        ("fees", Number, "schedule() must return FeeSchedule, received float"),
    ],
)
def test_a_broken_contract_is_named(kind, component, message):
    with pytest.raises(AssertionError) as caught:
        check_component(kind, component)
    assert str(caught.value).startswith(f"{kind} {component.__name__}: {message}")


def test_a_model_that_trains_differently_every_time(simengine_registry):
    prior = type(simengine_registry.create("model", "prior"))

    class Unsteady(prior):
        def predict_logits(self, windows, transform=None):
            logits = super().predict_logits(windows, transform)
            return logits + np.float32(id(self) % 1000)

    with pytest.raises(AssertionError, match=r"^model Unsteady: "):
        check_component("model", Unsteady)


def test_a_stateful_model_must_refuse_a_transform(simengine_registry):
    prior = type(simengine_registry.create("model", "prior"))

    class Careless(prior):
        stateful = True

    class Careful(Careless):
        def predict_logits(self, windows, transform=None):
            if transform is not None:
                raise ConfigError("inference.tta: use [identity]")
            return super().predict_logits(windows)

    class Windowed(Careful):
        stateful = False

    check_component("model", Careful)
    with pytest.raises(AssertionError) as caught:
        check_component("model", Careless)
    assert str(caught.value) == (
        "model Careless: a stateful model must refuse to transform single windows, with a ConfigError"
    )
    with pytest.raises(ConfigError):
        check_component("model", Windowed)


def test_a_class_an_instance_and_a_function_are_all_accepted():
    check_component("fees", Fine)
    check_component("fees", Fine())
    check_component("fees", lambda: Fine())


def test_an_unknown_kind():
    with pytest.raises(PluginError, match=r"^unknown kind 'fee'"):
        check_component("fee", Fine)


def test_the_synthetic_bars_are_valid():
    bars = make_bars(300, 5)
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
