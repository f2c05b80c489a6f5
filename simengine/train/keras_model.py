"""`KerasSignalModel`: a signal model that is a Keras network, all but the network itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from simengine.errors import RunError
from simengine.seed import integer
from simengine.types import EpochRecord, Float32Array

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import BatchTransform
    from simengine.train.context import TrainContext
    from simengine.train.step import TensorFunction


class KerasSignalModel(ABC):
    """Base of models that are a Keras network; a subclass only says how to build it.

    Options are the public attributes that ``__init__`` stores. They are recorded with the weights, and
    restoring into a model with other options is refused.
    """

    uses: frozenset[str] = frozenset({"balancer", "reweighter", "loss", "optimizer"})
    jit_steps: ClassVar[int | None] = None
    """Training steps from which compiling the step with XLA pays for itself; None never compiles."""

    _network: keras.Model | None = None
    _input: tuple[int, int] = (0, 0)
    _functions: dict[str, TensorFunction]

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
        self._adopt(self.build(train.n_features, train.length, seed), train.n_features, train.length)
        return fit_classifier(self.network, train, val, context, jit_steps=self.jit_steps)

    def predict_logits(self, windows: WindowSet, transform: BatchTransform | None = None) -> Float32Array:
        """Return float32 (n, 3) logits; windows are gathered in the graph unless transformed."""
        from simengine.train.step import (
            logits_of_batch,
            logits_of_ends,
            predict_from_ends,
            predict_transformed,
        )

        network, (n_features, length) = self.network, self._input
        if (windows.n_features, windows.length) != self._input:
            raise RunError(
                f"the model was trained on windows of {length} bars x {n_features} features; "
                f"received {windows.length} x {windows.n_features}"
            )
        if transform is None:
            if "ends" not in self._functions:
                self._functions["ends"] = logits_of_ends(network, length, n_features)
            return predict_from_ends(self._functions["ends"], windows)
        if "batch" not in self._functions:
            self._functions["batch"] = logits_of_batch(network, length, n_features)
        return predict_transformed(self._functions["batch"], windows, transform)

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

        stored = dict(state["architecture"])
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
        options = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
        return {"n_features": n_features, "length": length, **plain}
