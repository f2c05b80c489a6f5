"""Cross-entropy, the proper score that training minimises by default."""

from __future__ import annotations

from typing import Any

from simengine import Component, hookimpl


class CrossEntropy:
    """Cross-entropy: -sum_c t_c log p_c with p = softmax(logits)."""

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the loss (B,) of float targets (B, 3) and logits (B, 3)."""
        import tensorflow as tf

        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


@hookimpl
def simengine_register_losses() -> list[Component]:
    """Register the component."""
    return [Component("cross_entropy", CrossEntropy)]
