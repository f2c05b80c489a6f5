"""Parallel, chunkwise and recurrent form of the mLSTM's memory are one function."""

import numpy as np
import pytest
import tensorflow as tf

from simengine.model.memory import mlstm_chunkwise, mlstm_parallel, mlstm_recurrent, mlstm_step, zero_state
from simengine.model.mlstm import MLSTM
from simengine.model.options import MLSTMOptions

STEPS, KEYS, VALUES = 60, 6, 4
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
FORMS = {
    "chunks of 7": (mlstm_chunkwise, {"chunk_size": 7}),
    "chunks of 15": (mlstm_chunkwise, {"chunk_size": 15}),
    "chunks of 20": (mlstm_chunkwise, {"chunk_size": 20}),
    "chunks of 60": (mlstm_chunkwise, {"chunk_size": 60}),
    "chunks of 100": (mlstm_chunkwise, {"chunk_size": 100}),
    "recurrent": (mlstm_recurrent, {}),
}


def inputs(dtype="float64", steps=STEPS, seed=0, gate=2.0):
    rng = np.random.default_rng(seed)
    q, k = rng.normal(size=(2, 2, 3, steps, KEYS))
    v = rng.normal(size=(2, 3, steps, VALUES))
    i, f = rng.normal(size=(2, 2, 3, steps)) * gate
    return [tf.constant(x.astype(dtype)) for x in (q, k, v, i, f + 2.0)]


def some_state(dtype="float64"):
    rng = np.random.default_rng(9)
    shapes = ((2, 3, KEYS, VALUES), (2, 3, KEYS, 1), (2, 3, 1, 1))
    return tuple(tf.constant(rng.normal(size=shape).astype(dtype)) for shape in shapes)


def difference(actual, expected):
    return np.abs(np.subtract(actual, expected)).max() / np.abs(expected).max()


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_all_forms_agree(dtype, jit):
    @tf.function(jit_compile=jit)
    def run(start):
        common = {"initial_state": start, "return_state": True}
        others = [run(*inputs(dtype), **options, **common) for run, options in FORMS.values()]
        return mlstm_parallel(*inputs(dtype), **common), others

    starts = (None,) if jit else (None, some_state(dtype))
    for start in starts:
        (expected, state), others = run(start)
        for name, (hidden, other) in zip(FORMS, others, strict=True):
            assert difference(hidden, expected) < TOLERANCE[dtype], name
            for ours, theirs in zip(other, state, strict=True):
                assert difference(ours, theirs) < TOLERANCE[dtype], name


def read_again(run, arguments, options):
    """Read a sequence, then go on from its state: a loss that sees all gradients of a state.

    Without epsilon h does not depend on the stabiliser, and the gradient is exact.
    """
    sequences, start = arguments[:5], arguments[5:] or None
    hidden, state = run(*sequences, initial_state=start, return_state=True, epsilon=0.0, **options)
    later = mlstm_parallel(*inputs(steps=3, seed=1), initial_state=state, epsilon=0.0)
    return tf.reduce_sum(tf.sin(hidden)) + tf.reduce_sum(tf.cos(later))


def gradients(run, arguments, options):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = read_again(run, arguments, options)
    return tape.gradient(loss, arguments)


@pytest.mark.parametrize("start", [(), some_state()], ids=["from nothing", "from a state"])
def test_all_forms_have_one_gradient(start):
    arguments = [*inputs(), *start]
    expected = gradients(mlstm_parallel, arguments, {})
    for name in ("chunks of 15", "chunks of 7", "recurrent"):
        for ours, theirs in zip(gradients(FORMS[name][0], arguments, FORMS[name][1]), expected, strict=True):
            assert difference(ours, theirs) < 1e-10, name


def test_the_gradient_is_the_numerical_one():
    arguments, options = [*inputs(steps=9), *some_state()], {"chunk_size": 4}
    exact = gradients(mlstm_chunkwise, arguments, options)
    rng = np.random.default_rng(4)
    for place, gradient in enumerate(exact):
        direction = rng.normal(size=gradient.shape)
        sides = []
        for sign in (1, -1):
            moved = [*arguments]
            moved[place] = moved[place] + sign * 1e-5 * direction
            sides.append(float(read_again(mlstm_chunkwise, moved, options)))
        expected = (sides[0] - sides[1]) / 2e-5
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-6), place


