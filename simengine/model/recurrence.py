"""The recurrence of the sLSTM, with its gradient written out.

With raw gates (i, f, z, o) = gates[t] + h[t-1] R, from c = n = h = 0 and m = -inf,

    m[t] = max(i, m[t-1] + log sigmoid(f)),
    i' = exp(i - m[t]),   f' = exp(m[t-1] + log sigmoid(f) - m[t]),
    c[t] = f' c[t-1] + i' tanh(z),   n[t] = f' n[t-1] + i',   h[t] = sigmoid(o) c[t] / n[t]

(Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory", as in the official implementation).

The stabiliser m is a constant in all gradients: h does not depend on it. A state is meant to be carried on,
so that its gradient is right where it is read through the recurrence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

GATES = ("input", "forget", "cell", "output")
"""Order of the gates in every stacked array."""

ScanState = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
"""h, c, n, m; each (heads, B, DH)."""


def _advance(raw: tf.Tensor, c: tf.Tensor, n: tf.Tensor, m: tf.Tensor) -> ScanState:
    """Return (h, c, n, m) after one step with raw gate values (..., 4 DH)."""
    i, f, z, o = tf.split(raw, 4, -1)
    kept = m + tf.math.log_sigmoid(f)
    m = tf.stop_gradient(tf.maximum(i, kept))
    gain, decay = tf.exp(i - m), tf.exp(kept - m)
    c = decay * c + gain * tf.tanh(z)
    n = decay * n + gain
    return tf.sigmoid(o) * c / n, c, n, m


def _started(state: ScanState) -> ScanState:
    """Return the state with m = -inf where nothing was remembered yet.

    The official implementation starts at m = 0 and ignores m in the first step; with -inf the forget gate
    of the first step is exactly 0 and m becomes the input gate.
    """
    h, c, n, m = state
    return h, c, n, tf.where(tf.equal(n, 0.0), tf.constant(float("-inf"), m.dtype), m)


def slstm_step(gates: tf.Tensor, recurrent: tf.Tensor, state: ScanState) -> ScanState:
    """Take one step.

    Parameters
    ----------
    gates : tensor, shape (heads, B, 4 DH)
        Contribution of the inputs and the bias to the gates, in the order of `GATES`.
    recurrent : tensor, shape (heads, DH, 4 DH)
        Recurrent weights R of each head.
    state : tuple of four tensors, shape (heads, B, DH)
        h, c, n, m before the step; m counts as -inf where n is 0.

    Returns
    -------
    tuple
        h, c, n, m after the step.
    """
    h, c, n, m = _started(state)
    return _advance(gates + tf.matmul(h, recurrent), c, n, m)


def _scan_forward(
    gates: tf.Tensor, recurrent: tf.Tensor, start: ScanState, mask: tf.Tensor | None
) -> tuple[tf.Tensor, ...]:
    """Return the sequences (raw, h, c, n, m) of all steps, time first."""
    steps = gates.shape[0]
    heads, head_dim = recurrent.shape[:2]
    inputs = tf.TensorArray(gates.dtype, size=steps).unstack(gates)

    def empty(width: int) -> tf.TensorArray:
        return tf.TensorArray(gates.dtype, size=steps, element_shape=(heads, None, width))

    def body(t: tf.Tensor, state: tuple[Any, ...], kept: tuple[Any, ...]) -> tuple[Any, ...]:
        h, c, n, m = state
        raw = inputs.read(t) + tf.matmul(h if mask is None else h * mask, recurrent)
        state = _advance(raw, c, n, m)
        return t + 1, state, tuple(array.write(t, x) for array, x in zip(kept, (raw, *state), strict=True))

    kept = (empty(4 * head_dim), *(empty(head_dim) for _ in range(4)))
    kept = tf.while_loop(lambda t, *_: t < steps, body, (0, start, kept), maximum_iterations=steps)[2]
    return tuple(array.stack() for array in kept)


def _before(sequence: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Return the sequence one step earlier, ``first`` standing before its start."""
    return tf.concat([first[None], sequence[:-1]], 0)


def _local_derivatives(
    raw: tf.Tensor, c: tf.Tensor, n: tf.Tensor, m: tf.Tensor, start: ScanState
) -> tuple[tf.Tensor, ...]:
    """Return the derivatives within each step that do not depend on later steps, for all steps at once.

    In order: of h by c and n; of (c, n) by their predecessors; of c and n by i; of c and n by f;
    of c by z; of h by o. The stabiliser m cancels in h = o c / n, so it is a constant here.
    """
    i, f, z, o = tf.split(raw, 4, -1)
    gain, decay = tf.exp(i - m), tf.exp(_before(m, start[3]) + tf.math.log_sigmoid(f) - m)
    value, out, ratio = tf.tanh(z), tf.sigmoid(o), c / n
    h_by_c = out / n
    slope = decay * tf.sigmoid(-f)
    return (
        h_by_c,
        -h_by_c * ratio,
        decay,
        gain * value,
        gain,
        slope * _before(c, start[1]),
        slope * _before(n, start[2]),
        gain * (1.0 - tf.square(value)),
        ratio * out * (1.0 - out),
    )


