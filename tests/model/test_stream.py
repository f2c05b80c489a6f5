"""Scoring bar by bar equals the model: on every window, or over one sequence from its start."""

import numpy as np
import pytest

from simengine.model.classifier import XLSTMClassifier
from simengine.model.streaming import stream
from simengine.model.weights import load_named_weights, named_weights

FEATURES, LENGTH, BARS = 5, 12, 70


def built(seed=0, **options):
    """Return a small classifier none of whose weights is at its initial value."""
    model = XLSTMClassifier(FEATURES, LENGTH, **{"embedding": 16, "heads": 2, **options})
    rng = np.random.default_rng(seed)
    weights = named_weights(model)
    for name, array in weights.items():
        noise = rng.normal(0.0, 0.15, array.shape)
        weights[name] = (array + noise).astype(np.float32)
    load_named_weights(model, weights)
    return model


@pytest.fixture(scope="module")
def bars():
    return np.random.default_rng(1).normal(size=(BARS, FEATURES)).astype(np.float32)


def windows(bars):
    return np.lib.stride_tricks.sliding_window_view(bars, LENGTH, axis=0).transpose(0, 2, 1)


MIXED = ("mlstm_large", "slstm", "mlstm")
ARCHITECTURES = [
    {"blocks": ("mlstm",)},
    {"blocks": ("slstm",)},
    {"blocks": ("mlstm_large",)},
    {"blocks": ("mlstm", "slstm")},
    {"blocks": ("slstm", "mlstm"), "heads": 4},
    {"blocks": MIXED, "use_bias": True},
    {"blocks": MIXED, "conv_kernel": 0, "final_norm": False},
    {"blocks": ("mlstm", "slstm"), "conv_kernel": 20},
    {"blocks": ("mlstm",), "conv_kernel": 1, "qkv_block": 1},
    {"blocks": ("mlstm",), "qkv_block": 32, "heads": 4},
    {"blocks": ("slstm",), "embedding": 15, "heads": 5},
    *({"blocks": ("slstm",), "activation": name} for name in ("relu", "relu^2", "sigmoid", "swish", "selu")),
]


@pytest.mark.parametrize("options", ARCHITECTURES, ids=lambda options: " ".join(map(str, options.values())))
def test_logits_are_those_of_the_model(bars, options):
    model = built(**options)
    of_windows = model(windows(bars)).numpy()
    assert np.abs(of_windows - of_windows[:1]).max() > 0.1
    streamed = stream(model, "windowed_exact").run(bars)
    assert np.isnan(streamed[: LENGTH - 1]).all()
    np.testing.assert_allclose(streamed[LENGTH - 1 :], of_windows, rtol=0, atol=1e-5)
    carried = stream(model, "stateful", allow_window_trained=True).run(bars)
    np.testing.assert_allclose(carried, model.sequence(bars[None])[0][0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(carried[LENGTH - 1], of_windows[0], rtol=0, atol=1e-5)


def test_after_the_first_window_the_two_modes_differ(bars):
    model = built()
    exact = stream(model, "windowed_exact").run(bars)
    carried = stream(model, "stateful", allow_window_trained=True).run(bars)
    difference = np.abs(exact - carried).max(1)[LENGTH - 1 :]
    assert difference[0] < 1e-5
    assert difference[5:].max() > 1e-3


def test_large_inputs_and_gates_stay_finite(bars):
    model = built(blocks=MIXED)
    weights = named_weights(model)
    for name, array in weights.items():
        if "gate_bias" in name or name.endswith("memory/bias"):
            weights[name] = np.where(np.arange(array.size) % 2, 40.0, -40.0).reshape(array.shape).astype("f4")
    load_named_weights(model, weights)
    for mode in ("windowed_exact", "stateful"):
        logits = stream(model, mode, allow_window_trained=True).run(bars * 100)
        assert np.isfinite(logits[LENGTH - 1 :]).all()


def test_small_cell_inputs_keep_their_digits(bars):
    # The normalisation of each head brings cells of any size back to size 1, and their errors with them.
    model = XLSTMClassifier(FEATURES, LENGTH, embedding=16, heads=2, blocks=("slstm", "slstm"))
    weights = named_weights(model)
    small = [name for name in weights if "cell_gate" in name]
    assert len(small) == 2
    for name in small:
        weights[name] = weights[name] * np.float32(1e-3)
    load_named_weights(model, weights)
    expected = model(windows(bars)).numpy()
    streamed = stream(model, "windowed_exact").run(bars)[LENGTH - 1 :]
    np.testing.assert_allclose(streamed, expected, rtol=0, atol=1e-5)


def test_a_stream_keeps_the_weights_it_was_opened_with(bars):
    model = built()
    opened = stream(model, "windowed_exact")
    expected = model(bars[None, :LENGTH]).numpy()[0]
    load_named_weights(model, named_weights(built(seed=9)))
    np.testing.assert_allclose(opened.run(bars[:LENGTH])[-1], expected, atol=1e-5)