@pytest.mark.parametrize("form", ["parallel", "chunks of 15", "chunks of 20", "recurrent"])
@pytest.mark.parametrize("queries", [1, 8, 25])
def test_the_last_queries_alone_read_the_same(form, queries):
    run, options = FORMS.get(form, (mlstm_parallel, {}))
    q, *rest = inputs()
    expected = run(q, *rest, initial_state=some_state(), **options)[..., -queries:, :]
    hidden = run(q[..., -queries:, :], *rest, initial_state=some_state(), **options)
    assert hidden.shape == (2, 3, queries, VALUES)
    np.testing.assert_allclose(hidden, expected, rtol=0, atol=1e-12)


def test_single_steps_are_the_sequence():
    sequences = inputs()
    expected, last = mlstm_parallel(*sequences, return_state=True)
    state, hidden = zero_state((2, 3), KEYS, VALUES, "float64"), []
    for t in range(STEPS):
        at = [x[:, :, t] for x in sequences]
        h, state = mlstm_step(*at, state=state)
        hidden.append(h)
    np.testing.assert_allclose(tf.stack(hidden, 2), expected, rtol=0, atol=1e-11)
    for ours, theirs in zip(state, last, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_where_the_stabiliser_starts_matters_through_epsilon_alone():
    sequences = inputs()
    official = {"initial_state": zero_state((2, 3), KEYS, VALUES, "float64", initial_m=0.0)}
    exact = mlstm_recurrent(*sequences)
    assert 1e-9 < difference(mlstm_recurrent(*sequences, **official), exact) < 1e-4
    without = mlstm_recurrent(*sequences, epsilon=0.0)
    assert difference(mlstm_recurrent(*sequences, **official, epsilon=0.0), without) < 1e-12


@pytest.mark.parametrize("form", ["parallel", "chunks of 15", "recurrent"])
@pytest.mark.parametrize("bias", [-40.0, 40.0])
def test_gates_far_from_zero_stay_finite(form, bias):
    run, options = FORMS.get(form, (mlstm_parallel, {}))
    q, k, v, i, f = inputs("float32", gate=30.0)
    for shifted in ((i + bias, f), (i, f + bias), (i + bias, f - bias)):
        with tf.GradientTape() as tape:
            sources = [q, k, v, *shifted]
            tape.watch(sources)
            hidden, state = run(*sources, return_state=True, **options)
            loss = tf.reduce_sum(hidden) + tf.reduce_sum(state[0])
        for x in (hidden, *state, *tape.gradient(loss, sources)):
            assert np.isfinite(x).all()


def test_long_memories_are_summed_without_losing_their_differences():
    # log sigmoid(f) sums to -900 after 30 steps of complete forgetting; then nothing is forgotten. A single
    # sum in float32 would know the later differences to 6e-5 only.
    q, k, v, i, f = (x.numpy() for x in inputs(gate=1.0))
    f[..., :30], f[..., 30:] = -30.0, 8.0 + f[..., 30:]
    exact = mlstm_parallel(*map(tf.constant, (q, k, v, i, f)))
    single = mlstm_parallel(*(tf.constant(x.astype("float32")) for x in (q, k, v, i, f))).numpy()
    assert difference(single, exact) < 5e-6


def test_a_layer_gives_the_same_in_all_forms():
    x = np.random.default_rng(3).normal(size=(2, 20, 8))
    layers = [
        MLSTM(MLSTMOptions(heads=2, form=form, chunk_size=6), dtype="float64")
        for form in ("parallel", "chunkwise", "recurrent")
    ]
    first, *others = layers
    expected = first(x)
    for other in others:
        other.build(x.shape)
        np.testing.assert_allclose(other(x), expected, rtol=0, atol=1e-12)


def test_chunks_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"^chunk_size must be at least 1; received 0$"):
        mlstm_chunkwise(*inputs(), chunk_size=0)
