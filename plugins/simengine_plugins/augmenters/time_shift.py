"""Train windows moved a little in time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import ConfigError


class TimeShift:
    """Move every train window by a random number of bars and fill the gap with its edge bar.

    A shift of k > 0 moves the bars later: the first bar stands k + 1 times, the last k bars are lost and
    the network must do with older news. A shift of k < 0 moves them earlier: the first bars are lost and
    the last one stands 1 - k times. Both are made of the window's own bars, so no bar beyond the window's
    end is ever seen. Shifts are uniform on -max_bars .. max_bars, one for each window.

    It teaches that the exact place of a pattern does not matter. Where the last bars carry most of the
    signal, as after a short reversal, it teaches something untrue: keep it far below the label's horizon.

    Parameters
    ----------
    max_bars : int
        Longest shift, bars; below the length of a window.

    Examples
    --------
    1, 2, 3, 4 becomes 1, 1, 2, 3 by a shift of 1 and 2, 3, 4, 4 by one of -1.
    """

    def __init__(
        self,
        *,
        max_bars: Annotated[int, Field(ge=1, description="longest shift either way, bars")] = 2,
    ) -> None:
        self.max_bars = max_bars

    def __call__(self, batch: Any, seed: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the batch (B, length, F) with every window shifted as ``seed`` (2,) decides.

        Raises
        ------
        ConfigError
            When a shift can be as long as the window.
        """
        import tensorflow as tf

        length = int(batch.shape[1])
        if self.max_bars >= length:
            raise ConfigError(
                f"training.augment: time_shift max_bars {self.max_bars} must be below window.length {length}"
            )
        shift = tf.random.stateless_uniform(
            (tf.shape(batch)[0],), seed, -self.max_bars, self.max_bars + 1, tf.int32, alg="philox"
        )
        source = tf.clip_by_value(tf.range(length)[None, :] - shift[:, None], 0, length - 1)
        return tf.gather(batch, source, batch_dims=1)


@hookimpl
def simengine_register_augmenters() -> list[Component]:
    """Register the component."""
    return [Component("time_shift", TimeShift)]
