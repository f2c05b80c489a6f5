"""The two recurrences against their definitions, step by step in plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from simengine.model.memory import mlstm_parallel
from simengine.model.recurrence import slstm_scan, slstm_step


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def slstm_reference(gates, recurrent):
    steps, heads, rows, width = gates.shape
    h, c, n = (np.zeros((heads, rows, width // 4)) for _ in range(3))
    m = np.full_like(h, -np.inf)
    out = []
    for t in range(steps):
        i, f, z, o = np.split(gates[t] + h @ recurrent, 4, -1)
        kept = m + log_sigmoid(f)
        m = np.maximum(i, kept)
        c = np.exp(kept - m) * c + np.exp(i - m) * np.tanh(z)
        n = np.exp(kept - m) * n + np.exp(i - m)
        h = c / n / (1 + np.exp(-o))
        out.append(h)
    return np.stack(out)


def mlstm_reference(q, k, v, i, f):
    heads, rows, steps, width = q.shape
    c, n = np.zeros((heads, rows, width, width)), np.zeros((heads, rows, width))
    m = np.full((heads, rows), -np.inf)
    out = np.empty_like(q)
    for t in range(steps):
        kept = log_sigmoid(f[..., t]) + m
        m = np.maximum(kept, i[..., t])
        decay, gain = np.exp(kept - m), np.exp(i[..., t] - m)
        key = k[:, :, t] / np.sqrt(width)
        c = decay[..., None, None] * c + gain[..., None, None] * key[..., :, None] * v[:, :, t, None, :]
        n = decay[..., None] * n + gain[..., None] * key
        read = np.einsum("hbd,hbde->hbe", q[:, :, t], c)
        size = np.maximum(np.abs(np.einsum("hbd,hbd->hb", q[:, :, t], n)), np.exp(-m))
        out[:, :, t] = read / (size + 1e-6)[..., None]
    return out


def test_slstm_scan_is_the_recurrence():
    rng = np.random.default_rng(0)
    gates, recurrent = 3 * rng.normal(size=(9, 2, 4, 12)), rng.normal(size=(2, 3, 12))
    hidden = slstm_scan(tf.constant(gates), tf.constant(recurrent)).numpy()
    np.testing.assert_allclose(hidden, slstm_reference(gates, recurrent), rtol=0, atol=1e-13)


def assert_slopes_are_the_numerical_ones(total, sources):
    """Compare dL along one random direction per source."""
    sources = [tf.constant(source) for source in sources]
    rng = np.random.default_rng(100)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = total(*sources)
    for place, gradient in enumerate(tape.gradient(value, sources)):
        direction, sides = rng.normal(size=gradient.shape), []
        for sign in (1, -1):
            moved = [*sources]
            moved[place] = moved[place] + sign * 1e-5 * direction
            sides.append(float(total(*moved)))
        assert np.sum(gradient * direction) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6), place


def test_the_written_slstm_gradient_is_the_numerical_one():
    rng = np.random.default_rng(1)
    gates, recurrent = rng.normal(size=(5, 2, 2, 8)), rng.normal(size=(2, 2, 8))
    weights = rng.normal(size=(5, 2, 2, 2))
    assert_slopes_are_the_numerical_ones(
        lambda g, r: tf.reduce_sum(slstm_scan(g, r) * weights), [gates, recurrent]
    )


def test_slstm_gates_far_from_zero_stay_finite():
    gates = tf.constant(np.random.default_rng(2).choice([-60.0, 0.0, 60.0], size=(20, 1, 50, 8)).astype("f"))
    recurrent = tf.zeros((1, 2, 8))
    with tf.GradientTape() as tape:
        tape.watch(gates)
        hidden = slstm_scan(gates, recurrent)
    assert np.isfinite(hidden).all()
    assert np.isfinite(tape.gradient(hidden, gates)).all()
    assert np.abs(hidden).max() <= 1 + 1e-6


def test_mlstm_parallel_form_is_the_recurrence():
    rng = np.random.default_rng(3)
    q, k, v = rng.normal(size=(3, 2, 4, 11, 5))
    i, f = 2 * rng.normal(size=(2, 2, 4, 11))
    expected = mlstm_reference(q, k, v, i, f)
    np.testing.assert_allclose(
        mlstm_parallel(*map(tf.constant, (q, k, v, i, f))), expected, rtol=0, atol=1e-11
    )
    last = mlstm_parallel(*map(tf.constant, (q[:, :, -1:], k, v, i, f)))
    np.testing.assert_allclose(last, expected[:, :, -1:], rtol=0, atol=1e-11)


def slstm_inputs(seed, steps=5):
    rng = np.random.default_rng(seed)
    gates, recurrent = 2 * rng.normal(size=(steps, 2, 3, 8)), rng.normal(size=(2, 2, 8))
    h, c, m = rng.normal(size=(3, 2, 3, 2))
    return [tf.constant(x) for x in (gates, recurrent, h, c, np.exp(rng.normal(size=h.shape)), m)]


def test_an_slstm_sequence_in_two_parts_is_the_whole():
    gates, recurrent, *start = slstm_inputs(6)
    whole, last = slstm_scan(gates, recurrent, initial_state=start, return_state=True)
    first, state = slstm_scan(gates[:3], recurrent, initial_state=start, return_state=True)
    second, end = slstm_scan(gates[3:], recurrent, initial_state=state, return_state=True)
    np.testing.assert_allclose(tf.concat([first, second], 0), whole, rtol=0, atol=1e-14)
    for ours, theirs in zip(end, last, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
    state = tuple(start)
    for t in range(gates.shape[0]):
        state = slstm_step(gates[t], recurrent, state)
        np.testing.assert_allclose(state[0], whole[t], rtol=0, atol=1e-14)


def test_the_slstm_gradient_flows_through_the_state():
    sources = slstm_inputs(7)
    rng = np.random.default_rng(8)
    mask = tf.constant(rng.choice([0.0, 2.0], size=(2, 3, 2)))
    weights = rng.normal(size=(5, 2, 3, 2))

    def total(gates, recurrent, *start):
        first, state = slstm_scan(
            gates[:3], recurrent, initial_state=start, recurrent_mask=mask, return_state=True
        )
        second = slstm_scan(gates[3:], recurrent, initial_state=state, recurrent_mask=mask)
        return tf.reduce_sum(tf.concat([first, second], 0) * weights)

    assert_slopes_are_the_numerical_ones(total, sources)


def test_an_slstm_state_of_zeros_is_the_beginning():
    # The official implementation begins with zeros, m among them, and ignores m in the first step.
    gates, recurrent, *start = slstm_inputs(9)
    zeros = tuple(tf.zeros_like(x) for x in start)
    expected, last = slstm_scan(gates, recurrent, return_state=True)
    hidden, state = slstm_scan(gates, recurrent, initial_state=zeros, return_state=True)
    np.testing.assert_array_equal(hidden, expected)
    np.testing.assert_array_equal(state[3], last[3])


def test_the_recurrent_mask_stands_between_hidden_state_and_weights():
    gates, recurrent, *_ = slstm_inputs(10)
    mask = np.random.default_rng(11).choice([0.0, 2.0], size=(2, 1, 2))
    masked = slstm_scan(gates, recurrent, recurrent_mask=tf.constant(np.tile(mask, (1, 3, 1))))
    np.testing.assert_allclose(masked, slstm_scan(gates, recurrent * mask[:, 0, :, None]), rtol=0, atol=1e-14)
