"""The xLSTM signal classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from simengine.errors import unknown_name
from simengine.model.base import Mode, State
from simengine.model.call_checks import require_inputs, require_state
from simengine.model.classifier_options import ClassifierOptions
from simengine.model.option_checks import options_config, options_from, require_whole
from simengine.model.stack import XLSTMBlockStack
from simengine.seed import integer
from simengine.types import N_CLASSES

if TYPE_CHECKING:
    from simengine.model.streaming import Stream, StreamMode


@keras.saving.register_keras_serializable("simengine")
class XLSTMClassifier(keras.Model):
    """The xLSTM classifier of windows: float32 (B, length, n_features) to logits (B, 3).

    The chain is Dense(embedding), blocks, layer normalisation, last step, Dropout, Dense(3). Only what
    feeds the memory of the last block is computed for all steps; the rest of it for the last step, with
    the same result.

    Parameters
    ----------
    n_features, length : int
        Features per bar and bars per window.
    seed : int
        Seed of all initial weights and, until `reseed_dropout`, of the dropout. Equal arguments give
        equal weights.
    name : str
        Name of the Keras model.
    **options
        See `ClassifierOptions`.

    Raises
    ------
    ValueError
        When an option is unknown or out of range, or ``heads`` does not divide a width.
    """

    def __init__(
        self,
        n_features: int,
        length: int,
        *,
        seed: int = 0,
        name: str = "xlstm_classifier",
        **options: Any,  # noqa: ANN401 - checked against ClassifierOptions
    ) -> None:
        require_whole(1, n_features=n_features, length=length)
        chosen = options_from(ClassifierOptions, options, "classifier option")
        uniform = keras.initializers.GlorotUniform(seed=integer(seed, "embedding"))
        spread = keras.initializers.RandomNormal(
            0.0, chosen.embedding_bias, seed=integer(seed, "embedding bias")
        )
        # A tenth of Glorot's: its input has unit variance, and full-size logits would start far above log 3.
        small = keras.initializers.VarianceScaling(0.01, "fan_avg", "uniform", seed=integer(seed, "logits"))
        prior = keras.initializers.Constant(list(chosen.head_bias)) if any(chosen.head_bias) else "zeros"
        parts = (
            keras.layers.Dense(
                chosen.embedding,
                kernel_initializer=uniform,
                bias_initializer=spread if chosen.embedding_bias else "zeros",
                name="embedding",
                dtype=chosen.precision,
            ),
            XLSTMBlockStack(
                chosen.stack(),
                return_sequences=False,
                seed=integer(seed, "xlstm"),
                name="xlstm",
                dtype=chosen.precision,
            ),
            keras.layers.Dropout(
                chosen.dropout, seed=integer(seed, "dropout"), name="dropout", dtype="float32"
            ),
            keras.layers.Dense(
                N_CLASSES, kernel_initializer=small, bias_initializer=prior, name="logits", dtype="float32"
            ),
        )
        x = inputs = keras.Input((length, n_features), name="windows", dtype="float32")
        for part in parts:
            x = part(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        self.architecture: dict[str, Any] = {
            "n_features": n_features,
            "length": length,
            **options_config(chosen),
            "seed": seed,
        }

    def initial_state(self, batch: int) -> State:
        """Return the state of `sequence` before the first bar of ``batch`` sequences."""
        state: State = self.get_layer("xlstm").initial_state(batch)
        return state

    def sequence(
        self, x: tf.Tensor, state: State | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """Score every bar of sequences of any length, going on from a state.

        The logits of a window's last bar from no state are those of the model called on the window.

        Parameters
        ----------
        x : tensor, shape (B, S, n_features)
            Features of the next S bars.
        state : tuple, optional
            What an earlier call returned, or `initial_state`; None starts from nothing.
        training : bool
            Whether dropout drops.

        Returns
        -------
        logits : tensor, shape (B, S, 3)
        state : tuple
            To go on from; of as many numbers, however long the sequence.

        Raises
        ------
        ValueError
            When inputs or state do not have the shapes of this model.
        """
        stack = self.get_layer("xlstm")
        require_inputs(self.name, x, "B, S, F", self.architecture["n_features"], "features")
        if state is not None:
            require_state(self.name, state, stack.state_shapes(x.shape[0]))
        embedded = self.get_layer("embedding")(x)
        hidden, after = stack.run(embedded, Mode(training, state, True, True))
        hidden = self.get_layer("dropout")(hidden, training=training)
        return self.get_layer("logits")(hidden), after

    def stream(self, mode: StreamMode | None = None, **allowed: bool) -> Stream:
        """Return what scores one bar at a time with the weights of now, see `simengine.model.streaming`."""
        from simengine.model.streaming import stream

        return stream(self, mode, **allowed)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**classifier_config(self), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> XLSTMClassifier:  # noqa: ANN401
        """Build the model again, with new weights drawn from its seed."""
        return cls(**config)


def classifier_config(model: XLSTMClassifier) -> dict[str, Any]:
    """Return the architecture as a dictionary that JSON can hold, for `classifier_from_config`."""
    return {key: list(v) if isinstance(v, list) else v for key, v in model.architecture.items()}


def classifier_from_config(config: Mapping[str, Any]) -> XLSTMClassifier:
    """Build the classifier of `classifier_config`; its weights are those of a new model.

    Options that are missing have their defaults, as in architectures stored before there were such options.

    Raises
    ------
    ValueError
        When a key is missing or unknown, or a value out of range.
    """
    needed = ("n_features", "length", "embedding", "heads", "blocks", "seed")
    known = {*needed, *(entry.name for entry in fields(ClassifierOptions))}
    for key in config:
        if key not in known:
            raise ValueError(unknown_name("classifier option", key, known))
    if missing := [key for key in needed if key not in config]:
        raise ValueError(f"classifier options are missing: {', '.join(missing)}")
    return XLSTMClassifier(**config)
