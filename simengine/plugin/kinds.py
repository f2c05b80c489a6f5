"""The kinds of component and the contract of each, as protocols.

A kind is one row of `KINDS`: its registration hook, where YAML selects it and the protocol that its
components keep. `simengine.plugin.testing.check_component` runs the contract over a component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from simengine.types import (
    Bars,
    DecisionContext,
    Float32Array,
    FloatArray,
    IntArray,
    LabelArray,
    StrategyContext,
)

if TYPE_CHECKING:
    from simengine.backtest.costs import FeeSchedule, SlippageModel
    from simengine.data.label_search import LabelSearch, LabelSearchResult
    from simengine.data.synthetic import SmoteTask, Synthetic
    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext
    from simengine.types import EpochRecord

BatchTransform = Callable[[Float32Array], Float32Array]
"""A window batch (B, length, F) to a window batch of the same shape."""


class Source(Protocol):
    """Where bars come from."""

    def load(self) -> dict[str, Bars]:
        """Return validated bars by symbol.

        A source that knows the true distribution also offers ``class_probabilities(symbol, ends,
        lower, upper, horizon_bars, history)``, which returns (n, 3) exact probabilities: ``ends``
        are bar rows of the symbol, ``lower`` and ``upper`` log-return thresholds at those rows,
        ``history`` is a number of bars or None for all of them. A source that reads files also has
        ``files``, their paths, so that the manifest of a run can hold their hashes.
        """


class Features(Protocol):
    """A causal feature matrix."""

    names: tuple[str, ...]
    warmup: int
    """Rows at the start of a symbol that may be NaN."""

    def compute(self, bars: Bars) -> Float32Array:
        """Return (n, F) float32; row t uses bars <= t only, rows >= ``warmup`` are finite."""


class Labeler(Protocol):
    """SELL / HOLD / BUY labels from future returns."""

    horizon_bars: int
    """The label of t looks at bars up to t + horizon_bars."""

    def fit(self, bars_by_symbol: Mapping[str, Bars], train_end: int) -> Labeler:
        """Learn from labels that are fully known before ``train_end`` (ns UTC, exclusive)."""

    def label(self, bars: Bars) -> LabelArray:
        """Return int8 (n,): a `Signal` value, or -1 where bar t has no label."""

    def thresholds(self, bars: Bars) -> tuple[FloatArray, FloatArray] | None:
        """Return log-return thresholds (lower, upper), each (n,), known at t; None without such."""


class ThresholdOptimizer(Protocol):
    """A search of the labeler's options on bars of train."""

    def search(self, task: LabelSearch) -> LabelSearchResult:
        """Return the best options and the table of everything that was tried.

        ``task`` holds no bar from the end of train on.
        """


class Balancer(Protocol):
    """Which training rows form each batch.

    It may have ``prior_tilt(label_share) -> (3,)``: the log-odds in nats that it adds to each class against
    the label prior; only differences count, ``-inf`` shuts a class out. One whose epochs continue each other
    has ``begin(seed)``, called once before the first epoch of a training, and of a resumed one.
    """

    def epoch(
        self, labels: LabelArray, groups: IntArray, epoch: int, rng: np.random.Generator, batch_size: int
    ) -> Iterator[IntArray]:
        """Yield arrays of row ids into ``labels``; ``groups`` holds the symbol index of each row."""


class Reweighter(Protocol):
    """Per-class weights of the loss, moved between epochs.

    A reweighter may have an attribute ``applies_to``: ``"sample_weight"`` (the default) multiplies the loss
    of a row by the weight of its class, ``"alpha"`` multiplies each class's part of the targets, which
    differs for soft targets only. One whose weights never move says so by ``fixed = True``. It may have
    ``prior_tilt(label_share)``, as a `Balancer` may.
    """

    def start(self, labels: LabelArray) -> FloatArray:
        """Return the (3,) weights of the first epoch from the train labels."""

    def update(self, labels: LabelArray, log_proba: FloatArray, epoch: int) -> FloatArray:
        """Return the (3,) weights of the next epoch.

        ``log_proba`` (n, 3) are the predictions made on the train rows seen in ``epoch``, ``labels``
        (n,) their labels.
        """


