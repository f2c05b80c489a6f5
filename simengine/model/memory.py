"""The memory of the mLSTM in three forms that agree: parallel, chunkwise and recurrent.

With keys k (scaled by 1 / sqrt(DH)), values v, queries q, raw gates i and f, from C = n = 0 and m = -inf,

    m[t] = max(i, m[t-1] + log sigmoid(f)),
    i' = exp(i - m[t]),   f' = exp(m[t-1] + log sigmoid(f) - m[t]),
    C[t] = f' C[t-1] + i' k v^T,   n[t] = f' n[t-1] + i' k,
    h[t] = q^T C[t] / (max(|q^T n[t]|, exp(-m[t])) + epsilon)

(Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory", as in the official implementation).

Shapes: q and k (..., S, DHk), v (..., S, DHv), gates (..., S); a state is (C (..., DHk, DHv),
n (..., DHk, 1), m (..., 1, 1)). Leading axes are any, the same for all. q may hold the last T of the S steps
only; then so does h. S and T must be known while the graph is built.

The stabiliser m is a constant in all gradients: h depends on it through epsilon only. A state is meant to be
carried on, so that its gradient is right where it is read through another of these functions.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from simengine.model.memory_parts import MemoryState, log_decay, memorise, quotient, read_with_queries
from simengine.model.options import LargeOptions, MLSTMOptions


def zero_state(
    shape: Any,  # noqa: ANN401 - integers or a tensor
    key_dim: int,
    value_dim: int,
    dtype: Any,  # noqa: ANN401
    initial_m: float = -math.inf,
) -> MemoryState:
    """Return the state before the first step.

    Parameters
    ----------
    shape : sequence of int, or tensor
        The leading axes.
    key_dim, value_dim : int
        Widths DHk and DHv of a head.
    dtype : dtype
        Of the state.
    initial_m : float
        Stabiliser to start from: -inf agrees with the parallel form, 0 is the official stepwise run.
    """
    last = state_shapes((), key_dim, value_dim).values()
    c, n, m = (
        tf.fill(tf.concat([shape, sizes], 0), tf.constant(value, dtype))
        for sizes, value in zip(last, (0.0, 0.0, initial_m), strict=True)
    )
    return c, n, m


def state_shapes(
    leading: tuple[int | None, ...], key_dim: int, value_dim: int
) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of a state by name, with these leading axes."""
    return {"C": (*leading, key_dim, value_dim), "n": (*leading, key_dim, 1), "m": (*leading, 1, 1)}


def mlstm_parallel(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    forget_gate: tf.Tensor,
    *,
    initial_state: MemoryState | None = None,
    epsilon: float = 1e-6,
    return_state: bool = False,
) -> Any:  # noqa: ANN401 - with the state or without
    """Read the memory with all queries at once, in a time and space quadratic in S.

    With a[t] the sum of log sigmoid(f) up to t, D[t, s] = a[t] - a[s] + i[s] for s <= t and
    M[t] = max_s D[t, s], the unrolled recurrence is

        W[t, s] = (q[t] . k[s] / sqrt(DH)) exp(D[t, s] - M[t])
        h[t] = sum_s W[t, s] v[s] / (max(|sum_s W[t, s]|, exp(-M[t])) + epsilon)

    An initial state is one more summand, with D = a[t] + m.

    Parameters
    ----------
    q, k, v, input_gate, forget_gate : tensor
        See the module for the shapes.
    initial_state : tuple, optional
        State before the first step.
    epsilon : float
        Added to the normaliser.
    return_state : bool
        Whether to return the state after the last step too.

    Returns
    -------
    tensor of shape (..., T, DHv), or (tensor, state)
    """
    decay = log_decay(forget_gate)
    hidden = read_with_queries(q, k, v, input_gate, decay, initial_state, epsilon)
    return (hidden, memorise(k, v, input_gate, decay, initial_state)) if return_state else hidden


