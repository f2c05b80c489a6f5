"""The native kernels: their functions against the mathematics, the layers against TensorFlow's."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
from numba import njit

from simengine.model.base import Mode
from simengine.model.block import MLSTMBlock, SLSTMBlock
from simengine.model.classifier import XLSTMClassifier
from simengine.model.fused import runs_fused
from simengine.model.mlstm import MLSTM
from simengine.model.native import maths
from simengine.model.native.lanes import LANES, load, store, total
from simengine.model.native.threads import PARTS, in_parts, thread_count
from simengine.model.slstm import SLSTM

exp, log_one_plus = maths.exp, maths.log_one_plus
log_sigmoid, sigmoid, silu = maths.log_sigmoid, maths.sigmoid, maths.silu
silu_slope, tanh = maths.silu_slope, maths.tanh


def logistic(x):
    return np.exp(-np.logaddexp(0, -x))


FUNCTIONS = {
    "exp": (njit(lambda x: exp(x)), np.exp),
    "log_one_plus": (njit(lambda x: log_one_plus(x)), np.log1p),
    "log_sigmoid": (njit(lambda x: log_sigmoid(x)), lambda x: -np.logaddexp(0, -x)),
    "sigmoid": (njit(lambda x: sigmoid(x)), logistic),
    "silu": (njit(lambda x: silu(x)), lambda x: x * logistic(x)),
    "silu_slope": (
        njit(lambda x: silu_slope(x)),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
    ),
    "tanh": (njit(lambda x: tanh(x)), np.tanh),
}


def applied(function, x):
    @njit
    def run(x, out):
        for c in range(x.shape[0]):
            for t in range(x.shape[1]):
                store(out, c, t, function(load(x, c, t)))

    out = np.empty_like(x)
    run(x, out)
    return out


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_lanes_are_exact_to_a_few_digits_in_the_last_place(name, dtype):
    function, exact = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.normal(size=(2, 3, LANES)) for scale in (1e-4, 0.1, 1, 20)]).astype(dtype)
    if name == "log_one_plus":
        x = rng.uniform(size=x.shape).astype(dtype)
    expected = exact(x.astype(np.longdouble))
    # silu' crosses zero, where only the absolute error can be small.
    size = np.maximum(np.abs(expected), 0.1 if name == "silu_slope" else 0)
    assert (np.abs(applied(function, x) - expected) / size).max() < 12 * np.finfo(dtype).eps


def test_infinite_and_missing_numbers():
    x = np.array([np.nan, np.inf, -np.inf, 1e4, -1e4, 0, 1, -1], np.float32).reshape(1, 1, LANES)
    results = {name: applied(function, x).ravel() for name, (function, _) in FUNCTIONS.items()}
    for name, values in results.items():
        assert np.isnan(values[0]), name  # NaN must come out as NaN: training stops on it
    assert results["exp"][1] > 1e38
    assert 0 < results["exp"][2] < 2e-38
    np.testing.assert_array_equal(results["tanh"][1:5], [1, -1, 1, -1])
    np.testing.assert_allclose(results["sigmoid"][1:5], [1, 0, 1, 0], atol=2e-38)


def test_lanes_are_added_up():
    @njit
    def run(x):
        return total(load(x, 1, 0))

    x = np.arange(2.0 * LANES).reshape(2, 1, LANES)
    assert run(x) == x[1].sum()


def test_parts_cover_every_group_once():
    for rows in (1, LANES, LANES + 1, 7 * LANES, 1000):
        parts = in_parts(rows, lambda first, last: (first, last))
        assert len(parts) <= PARTS
        covered = [group for first, last in parts for group in range(first, last)]
        assert covered == list(range(-(-rows // LANES)))
    assert in_parts(0, lambda first, last: (first, last)) == []


def with_kernels(layer, kernels):
    for part in layer._flatten_layers():
        if hasattr(getattr(part, "options", None), "kernels"):
            part.options = dataclasses.replace(part.options, kernels=kernels)
    return layer


def randomised(layer, seed=0):
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return layer


def run(layer, kernels, x, training=False):
    """Return y and the gradients by x and by all weights of a sum of y with fixed factors."""
    with_kernels(layer, kernels)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        factors = tf.reshape(tf.cos(0.1 * tf.range(tf.size(y), dtype=y.dtype)), tf.shape(y))
        loss = tf.reduce_sum(y * factors)
    gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
    # Recurrent weights take no part in a single step; TensorFlow then says None.
    return y.numpy(), [np.zeros(()) if g is None else g.numpy() for g in gradients]


CASES = {
    "plain": (MLSTMBlock, {}, {}),
    "biases, three taps, wide blocks": (
        MLSTMBlock,
        {"heads": 2, "conv_kernel": 3, "qkv_block": 8, "use_bias": True},
        {},
    ),
    "no convolution": (MLSTMBlock, {"heads": 2, "conv_kernel": 0}, {}),
    "narrow heads": (MLSTM, {"heads": 4, "inner": 12, "qkv_block": 3}, {}),
    "narrower inside": (MLSTM, {"heads": 2, "inner": 4, "qkv_block": 2}, {}),
    "last step of an mLSTM": (MLSTMBlock, {"heads": 2}, {"return_sequences": False}),
    "blocks across heads": (MLSTM, {"heads": 8, "qkv_block": 16}, {}),
    "sLSTM": (SLSTMBlock, {}, {"index": 1, "num_blocks": 2}),
    "sLSTM without convolution and scale": (
        SLSTM,
        {"heads": 2, "conv_kernel": 0, "group_norm_weight": False},
        {},
    ),
    "last step of an sLSTM": (SLSTMBlock, {"heads": 2, "conv_kernel": 2}, {"return_sequences": False}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(11, 13, 8), (1, 2, 8), (9, 1, 8)])
def test_layers_equal_those_of_tensorflow(case, shape):
    kind, options, arguments = CASES[case]
    layer = kind(options, dtype="float64", **arguments)
    layer.build(shape)
    randomised(layer)
    x = np.random.default_rng(1).normal(size=shape)
    expected, slopes = run(layer, "tensorflow", x)
    y, gradients = run(layer, "native", x)
    assert runs_fused(getattr(layer, "memory", layer), Mode()) == (case != "blocks across heads")
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-11)
    names = ["x", *(v.path for v in layer.trainable_variables)]
    for name, ours, theirs in zip(names, gradients, slopes, strict=True):
        scale = max(np.abs(theirs).max(), 1.0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9 * scale, err_msg=name)


@pytest.mark.parametrize("kind", [MLSTM, SLSTM])
def test_the_gradient_of_dropout_is_that_of_what_was_kept(kind):
    options = {"heads": 2, "dropout": 0.5, "kernels": "native"}
    if kind is SLSTM:
        options["recurrent_dropout"] = 0.5
    layer = kind(options, dtype="float64", seed=3)
    layer.build((4, 6, 8))
    randomised(layer)
    generators = [v for v in layer.variables if v.name == "seed_generator_state"]
    states = [generator.numpy() for generator in generators]
    assert len(generators) == len(options) - 2

    def dropped(x):
        for generator, state in zip(generators, states, strict=True):
            generator.assign(state)
        return run(layer, "native", x, training=True)

    x = np.random.default_rng(2).normal(size=(4, 6, 8))
    y, (dx, *_) = dropped(x)
    assert np.abs(y - layer(x).numpy()).max() > 0.01
    direction = np.random.default_rng(3).normal(size=x.shape)
    factors = np.cos(0.1 * np.arange(y.size)).reshape(y.shape)
    ahead, behind = (np.sum(dropped(x + step * direction)[0] * factors) for step in (1e-6, -1e-6))
    assert (ahead - behind) / 2e-6 == pytest.approx(np.sum(dx * direction), rel=1e-5)


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    layer = MLSTMBlock({"kernels": "native"})
    layer.build((None, 5, 8))
    x = np.random.default_rng(4).normal(size=(70, 5, 8)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("simengine.model.native.threads.thread_count", lambda threads=threads: threads)
        results.append(run(layer, "native", x))
    for y, gradients in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        for ours, theirs in zip(gradients, results[0][1], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [MLSTMBlock, SLSTM])
def test_a_sample_does_not_depend_on_the_others(kind):
    layer = kind({"heads": 2, "kernels": "native"})
    layer.build((None, 12, 8))
    randomised(layer)
    x = np.random.default_rng(5).normal(size=(19, 12, 8)).astype(np.float32)
    together = layer(x).numpy()
    for rows in (slice(3, 4), slice(0, 9), slice(10, 19)):
        np.testing.assert_array_equal(layer(x[rows]).numpy(), together[rows])


def test_the_classifier_is_the_same_with_either_kernels():
    options = {"embedding": 8, "heads": 2, "blocks": ("mlstm", "slstm", "mlstm"), "seed": 1}
    native, plain = (XLSTMClassifier(5, 12, kernels=k, **options) for k in ("native", "tensorflow"))
    x = np.random.default_rng(6).normal(size=(9, 12, 5)).astype(np.float32)
    np.testing.assert_allclose(native(x), plain(x), atol=2e-6)
    np.testing.assert_allclose(tf.function(native)(x), plain(x), atol=2e-6)


@pytest.mark.parametrize("kind", [MLSTMBlock, SLSTM])
def test_inputs_of_another_width_are_refused(kind):
    layer = kind({"heads": 2, "kernels": "native"}, name="layer")
    layer.build((None, 4, 8))
    for width in (4, 16):
        with pytest.raises(ValueError, match=r"was built for 8 channels; received inputs of shape \(1, 4, "):
            layer(np.zeros((1, 4, width), np.float32))


def test_a_batch_without_samples_has_gradients_of_zero():
    layer = SLSTM({"heads": 2, "kernels": "native"})
    layer.build((None, 4, 8))
    y, gradients = run(layer, "native", np.zeros((0, 4, 8), np.float32))
    assert y.shape == (0, 4, 8)
    assert all(not gradient.any() for gradient in gradients)


def test_the_number_of_threads_is_that_of_tensorflow(monkeypatch):
    for asked, expected in (("3", 3), ("0", os.cpu_count()), ("", os.cpu_count()), ("many", os.cpu_count())):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", asked)
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        assert thread_count() == expected


def test_kernels_have_a_name_to_choose():
    with pytest.raises(ValueError, match="kernels 'numba'"):
        XLSTMClassifier(5, 12, kernels="numba")


@pytest.mark.parametrize("kind", [MLSTM, SLSTM])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_second_derivative_is_refused(kind, compiled):
    layer = kind({"heads": 2, "kernels": "native"})
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32))
    layer(x)

    def curvature():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x) ** 2)
            slope = inner.gradient(y, x)
        return slope, outer.gradient(slope, x)

    with pytest.raises(NotImplementedError, match="the native kernels have first derivatives only; for "):
        (tf.function(curvature) if compiled else curvature)()
