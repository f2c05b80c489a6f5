"""The xLSTM signal classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from simengine.errors import unknown_name
from simengine.model.block import BlockKind, XLSTMBlockStack
from simengine.seed import integer
from simengine.types import N_CLASSES


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
    embedding : int
        Width of the residual stream.
    heads : int
        Memory heads of every block; divides ``embedding``.
    blocks : sequence of {"mlstm", "slstm"}
        Kind of each block, first to last.
    dropout : float
        Share of the last hidden state that is dropped in training, in [0, 1).
    block_dropout : float
        Share dropped in training within every block, in [0, 1).
    conv_kernel : int
        Taps of the causal convolution within blocks.
    seed : int
        Seed of all initial weights and, until `reseed_dropout`, of the dropout. Equal arguments give
        equal weights.

    Raises
    ------
    ValueError
        When an option is out of range or ``heads`` does not divide a width.
    """

    def __init__(
        self,
        n_features: int,
        length: int,
        *,
        embedding: int = 16,
        heads: int = 4,
        blocks: Sequence[BlockKind] = ("mlstm", "slstm"),
        dropout: float = 0.1,
        block_dropout: float = 0.0,
        conv_kernel: int = 4,
        seed: int = 0,
        name: str = "xlstm_classifier",
    ) -> None:
        _require_positive(n_features=n_features, length=length, embedding=embedding, heads=heads)
        _require_positive(conv_kernel=conv_kernel)
        _require_shares(dropout=dropout, block_dropout=block_dropout)
        if embedding % heads:
            raise ValueError(f"heads must divide embedding; received heads {heads}, embedding {embedding}")
        uniform = keras.initializers.GlorotUniform
        inputs = keras.Input((length, n_features), name="windows", dtype="float32")
        x = keras.layers.Dense(
            embedding, kernel_initializer=uniform(seed=integer(seed, "embedding")), name="embedding"
        )(inputs)
        x = XLSTMBlockStack(
            blocks,
            heads=heads,
            conv_kernel=conv_kernel,
            dropout=block_dropout,
            return_sequences=False,
            seed=integer(seed, "xlstm"),
            name="xlstm",
        )(x)
        x = keras.layers.Dropout(dropout, seed=integer(seed, "dropout"), name="dropout")(x)
        # A tenth of Glorot's: its input has unit variance, and full-size logits would start far above log 3.
        small = keras.initializers.VarianceScaling(0.01, "fan_avg", "uniform", seed=integer(seed, "logits"))
        logits = keras.layers.Dense(N_CLASSES, kernel_initializer=small, name="logits")(x)
        super().__init__(inputs=inputs, outputs=logits, name=name)
        self.architecture: dict[str, Any] = {
            "n_features": n_features,
            "length": length,
            "embedding": embedding,
            "heads": heads,
            "blocks": list(blocks),
            "dropout": dropout,
            "block_dropout": block_dropout,
            "conv_kernel": conv_kernel,
            "seed": seed,
        }

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**classifier_config(self), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> XLSTMClassifier:  # noqa: ANN401
        """Build the model again, with new weights drawn from its seed."""
        return cls(**config)


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; received {value}")


def _require_shares(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} must be at least 0 and below 1; received {value}")


def classifier_config(model: XLSTMClassifier) -> dict[str, Any]:
    """Return the architecture as a dictionary that JSON can hold, for `classifier_from_config`."""
    return {**model.architecture, "blocks": list(model.architecture["blocks"])}


def classifier_from_config(config: Mapping[str, Any]) -> XLSTMClassifier:
    """Build the classifier of `classifier_config`; its weights are those of a new model.

    Raises
    ------
    ValueError
        When a key is missing or unknown, or a value out of range.
    """
    known = (
        "n_features",
        "length",
        "embedding",
        "heads",
        "blocks",
        "dropout",
        "block_dropout",
        "conv_kernel",
        "seed",
    )
    for key in config:
        if key not in known:
            raise ValueError(unknown_name("classifier option", key, known))
    if missing := [key for key in known if key not in config]:
        raise ValueError(f"classifier options are missing: {', '.join(missing)}")
    return XLSTMClassifier(**config)