class Loss(Protocol):
    """A training loss per row, written in TensorFlow operations imported inside the call.

    It is linear in the targets, so that smoothed labels and per-class weights mean what they say. A loss
    that needs the class prior also has ``fit(labels)``, called once with the train labels. A loss that
    changes over the training takes a third argument ``epoch``, a float tensor counted from 1. It may have
    ``prior_tilt(label_share)``, as a `Balancer` may.
    """

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tf.Tensor
        """Return the loss (B,) of float targets (B, 3) and logits (B, 3)."""


class Smoother(Protocol):
    """Soft targets from hard ones, in TensorFlow operations imported inside the call.

    It may have ``prior_tilt(label_share)``, as a `Balancer` may.
    """

    def __call__(self, targets: Any) -> Any:  # noqa: ANN401 - tf.Tensor
        """Return float targets (B, 3), each row a distribution, of one-hot targets (B, 3)."""


class Miner(Protocol):
    """Which train rows are hard, and how large a part of each batch they take.

    Rows are those of train alone. Validation rows would be the harder choice, and a wrong one: val decides
    when training stops, how probabilities are calibrated and how signals are decided.
    """

    every: int
    """Epochs between two selections; the first is made after the first epoch."""

    def select(self, labels: LabelArray, log_proba: FloatArray, losses: FloatArray) -> IntArray:
        """Return ids of hard train rows, hardest first.

        ``log_proba`` (n, 3) and ``losses`` (n,), without class weights and penalties, are those of the
        network of now on all train rows, ``labels`` (n,) theirs.
        """

    def share(self, epoch: int, epochs: int) -> float:
        """Return the share of each batch, in [0, 1), that hard rows replace in an epoch counted from 1."""


class Penalty(Protocol):
    """A term added to the loss, in TensorFlow operations imported inside the call."""

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tf.Tensor
        """Return the penalty (B,) of float targets (B, 3) and logits (B, 3), its weight included.

        Class weights do not multiply it. A penalty on the batch as a whole returns the same number for
        every row; it takes a third argument ``shares`` (B,), what each row counts: 0 for one that only fills
        the batch up.
        """


class Augmenter(Protocol):
    """A random change of train windows, in TensorFlow operations imported inside the call."""

    def __call__(self, batch: Any, seed: Any) -> Any:  # noqa: ANN401 - tf.Tensor
        """Return a batch of the same shape (B, length, F); the same for the same ``seed``, int32 (2,)."""


class Smote(Protocol):
    """Synthetic train rows between rows of one class."""

    def synthesize(self, task: SmoteTask) -> Synthetic:
        """Return rows (i, j, lambda): the window (1 - lambda) W_i + lambda W_j with the class of both."""


class TestTimeTransform(Protocol):
    """A label-preserving view of a window; acts on each sample alone, whatever the batch.

    A view that returns the batch as it is may set ``is_identity = True``, which saves a pass.
    """

    __test__: ClassVar[bool] = False  # the name begins with "Test", which pytest would collect

    weight: float
    """Relative weight of this view in the mean of probabilities."""

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Return a batch of the same shape (B, length, F); the input is not changed."""


class Calibrator(Protocol):
    """A map from normalised log-probabilities to calibrated ones.

    With ``corrects_prior = True`` it has a bias per class, fitted on val, that takes a tilt of the training
    back.
    """

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Calibrator:
        """Learn from validation scores (n, 3) and labels (n,)."""

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3)."""