def _scan_backward(
    dh: tf.Tensor,
    last: tuple[tf.Tensor, tf.Tensor],
    recurrent: tf.Tensor,
    mask: tf.Tensor | None,
    derivatives: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, ...]:
    """Return dL/draw of all steps and dL/d(h, c, n) of the state before the first.

    Given dL/dh of all steps and ``last``, what reaches the last c and n from beyond.
    """
    steps = dh.shape[0]
    heads, head_dim = recurrent.shape[:2]
    inputs = [tf.TensorArray(dh.dtype, size=steps).unstack(x) for x in (dh, *derivatives)]
    result = tf.TensorArray(dh.dtype, size=steps, element_shape=(heads, None, 4 * head_dim))

    def body(
        t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, dn: tf.Tensor, result: tf.TensorArray
    ) -> tuple[Any, ...]:
        outer, h_c, h_n, decay, c_i, n_i, c_f, n_f, c_z, h_o = [array.read(t) for array in inputs]
        dh = dh + outer
        dc, dn = dc + dh * h_c, dn + dh * h_n
        draw = tf.concat([dc * c_i + dn * n_i, dc * c_f + dn * n_f, dc * c_z, dh * h_o], -1)
        carried = tf.matmul(draw, recurrent, transpose_b=True)
        carried = carried if mask is None else carried * mask
        return t - 1, carried, dc * decay, dn * decay, result.write(t, draw)

    start = (steps - 1, tf.zeros_like(dh[0]), *last, result)
    _, *first, result = tf.while_loop(lambda t, *_: t >= 0, body, start, maximum_iterations=steps)
    return (result.stack(), *first)


def _differentiable_scan(mask: tf.Tensor | None) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Return (gates, R, h, c, n, m) -> (all h, last c, last n, last m) with its gradient."""

    def scan(gates: tf.Tensor, recurrent: tf.Tensor, *start: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        raw, h, c, n, m = _scan_forward(gates, recurrent, start, mask)

        def grad(dh: tf.Tensor, dc: tf.Tensor, dn: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
            derivatives = _local_derivatives(raw, c, n, m, start)
            draw, *first = _scan_backward(dh, (dc, dn), recurrent, mask, derivatives)
            seen = _before(h, start[0])
            seen = seen if mask is None else seen * mask
            # exp(m) multiplies c and n of the start alike.
            dm = first[1] * start[1] + first[2] * start[2]
            return (draw, tf.einsum("shbd,shbe->hde", seen, draw), *first, dm)

        return (h, c[-1], n[-1], tf.stop_gradient(m[-1])), grad

    differentiable: Callable[..., tuple[tf.Tensor, ...]] = tf.custom_gradient(scan)
    return differentiable


def slstm_scan(
    gates: tf.Tensor,
    recurrent: tf.Tensor,
    *,
    initial_state: ScanState | None = None,
    recurrent_mask: tf.Tensor | None = None,
    return_state: bool = False,
) -> Any:  # noqa: ANN401 - with the state or without
    """Run the recurrence over all steps.

    The gradient is written out: it keeps one loop in each direction and sums the weight gradient of all
    steps in a single product.

    Parameters
    ----------
    gates : tensor, shape (S, heads, B, 4 DH)
        Contribution of the inputs and the bias to the gates, in the order of `GATES`; S is static.
    recurrent : tensor, shape (heads, DH, 4 DH)
        Recurrent weights R of each head.
    initial_state : tuple of four tensors, shape (heads, B, DH), optional
        h, c, n, m before the first step; m counts as -inf where n is 0.
    recurrent_mask : tensor, shape (heads, B, DH), optional
        Multiplies h[t-1] in front of R in every step (dropout); it gets no gradient.
    return_state : bool
        Whether to return h, c, n, m after the last step too.

    Returns
    -------
    tensor of shape (S, heads, B, DH), or (tensor, state)
        The hidden states.
    """
    if initial_state is None:
        zero = tf.zeros_like(gates[0, ..., : recurrent.shape[1]])
        initial_state = (zero, zero, zero, zero)
    hidden, c, n, m = _differentiable_scan(recurrent_mask)(gates, recurrent, *_started(initial_state))
    return (hidden, (hidden[-1], c, n, m)) if return_state else hidden
