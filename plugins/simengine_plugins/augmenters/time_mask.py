"""Train windows with holes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import ConfigError


class TimeMask:
    """Blank out random spans of bars, all features of a bar at once.

    The time masking of Park et al., "SpecAugment", Interspeech 2019: the length of a span is uniform on
    0 .. max_bars, its first bar uniform on the places where it fits into the window. Every window has its
    own spans; they may overlap, and may cover the last bar, the one that the decision is made at. It
    keeps the network from leaning on a few bars, and costs signal where few bars have it.

    Parameters
    ----------
    spans : int
        Spans in each window.
    max_bars : int
        Longest span, bars; at most the length of a window.
    fill : {"zero", "mean"}
        What masked bars hold: 0, the mean of every scaled feature on train, or the mean of each feature
        over the window, masked bars included.

    Examples
    --------
    With one span of up to 6 bars, 3 bars of a window are blank on average.
    """

    def __init__(
        self,
        *,
        spans: Annotated[int, Field(ge=1, description="spans in each window")] = 1,
        max_bars: Annotated[int, Field(ge=1, description="longest span, bars")] = 6,
        fill: Annotated[
            Literal["zero", "mean"],
            Field(description="masked bars hold 0, the train mean, or the window's mean of each feature"),
        ] = "zero",
    ) -> None:
        self.spans = spans
        self.max_bars = max_bars
        self.fill = fill

    def __call__(self, batch: Any, seed: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the batch (B, length, F) with the spans that ``seed`` (2,) decides masked.

        Raises
        ------
        ConfigError
            When a span can be longer than the window.
        """
        import tensorflow as tf

        length = int(batch.shape[1])
        if self.max_bars > length:
            raise ConfigError(
                f"training.augment: time_mask max_bars {self.max_bars} must be at most window.length {length}"
            )
        # Integers, since floats are drawn otherwise by a compiled step; the remainder's bias is below 1e-7.
        drawn = tf.random.stateless_uniform(
            (tf.shape(batch)[0], self.spans, 2), seed, 0, 2**31 - 1, tf.int32, alg="philox"
        )
        bars = drawn[..., 0] % (self.max_bars + 1)
        first = drawn[..., 1] % (length - bars + 1)
        place = tf.range(length)
        inside = (place >= first[..., None]) & (place < (first + bars)[..., None])
        masked = tf.reduce_any(inside, axis=1)[..., None]
        fill = tf.zeros_like(batch)
        if self.fill == "mean":
            fill += tf.reduce_mean(batch, axis=1, keepdims=True)
        return tf.where(masked, fill, batch)


@hookimpl
def simengine_register_augmenters() -> list[Component]:
    """Register the component."""
    return [Component("time_mask", TimeMask)]