class Decision(Protocol):
    """A rule that turns log-probabilities into signals.

    ``fitted_on_val = True`` says that it looks at validation rows; it may have ``prior_tilt(label_share)``,
    as a `Balancer` may. A rule whose signals depend on earlier rows of the same symbol has ``decide_series(
    log_proba, groups, timestamp) -> int8 (n,)``, which is used instead of ``decide``: rows come in any order,
    it never looks ahead, and no state is kept between calls. Its ``decide`` raises a ConfigError.
    """

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> Decision:
        """Learn from calibrated validation scores (n, 3) and labels (n,)."""

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return int8 (n,) `Signal` values."""


class Model(Protocol):
    """A signal model fed by window ends.

    A model with a true attribute ``stateful`` carries its state from bar to bar, beginning at
    `WindowSet.starts`; it refuses to transform single windows with a `ConfigError`.
    """

    uses: frozenset[str]
    """Which parts under ``training`` it honours: of balancer, reweighter, loss, smoother, miner, penalties,
    augment, smote, and ``optimizer`` for the numbers (epochs, batch_size, learning_rate, warmup, clip_norm,
    patience)."""

    def fit(self, train: WindowSet, val: WindowSet, context: TrainContext) -> list[EpochRecord]:
        """Learn from the train windows, watching the val windows; return one record an epoch."""

    def predict_logits(self, windows: WindowSet, transform: BatchTransform | None = None) -> Float32Array:
        """Return float32 (n, 3) logits; ``transform`` is applied to each gathered batch first."""

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state: numbers, strings, lists, arrays and mappings of them."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""


class Strategy(Protocol):
    """Target exposures of one symbol.

    A strategy may also have ``stops()`` returning a `simengine.backtest.costs.Stops`, which replaces
    the stops of the config (``stop_loss, take_profit, trailing_stop, max_bars``), and ``on_bar``, a rule
    on the state of the account that `simengine.backtest.backtest` takes by that name.
    """

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return float64 (n,) exposure as a fraction of equity in [-1, 1]; NaN keeps the last target."""


class Fees(Protocol):
    """What a fill costs."""

    def schedule(self) -> FeeSchedule:
        """Return the fee as parameters of the kernel."""


class Slippage(Protocol):
    """How far a fill lands from the quoted price."""

    def model(self) -> SlippageModel:
        """Return the slippage as parameters of the kernel."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of component.

    Parameters
    ----------
    name : str
        For example ``"calibrator"``.
    hook : str
        Name of its registration hook.
    where : str
        Dotted place in the config that selects it.
    contract : type
        Protocol of its components.
    many : bool
        Whether the place holds a list.
    """

    name: str
    hook: str
    where: str
    contract: type
    many: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("source", "simengine_register_sources", "data.source", Source),
        Kind("features", "simengine_register_features", "features", Features),
        Kind("labeler", "simengine_register_labelers", "labels.labeler", Labeler),
        Kind(
            "threshold_optimizer",
            "simengine_register_threshold_optimizers",
            "labels.optimizer",
            ThresholdOptimizer,
        ),
        Kind("smote", "simengine_register_smote", "training.smote", Smote),
        Kind("balancer", "simengine_register_balancers", "training.balancer", Balancer),
        Kind("reweighter", "simengine_register_reweighters", "training.reweighter", Reweighter),
        Kind("loss", "simengine_register_losses", "training.loss", Loss),
        Kind("smoother", "simengine_register_smoothers", "training.smoother", Smoother),
        Kind("miner", "simengine_register_miners", "training.miner", Miner),
        Kind("penalty", "simengine_register_penalties", "training.penalties", Penalty, many=True),
        Kind("augmenter", "simengine_register_augmenters", "training.augment", Augmenter, many=True),
        Kind("tta", "simengine_register_tta", "inference.tta", TestTimeTransform, many=True),
        Kind("calibrator", "simengine_register_calibrators", "inference.calibrator", Calibrator),
        Kind("decision", "simengine_register_decisions", "inference.decision", Decision),
        Kind("model", "simengine_register_models", "model", Model),
        Kind("strategy", "simengine_register_strategies", "strategy", Strategy),
        Kind("fees", "simengine_register_fees", "backtest.fees", Fees),
        Kind("slippage", "simengine_register_slippage", "backtest.slippage", Slippage),
    )
}
"""Every kind by name, in the order of the run."""
