"""`KerasSignalModel`: a signal model that is a Keras network, all but the network itself."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from simengine.errors import ConfigError, PluginError, RunError
from simengine.seed import integer
from simengine.types import N_CLASSES, EpochRecord, Float32Array, LabelArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.model.streaming import Stream, StreamMode
    from simengine.plugin.kinds import BatchTransform
    from simengine.train.context import TrainContext
    from simengine.train.options import FitOptions
    from simengine.train.step import TensorFunction


class KerasSignalModel(ABC):
    """Base of models that are a Keras network; a subclass only says how to build it.

    Options are the public attributes that ``__init__`` stores. They are recorded with the weights, and
    restoring into a model with other options is refused; an option that a record of an earlier version
    lacks counts as ``before`` says, else as its default. Any of the attributes below can be an option:
    store it in ``__init__``.

    Attributes
    ----------
    weight_decay : float
        Decoupled weight decay, see `simengine.train.optimizer`.
    ema : float or None
        Momentum of the average of the weights that is validated and kept, see `simengine.train.average`.
    head_bias : "zeros" or "class_prior"
        "class_prior" starts the bias of the layer ``logits`` at the log shares of the train labels.
    jit_compile : "auto" or bool
        Whether the training step is compiled with XLA; "auto" by ``jit_steps``, or
        ``stateful_jit_steps``.
    stateful : bool
        Train and score with state carried from bar to bar. The network then has ``initial_state(batch)``
        and ``sequence(x, state, training) -> (logits (B, S, 3), state)``.
    chunk : int
        Bars per step of stateful training, beyond which no gradient flows back.
    """

    jit_steps: ClassVar[int | None] = None
    """Training steps from which compiling the step with XLA pays for itself; None never compiles."""
    stateful_jit_steps: ClassVar[int | None] = None
    """The same for the steps of stateful training."""
    execution: ClassVar[frozenset[str]] = frozenset({"jit_compile", "kernels"})
    """Options that say how something is computed and not what; they are not recorded with the weights."""

    before: ClassVar[Mapping[str, Any]] = {}
    """What networks were before an option existed, where that is not its default of today."""

    weight_decay: float = 0.0
    ema: float | None = None
    head_bias: Literal["zeros", "class_prior"] = "zeros"
    jit_compile: Literal["auto"] | bool = "auto"
    stateful: bool = False
    chunk: int = 64

    _network: keras.Model | None = None
    _input: tuple[int, int] = (0, 0)
    _functions: dict[str, TensorFunction]

    @property
    def uses(self) -> frozenset[str]:
        """Parts of ``training`` that count: all, but for what picks or changes windows when stateful."""
        windowed = frozenset() if self.stateful else frozenset({"balancer", "miner", "augment", "smote"})
        return windowed | {"reweighter", "loss", "smoother", "penalties", "optimizer"}

    @property
    def compilable(self) -> bool:
        """Whether XLA can compile the network; where it cannot, ``jit_compile`` has no say."""
        return True

    @abstractmethod
    def build(self, n_features: int, length: int, seed: int) -> keras.Model:
        """Return the untrained network.

        Parameters
        ----------
        n_features, length : int
            The input is float32 (B, length, n_features).
        seed : int
            Of everything random in it; equal seeds give equal weights.

        Returns
        -------
        keras.Model
            Maps the input to logits (B, 3).
        """

    @property
    def network(self) -> keras.Model:
        """The Keras network.

        Raises
        ------
        RunError
            Before `fit` or `set_state`.
        """
        if self._network is None:
            raise RunError(f"{type(self).__name__} is not trained yet: call fit or set_state first")
        return self._network

    def fit(self, train: WindowSet, val: WindowSet, context: TrainContext) -> list[EpochRecord]:
        """Train a new network by `simengine.train.supervised.fit_classifier`."""
        from simengine.train.determinism import make_deterministic, seed_libraries

        make_deterministic()
        from simengine.train.supervised import fit_classifier

        seed = integer(context.seed, "model")
        seed_libraries(seed)
        network = self.build(train.n_features, train.length, seed)
        if self.head_bias == "class_prior":
            _start_at_prior(network, train.labels)
        self._adopt(network, train.n_features, train.length)
        return fit_classifier(network, train, val, context, self._fit_options())

    def _fit_options(self) -> FitOptions:
        from simengine.train.options import FitOptions

        return FitOptions(
            weight_decay=self.weight_decay,
            ema=self.ema,
            jit=self.jit_compile if self.compilable else False,
            jit_steps=self.stateful_jit_steps if self.stateful else self.jit_steps,
            chunk=self.chunk if self.stateful else None,
            identity=json.dumps([type(self).__qualname__, self._options()], sort_keys=True),
        )

    def predict_logits(self, windows: WindowSet, transform: BatchTransform | None = None) -> Float32Array:
        """Return float32 (n, 3) logits; windows are gathered in the graph unless transformed.

        A stateful model runs over each series of bars from its start (`WindowSet.starts`) and answers at
        the window ends; where no starts are known, every window is run by itself from a fresh state.

        Raises
        ------
        RunError
            When the windows have another shape than those of the training.
        ConfigError
            When a stateful model is given a transform, which is made for single windows.
        """
        if (windows.n_features, windows.length) != self._input and self._network is not None:
            n_features, length = self._input
            raise RunError(
                f"the model was trained on windows of {length} bars x {n_features} features; "
                f"received {windows.length} x {windows.n_features}"
            )
        if self.stateful:
            return self._carried_logits(windows, transform)
        return self._windowed_logits(windows, transform)

    def _windowed_logits(self, windows: WindowSet, transform: BatchTransform | None) -> Float32Array:
        from simengine.train.step import (
            logits_of_batch,
            logits_of_ends,
            predict_from_ends,
            predict_transformed,
        )

        network, (n_features, length) = self.network, self._input
        if transform is None:
            if "ends" not in self._functions:
                self._functions["ends"] = logits_of_ends(network, length, n_features)
            return predict_from_ends(self._functions["ends"], windows)
        if "batch" not in self._functions:
            self._functions["batch"] = logits_of_batch(network, length, n_features)
        return predict_transformed(self._functions["batch"], windows, transform)

    def _carried_logits(self, windows: WindowSet, transform: BatchTransform | None) -> Float32Array:
        from simengine.train.carry import StateShape, carrying_logits, predict_carried

        network = self.network
        if transform is not None and not getattr(transform, "is_identity", False):
            raise ConfigError(
                f"inference.tta: {type(transform).__name__} changes single windows, which a stateful model "
                "does not see; use [identity]"
            )
        shape = StateShape(network)
        if "carried" not in self._functions:
            self._functions["carried"] = carrying_logits(network, shape, self.chunk, windows.n_features)
        return predict_carried(self._functions["carried"], shape, self.chunk, windows)

    def stream(self, mode: StreamMode | None = None, **allowed: bool) -> Stream:
        """Return what scores bar by bar with the trained weights, see `simengine.model.streaming.stream`.

        Raises
        ------
        RunError
            Before `fit` or `set_state`.
        PluginError
            When the network has no ``stream`` method.
        ValueError
            When the mode is unknown or not that of the training.
        """
        opened = getattr(self.network, "stream", None)
        if not callable(opened):
            raise PluginError(
                f"model {type(self).__name__}: its network {self.network.name} has no stream method, so it "
                "cannot score bar by bar; use model: xlstm, or predict_logits on windows"
            )
        result: Stream = opened(mode, **allowed)
        return result

    def get_state(self) -> dict[str, Any]:
        """Return ``{"architecture": options and input shape, "weights": {name: array}}``."""
        from simengine.model.weights import named_weights

        weights = named_weights(self.network)
        return {"architecture": self._architecture(*self._input), "weights": weights}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Rebuild the network from this model's options and load the weights.

        Raises
        ------
        RunError
            When the state was made with other options.
        """
        from simengine.train.determinism import make_deterministic

        make_deterministic()
        from simengine.model.weights import load_named_weights

        stored = {**self._defaults(), **self.before, **state["architecture"]}
        n_features, length = int(stored["n_features"]), int(stored["length"])
        expected = self._architecture(n_features, length)
        for name in sorted({*expected, *stored}):
            if expected.get(name) != stored.get(name):
                raise RunError(
                    f"the saved {type(self).__name__} has {name} = {stored.get(name)!r}, "
                    f"this one has {expected.get(name)!r}: use the options that it was trained with"
                )
        network = self.build(n_features, length, 0)
        load_named_weights(network, state["weights"])
        self._adopt(network, n_features, length)

    def _adopt(self, network: keras.Model, n_features: int, length: int) -> None:
        self._network, self._input, self._functions = network, (n_features, length), {}

    def _architecture(self, n_features: int, length: int) -> dict[str, Any]:
        recorded = {name: value for name, value in self._options().items() if name not in self.execution}
        return {"n_features": n_features, "length": length, **recorded}

    def _options(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in vars(self).items() if not name.startswith("_")}

    def _defaults(self) -> dict[str, Any]:
        """Return the defaults of the recorded options."""
        parameters = inspect.signature(type(self)).parameters
        recorded = {*self._options()} - self.execution
        return {
            name: _plain(parameters[name].default)
            for name in recorded & {*parameters}
            if parameters[name].default is not inspect.Parameter.empty
        }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _start_at_prior(network: keras.Model, labels: LabelArray) -> None:
    """Set the bias of the layer ``logits`` to the log share of each class among the labels.

    The first steps then need not learn the shares, whose gradient outweighs every other.

    Raises
    ------
    DataError
        When a class has no label.
    PluginError
        When the network has no such layer with a bias.
    """
    from simengine.train.classes import class_prior

    prior = class_prior(labels, "model.head_bias class_prior")
    layer = next((layer for layer in network.layers if layer.name == "logits"), None)
    bias = getattr(layer, "bias", None)
    if bias is None or tuple(bias.shape) != (N_CLASSES,):
        raise PluginError(
            f"model.head_bias class_prior: network {network.name} needs a layer called 'logits' with a bias "
            f"of {N_CLASSES}; name its last layer so, or use zeros"
        )
    bias.assign(np.log(prior))