def mlstm_chunkwise(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    forget_gate: tf.Tensor,
    *,
    chunk_size: int,
    initial_state: MemoryState | None = None,
    epsilon: float = 1e-6,
    return_state: bool = False,
) -> Any:  # noqa: ANN401 - with the state or without
    """Run the parallel form within chunks and carry the state between them: linear in S.

    Parameters and results are those of `mlstm_parallel`. The last chunk holds what is left. Every chunk adds
    its operations to the graph: meant for tens of chunks, not thousands.

    Raises
    ------
    ValueError
        When ``chunk_size`` is not positive.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1; received {chunk_size}")
    steps, unread = k.shape[-2], k.shape[-2] - q.shape[-2]
    state, hidden = initial_state, []
    for start in range(0, steps, chunk_size):
        stop = min(start + chunk_size, steps)
        keys, values, gate = k[..., start:stop, :], v[..., start:stop, :], input_gate[..., start:stop]
        decay = log_decay(forget_gate[..., start:stop])
        if stop > unread:
            queries = q[..., max(start - unread, 0) : stop - unread, :]
            hidden.append(read_with_queries(queries, keys, values, gate, decay, state, epsilon))
        if stop < steps or return_state:
            state = memorise(keys, values, gate, decay, state)
    result = hidden[0] if len(hidden) == 1 else tf.concat(hidden, -2)
    return (result, state) if return_state else result


def mlstm_step(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    forget_gate: tf.Tensor,
    *,
    state: MemoryState,
    epsilon: float = 1e-6,
) -> tuple[tf.Tensor, MemoryState]:
    """Take one step of the recurrence.

    Parameters
    ----------
    q, k : tensor, shape (..., DHk)
    v : tensor, shape (..., DHv)
    input_gate, forget_gate : tensor, shape (...)
        Raw gate values.
    state : tuple
        State before the step.
    epsilon : float
        Added to the normaliser.

    Returns
    -------
    h : tensor, shape (..., DHv)
    state : tuple
        State after the step.
    """
    memory, size, m = state
    raw, log_kept = input_gate[..., None, None], tf.math.log_sigmoid(forget_gate)[..., None, None] + m
    m = tf.stop_gradient(tf.maximum(raw, log_kept))
    gain, kept = tf.exp(raw - m), tf.exp(log_kept - m)
    key = k[..., None] * (gain * (1.0 / math.sqrt(k.shape[-1])))
    memory, size = kept * memory + key * v[..., None, :], kept * size + key
    query = q[..., None, :]
    read = quotient(tf.matmul(query, memory), tf.matmul(query, size), m, tf.zeros_like(m), epsilon)
    return read[..., 0, :], (memory, size, m)


def mlstm_recurrent(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    forget_gate: tf.Tensor,
    *,
    initial_state: MemoryState | None = None,
    epsilon: float = 1e-6,
    return_state: bool = False,
) -> Any:  # noqa: ANN401 - with the state or without
    """Run the recurrence step by step.

    Parameters and results are those of `mlstm_parallel`. The gradient keeps C of every step.
    """
    steps, queries = k.shape[-2], q.shape[-2]
    if initial_state is None:
        initial_state = zero_state(tf.shape(k)[:-2], k.shape[-1], v.shape[-1], k.dtype)
    # Steps that nobody reads get a query of zeros.
    padded = tf.pad(q, [[0, 0]] * (len(q.shape) - 2) + [[steps - queries, 0], [0, 0]])
    sequences = [_time_first(x, 2) for x in (padded, k, v)]
    sequences += [_time_first(x, 1) for x in (input_gate, forget_gate)]
    inputs = [tf.TensorArray(x.dtype, steps).unstack(x) for x in sequences]
    output = tf.TensorArray(v.dtype, steps, element_shape=sequences[2].shape[1:])

    def body(t: tf.Tensor, state: MemoryState, output: tf.TensorArray) -> tuple[Any, ...]:
        hidden, state = mlstm_step(*(array.read(t) for array in inputs), state=state, epsilon=epsilon)
        return t + 1, state, output.write(t, hidden)

    start = (tf.constant(0), tuple(initial_state), output)
    _, state, output = tf.while_loop(lambda t, *_: t < steps, body, start, maximum_iterations=steps)
    hidden = tf.gather(output.stack(), tf.range(steps - queries, steps))
    rank = len(hidden.shape)
    hidden = tf.transpose(hidden, [*range(1, rank - 1), 0, rank - 1])
    return (hidden, state) if return_state else hidden


def _time_first(x: tf.Tensor, from_end: int) -> tf.Tensor:
    rank = len(x.shape)
    time = rank - from_end
    return tf.transpose(x, [time, *(axis for axis in range(rank) if axis != time)])


def run_memory(
    inputs: tuple[tf.Tensor, ...],
    options: MLSTMOptions | LargeOptions,
    state: MemoryState | None,
    keep_state: bool,
) -> tuple[tf.Tensor, MemoryState | tuple[()]]:
    """Run the form that a layer's options name, heads first.

    Parameters
    ----------
    inputs : tuple of tensors
        q (heads, B, T, DHk), k, v and the raw gates.
    options : MLSTMOptions or LargeOptions
        Name the form and its chunks.
    state : tuple, optional
        The state before, batch first as layers have it: (C (B, heads, DHk, DHv), n, m).
    keep_state : bool
        Whether the state after is wanted.

    Returns
    -------
    hidden : tensor, shape (heads, B, T, DHv)
    state : tuple
        The state after, batch first; empty unless kept.
    """
    if state is not None:
        state = _swap(state, inputs[1].dtype)
    common: dict[str, Any] = {"initial_state": state, "return_state": keep_state}
    if options.form == "chunkwise":
        result = mlstm_chunkwise(*inputs, chunk_size=options.chunk_size, **common)
    else:
        run = mlstm_parallel if options.form == "parallel" else mlstm_recurrent
        result = run(*inputs, **common)
    return (result[0], _swap(result[1], inputs[1].dtype)) if keep_state else (result, ())


def _swap(state: MemoryState, dtype: Any) -> MemoryState:  # noqa: ANN401
    """Exchange the first two axes of a state."""
    memory, size, m = (tf.transpose(tf.cast(x, dtype), (1, 0, 2, 3)) for x in state)
    return memory, size, m
