"""What all layers of the xLSTM share: explicit casts, states, a step, and how they are written down."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from simengine.model.call_checks import require_inputs, require_state
from simengine.model.option_checks import options_config, require_whole

Config = dict[str, Any]
Shape = tuple[int | None, ...]
State = tuple[Any, ...]
"""Of a memory: a tuple of tensors. Of a stack: a tuple with the state of each block."""
StateShapes = dict[str, Shape] | tuple[Any, ...]
"""Of a memory: the shapes of its tensors by name. Of a stack: a tuple with those of each block."""


class Mode(NamedTuple):
    """How a sequence is run.

    Parameters
    ----------
    training : bool
        Whether dropout drops.
    state : tuple, optional
        The state before the first step; None starts from nothing.
    keep_state : bool
        Whether the state after the last step is wanted.
    every_step : bool
        Whether all outputs are wanted or the last only.
    """

    training: bool = False
    state: State | None = None
    keep_state: bool = False
    every_step: bool = True


def steps_of(x: tf.Tensor) -> int:
    """Return the number of steps of (B, S, D).

    Raises
    ------
    ValueError
        When it is not known while the graph is built.
    """
    if len(x.shape) != 3 or x.shape[1] is None:
        raise ValueError(f"expected a sequence (B, S, D) with a known length S; received shape {x.shape}")
    return int(x.shape[1])


class XLSTMLayer(keras.layers.Layer):
    """Layer that casts by itself.

    Under a mixed policy Keras would cast inputs, weights and states alike to 16 bits. Here large products
    alone are computed in ``compute_dtype``; gates, memories, normalisations and the residual stream keep
    ``memory_dtype``, which is float32 then.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(autocast=False, **kwargs)

    @property
    def memory_dtype(self) -> str:
        """The dtype of states, gates and outputs."""
        return "float32" if self.compute_dtype in ("bfloat16", "float16") else str(self.compute_dtype)

    def _weight(
        self, name: str, shape: tuple[int, ...], initializer: str | keras.initializers.Initializer
    ) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

    def _low(self, x: Any) -> tf.Tensor:  # noqa: ANN401 - tensor or variable
        """Return ``x`` in the dtype of large products."""
        return tf.cast(tf.convert_to_tensor(x), self.compute_dtype)

    def _high(self, x: Any) -> tf.Tensor:  # noqa: ANN401 - tensor, array or variable
        """Return ``x`` in the dtype of the memory."""
        return tf.cast(tf.convert_to_tensor(x), self.memory_dtype)

    def compute_output_spec(self, x: keras.KerasTensor, *args: Any, **kwargs: Any) -> keras.KerasTensor:  # noqa: ANN401
        """Return shape and dtype of the output without running the layer."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=self.memory_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return tuple(input_shape)


class SequenceLayer(XLSTMLayer):
    """Layer that runs over a sequence with a state.

    A subclass defines `run`, `width`, `first_state` and `state_shapes`.

    Parameters
    ----------
    options : dataclass
        Options of the layer.
    return_sequences : bool
        Whether the layer returns all steps or the last only. In the latter case everything that does not
        feed the memory is computed for the last step alone; the result is the same.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        options: Any,  # noqa: ANN401 - a class of simengine.model.options
        *,
        return_sequences: bool = True,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.options = options
        self.return_sequences = return_sequences
        self.seed = seed

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Map (B, S, D) to (B, S, D), or (B, D) without ``mode.every_step``, and the state if it is kept."""
        raise NotImplementedError

    def run_normed(self, x: tf.Tensor, norm: XLSTMLayer, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over ``norm(x)``; for layers that can do both at once."""
        return self.run(norm(x), mode)

    def initial_state(self, batch: int, official: bool = False) -> State:
        """Return the state before the first step of ``batch`` sequences.

        Parameters
        ----------
        batch : int
            Number of sequences B.
        official : bool
            Whether the stabiliser of the mLSTM starts at 0, as in the official stepwise run, instead of
            -inf, with which stepwise and parallel form agree exactly. Results differ by rounding and by the
            epsilon of the normaliser. The sLSTM always starts at -inf, in effect the official one too.

        Raises
        ------
        ValueError
            When the layer is not built, or ``batch`` is no whole number of at least 0.
        """
        self._require_built()
        if not tf.is_tensor(batch):
            require_whole(0, batch=batch)
        return self.first_state(batch, 0.0 if official else -math.inf)

    def _require_built(self) -> None:
        if not self.built:
            raise ValueError(
                f"{self.name} has no weights yet; build it first: layer.build((None, None, width))"
            )

    @property
    def width(self) -> int:
        """Channels D of the inputs, once the layer is built."""
        raise NotImplementedError

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, the stabiliser of an mLSTM being ``first_m``."""
        raise NotImplementedError

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state of ``batch`` sequences by name; in a stack a tuple of those."""
        raise NotImplementedError

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Run over a sequence, see `call`.

        Inputs and state are looked at here: what fails within `call`, Keras reports in many lines.

        Raises
        ------
        ValueError
            When inputs or state do not have the shapes that the layer is built for, or the number of steps is
            not known while the graph is built.
        """
        require_inputs(self.name, x, "B, S, D", self.width if self.built else None)
        if not isinstance(x, keras.KerasTensor):
            steps_of(x)
        if (state := kwargs.get("initial_state")) is not None:
            if not self.built:
                self.build(tuple(x.shape))
            require_state(self.name, state, self.state_shapes(x.shape[0]))
        return super().__call__(x, *args, **kwargs)

    def call(
        self,
        x: tf.Tensor,
        training: bool = False,
        initial_state: State | None = None,
        return_state: bool = False,
    ) -> Any:  # noqa: ANN401 - with the state or without
        """Run over a sequence.

        Parameters
        ----------
        x : tensor, shape (B, S, D)
            The inputs; S must be known while the graph is built.
        training : bool
            Whether dropout drops.
        initial_state : tuple, optional
            State to go on from, of `initial_state` or of an earlier call.
        return_state : bool
            Whether to return the state after the last step too.

        Returns
        -------
        tensor, or (tensor, state)
            Shape (B, S, D), or (B, D) without ``return_sequences``.
        """
        mode = Mode(bool(training), initial_state, bool(return_state), self.return_sequences)
        y, state = self.run(x, mode)
        return (y, state) if return_state else y

    def step(self, x: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Take one step: (B, D) and the state before it to (B, D) and the state after it.

        Raises
        ------
        ValueError
            When the layer is not built, or inputs or state do not have the shapes that it is built for.
        """
        self._require_built()
        x = tf.convert_to_tensor(x)
        require_inputs(self.name, x, "B, D", self.width)
        if state is not None:
            require_state(self.name, state, self.state_shapes(x.shape[0]))
        y, after = self.run(x[:, None], Mode(False, state, True, False))
        assert after is not None
        return y, after

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return tuple(input_shape) if self.return_sequences else (input_shape[0], input_shape[-1])

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"options": options_config(self.options), "return_sequences": self.return_sequences}
        return {**super().get_config(), **own, "seed": self.seed}
