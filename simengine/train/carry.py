"""Running a network over bars with its state carried along, and the logits that this gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import PluginError
from simengine.train.step import PREDICT_BATCH, TensorFunction, check_ends
from simengine.types import N_CLASSES, Float32Array, IntArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet

_NEEDED = "stateful training needs initial_state(batch) and sequence(x, state, training)"


def check_network(model: keras.Model) -> None:
    """Refuse a network that cannot carry state.

    Raises
    ------
    PluginError
        When ``initial_state`` or ``sequence`` is missing.
    """
    for method in ("initial_state", "sequence"):
        if not callable(getattr(model, method, None)):
            raise PluginError(f"model {model.name}: {method} is missing; {_NEEDED}")


class StateShape:
    """The state of a network for any number of lanes: where its tensors have the batch axis.

    Parameters
    ----------
    model : keras.Model
        With ``initial_state(batch)``, a tree of tensors.
    """

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        self._initial = model.initial_state
        one, two = self._initial(1), self._initial(2)
        # Some states have the batch first, some second (the four states of an sLSTM are (4, B, D)).
        self.axes = tf.nest.map_structure(
            lambda a, b: next(
                axis for axis, sizes in enumerate(zip(a.shape, b.shape, strict=True)) if sizes[0] != sizes[1]
            ),
            one,
            two,
        )
        self.specs = tf.nest.map_structure(
            lambda state, axis: tf.TensorSpec(
                [None if place == axis else size for place, size in enumerate(state.shape)], state.dtype
            ),
            one,
            self.axes,
        )

    def initial(self, lanes: int) -> Any:  # noqa: ANN401 - tree of tensors
        """Return the state before the first bar."""
        return self._initial(lanes)

    def renewed(self, state: Any, initial: Any, fresh: Any) -> Any:  # noqa: ANN401
        """Return ``state``, and ``initial`` in the lanes that are ``fresh`` (bool (B,))."""
        import tensorflow as tf

        def chosen(carried: Any, new: Any, axis: int) -> Any:  # noqa: ANN401
            shape = [-1 if place == axis else 1 for place in range(len(carried.shape))]
            return tf.where(tf.reshape(fresh, shape), new, carried)

        return tf.nest.map_structure(chosen, state, initial, self.axes)


def carrying_logits(
    model: keras.Model, shape: StateShape, chunk: int, n_features: int, *, training: bool = False
) -> TensorFunction:
    """Return the compiled function ``(matrix, rows (B, chunk), state) -> (logits (B, chunk, 3), state)``."""
    import tensorflow as tf

    def logits(matrix: Any, rows: Any, state: Any) -> Any:  # noqa: ANN401
        batch = tf.ensure_shape(tf.gather(matrix, rows), (None, chunk, n_features))
        scores, state = model.sequence(batch, state, training=training)
        return tf.cast(scores, tf.float32), state

    signature = [
        tf.TensorSpec((None, n_features), tf.float32),
        tf.TensorSpec((None, chunk), tf.int32),
        shape.specs,
    ]
    compiled: TensorFunction = tf.function(logits, input_signature=signature)
    return compiled


def predict_carried(
    function: TensorFunction, shape: StateShape, chunk: int, windows: WindowSet
) -> Float32Array:
    """Return the logits (n, 3) at the window ends, with state carried from the start of each series.

    A row's logits depend on the bars of its own series up to it, and on nothing else: not on which other
    windows are asked for.

    Parameters
    ----------
    function : callable
        From `carrying_logits`, not training.
    shape : StateShape
        Of the same network.
    chunk : int
        Bars per call.
    windows : WindowSet
        n windows in any order.
    """
    import tensorflow as tf

    check_ends(windows, "the")
    out = np.empty((len(windows), N_CLASSES), dtype=np.float32)
    matrix = tf.constant(windows.matrix)
    for ids, starts in _batches_of_series(windows):
        ends = windows.ends[ids].astype(np.int64)
        begin, lane = np.unique(starts, return_inverse=True)
        last = np.zeros(len(begin), np.int64)
        np.maximum.at(last, lane, ends)
        step, column = np.divmod(ends - starts, chunk)
        state = shape.initial(len(begin))
        for number in range(int(step.max()) + 1):
            track = begin[:, None] + np.arange(number * chunk, (number + 1) * chunk)
            # Lanes that are through repeat their last bar; nothing reads what they say about it.
            rows = np.minimum(track, last[:, None]).astype(np.int32)
            logits, state = function(matrix, rows, state)
            wanted = np.flatnonzero(step == number)
            if len(wanted):
                out[ids[wanted]] = logits.numpy()[lane[wanted], column[wanted]]
    return out


def _batches_of_series(windows: WindowSet) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield ids of windows, whole series together, with their starts; at most `PREDICT_BATCH` series."""
    starts = windows.series_starts()
    order = np.argsort(starts, kind="stable")
    begins = np.flatnonzero(np.diff(starts[order], prepend=-1))
    for first in range(0, len(begins), PREDICT_BATCH):
        stop = begins[first + PREDICT_BATCH] if first + PREDICT_BATCH < len(begins) else len(order)
        ids = order[begins[first] : stop]
        yield ids, starts[ids]
