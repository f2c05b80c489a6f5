"""The xLSTM signal classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from simengine.errors import unknown_name
from simengine.model.base import Mode, State
from simengine.model.option_checks import (
    options_config,
    options_from,
    require_at_least,
    require_known,
    require_shares,
)
from simengine.model.options import (
    Activation,
    BlockKind,
    FeedForwardOptions,
    Form,
    Kernels,
    LargeOptions,
    MLSTMOptions,
    SLSTMOptions,
    StackOptions,
)
from simengine.model.stack import XLSTMBlockStack
from simengine.seed import integer
from simengine.types import N_CLASSES

if TYPE_CHECKING:
    from simengine.model.streaming import Stream, StreamMode

Precision = Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """Options of `XLSTMClassifier`.

    The defaults are also what a stored architecture without the key means, so none may change.

    Parameters
    ----------
    embedding : int
        Width of the residual stream.
    embedding_bias : float
        Standard deviation of the initial biases of the embedding. The blocks normalise what they see, so
        that without a bias two bars whose features differ by a factor alone look the same to them.
    heads : int
        Memory heads of every block; divides ``embedding``.
    blocks : sequence of {"mlstm", "slstm", "mlstm_large"}
        Kind of each block, first to last.
    dropout : float
        Share of the last hidden state that is dropped in training, in [0, 1).
    block_dropout : float
        Share dropped in training of what each part of a block adds, in [0, 1).
    recurrent_dropout : float
        Share of h[t-1] that sLSTM blocks drop in training, one mask per sequence, in [0, 1).
    conv_kernel : int
        Taps of the causal convolution within blocks; 0 for none.
    qkv_block, proj_factor : int, float
        Of mLSTM blocks, see `MLSTMOptions`.
    ffn_factor, activation : float, str
        Of the feed-forward net of sLSTM blocks, see `FeedForwardOptions`.
    use_bias : bool
        Whether projections within blocks have biases.
    form, chunk_size : str, int
        How an mLSTM runs over a sequence; the result is the same.
    final_norm : bool
        Whether a layer normalisation follows the last block.
    head_bias : sequence of three floats
        Initial biases of the logits, such as the log of class shares.
    precision : {"float32", "mixed_bfloat16"}
        ``mixed_bfloat16`` computes large products in 16 bits; weights, memories, gates, normalisations, the
        residual stream and the logits stay float32.
    kernels : {"tensorflow", "native"}
        What computes mLSTM and sLSTM layers, see `MLSTMOptions`.
    stateful : bool
        Whether the model is trained to carry its state on from bar to bar. Only recorded: it tells those
        who score with the model which way is its own.
    """

    embedding: int = 16
    embedding_bias: float = 0.0
    heads: int = 4
    blocks: Sequence[BlockKind] = ("mlstm", "slstm")
    dropout: float = 0.1
    block_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    conv_kernel: int = 4
    qkv_block: int = 4
    proj_factor: float = 2.0
    ffn_factor: float = 1.3
    activation: Activation = "gelu"
    use_bias: bool = False
    form: Form = "parallel"
    chunk_size: int = 60
    final_norm: bool = True
    head_bias: Sequence[float] = (0.0, 0.0, 0.0)
    precision: Precision = "float32"
    kernels: Kernels = "tensorflow"
    stateful: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, embedding=self.embedding, heads=self.heads)
        require_at_least(0, conv_kernel=self.conv_kernel, embedding_bias=self.embedding_bias)
        require_shares(dropout=self.dropout, block_dropout=self.block_dropout)
        require_known("precision", self.precision, get_args(Precision))
        if self.embedding % self.heads:
            heads, embedding = self.heads, self.embedding
            raise ValueError(f"heads must divide embedding; received heads {heads}, embedding {embedding}")
        if "slstm" in self.blocks and self.embedding == self.heads:
            raise ValueError(
                f"heads {self.heads} leave an slstm heads of one unit, which its normalisation makes 0; "
                f"use fewer heads or an embedding above {self.embedding}"
            )
        bias = np.asarray(self.head_bias, float)
        if bias.shape != (N_CLASSES,) or not np.isfinite(bias).all():
            raise ValueError(f"head_bias must be {N_CLASSES} finite numbers; received {self.head_bias}")
        object.__setattr__(self, "head_bias", tuple(bias.tolist()))
        object.__setattr__(self, "blocks", self.stack().blocks)

    def stack(self) -> StackOptions:
        """Return the options of the stack of blocks."""
        form: dict[str, Any] = {"form": self.form, "chunk_size": self.chunk_size}
        common: dict[str, Any] = {"heads": self.heads, "dropout": self.block_dropout}
        kernels: dict[str, Any] = {"kernels": self.kernels}
        mlstm = MLSTMOptions(
            conv_kernel=self.conv_kernel,
            proj_factor=self.proj_factor,
            qkv_block=self.qkv_block,
            use_bias=self.use_bias,
            **common,
            **form,
            **kernels,
        )
        slstm = SLSTMOptions(
            conv_kernel=self.conv_kernel, recurrent_dropout=self.recurrent_dropout, **common, **kernels
        )
        ffn = FeedForwardOptions(
            proj_factor=self.ffn_factor,
            activation=self.activation,
            use_bias=self.use_bias,
            dropout=self.block_dropout,
        )
        return StackOptions(
            blocks=self.blocks,
            mlstm=mlstm,
            slstm=slstm,
            ffn=ffn,
            large=LargeOptions(use_bias=self.use_bias, **common, **form),
            final_norm="layer" if self.final_norm else None,
        )


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
        require_at_least(1, n_features=n_features, length=length)
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
        """
        embedded = self.get_layer("embedding")(x)
        hidden, after = self.get_layer("xlstm").run(embedded, Mode(training, state, True, True))
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
