"""What a stream promises beside its numbers: bars one by one or many, snapshots, refusals, independence."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from simengine.model.classifier import XLSTMClassifier
from simengine.model.streaming import stream
from simengine.model.weights import named_weights

FEATURES, LENGTH = 5, 8
MODES = ("windowed_exact", "stateful")


def open_any(model, mode):
    return stream(model, mode, allow_window_trained=True, allow_stateful_trained=True)


@pytest.fixture(scope="module")
def model():
    return XLSTMClassifier(
        FEATURES, LENGTH, embedding=8, heads=2, blocks=("mlstm", "slstm", "mlstm_large"), stateful=True
    )


@pytest.fixture(scope="module")
def bars():
    return np.random.default_rng(1).normal(size=(80, FEATURES)).astype(np.float32)


@pytest.fixture(params=MODES)
def opened(request, model):
    return open_any(model, request.param)


def test_many_bars_at_once_are_the_bars_one_by_one_to_the_bit(opened, bars):
    one_by_one = np.array([opened.update(bar) for bar in bars])
    assert opened.bars == len(bars)
    opened.reset()
    for size in (80, 33, 1):
        opened.reset()
        parts = [opened.run(bars[start : start + size]) for start in range(0, len(bars), size)]
        np.testing.assert_array_equal(np.concatenate(parts), one_by_one)
    assert opened.run(bars[:0]).shape == (0, 3)


def test_logits_are_nan_until_the_stream_is_ready(opened, bars):
    assert not opened.ready
    wait = LENGTH - 1 if opened.mode == "windowed_exact" else 0
    for bar in bars[:wait]:
        assert np.isnan(opened.update(bar)).all()
        assert not opened.ready
    assert np.isfinite(opened.update(bars[wait])).all()
    assert opened.ready
    opened.reset()
    assert not opened.ready
    assert opened.bars == 0


def test_each_update_returns_an_array_of_its_own(opened, bars):
    opened.run(bars[:LENGTH])
    first = opened.update(bars[20])
    kept = first.copy()
    opened.update(bars[21])
    np.testing.assert_array_equal(first, kept)


def test_features_of_other_kinds_are_taken_as_float32(opened, bars):
    expected = opened.run(bars[:10])
    opened.reset()
    read_only = bars[:10].astype(np.float64)
    read_only.setflags(write=False)
    np.testing.assert_array_equal(opened.run(np.asfortranarray(read_only)), expected)
    opened.reset()
    lists = [opened.update(bar.tolist()) for bar in bars[:10]]
    np.testing.assert_array_equal(lists, expected)


@pytest.mark.parametrize("seen", [0, 3, LENGTH, 37])
def test_a_snapshot_goes_on_where_it_was_taken(opened, model, bars, tmp_path, seen):
    opened.run(bars[:seen])
    np.savez(tmp_path / "state.npz", **opened.snapshot())
    expected = opened.run(bars[seen:])
    other = open_any(model, opened.mode)
    other.run(bars[50:60])
    with np.load(tmp_path / "state.npz") as file:
        other.restore(file)
    assert other.bars == seen
    np.testing.assert_array_equal(other.run(bars[seen:]), expected)


def test_a_copy_goes_on_by_itself(opened, bars):
    opened.run(bars[:20])
    copied = opened.copy()
    expected = opened.run(bars[20:])
    np.testing.assert_array_equal(copied.run(bars[20:]), expected)
    assert copied.packed.weights is opened.packed.weights


def test_streams_in_threads_do_not_disturb_one_another(opened, bars):
    series = [bars + shift for shift in (0.0, 0.5, -0.5, 1.0)]
    alone = []
    for one in series:
        opened.reset()
        alone.append(opened.run(one))
    streams = [opened.copy() for _ in series]
    for one in streams:
        one.reset()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda s, one: np.array([s.update(bar) for bar in one]), streams, series))
    np.testing.assert_array_equal(together, alone)


def message(call, *arguments):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        call(*arguments)
    return str(error.value)


def test_features_that_cannot_be_scored_are_refused_and_nothing_changes(opened, bars):
    opened.run(bars[:30])
    before = opened.snapshot()
    bad = bars[30:33].copy()
    bad[1, 2] = np.nan
    assert message(opened.run, bad) == (
        "features: column 2 of bar 31 is nan; leave the bar out or fill it as in training"
    )
    assert message(opened.update, [0, 0, 0, 0, 1e39]) == (
        "features: column 4 of bar 30 is inf; leave the bar out or fill it as in training"
    )
    assert message(opened.update, bars[:1]) == (
        "features must have shape (5,); received (1, 5): give one bar, or several to run"
    )
    assert message(opened.run, bars[0]) == (
        "matrix must have shape (n, 5); received (5,): give one row for each bar"
    )
    after = opened.snapshot()
    assert after.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_snapshots_that_do_not_fit_are_refused(model, bars):
    exact, carried = (open_any(model, mode) for mode in MODES)
    exact.run(bars[:20])
    carried.run(bars[:20])
    assert message(exact.restore, carried.snapshot()) == (
        "snapshot: another mode made it; restore it into a stream of that mode"
    )
    other = XLSTMClassifier(FEATURES, LENGTH, embedding=8, heads=2, seed=5)
    assert message(stream(other, "windowed_exact").restore, exact.snapshot()) == (
        "snapshot: another model made it; restore it into a stream of that model"
    )
    incomplete = {key: value for key, value in carried.snapshot().items() if key != "block_0/C"}
    assert message(carried.restore, incomplete) == (
        "snapshot: 'block_0/C' must have shape (2, 32, 32); received nothing: "
        "give what Stream.snapshot returned"
    )
    assert carried.bars == 20


def test_stateful_scoring_of_a_window_trained_model_must_be_asked_for(bars):
    model = XLSTMClassifier(FEATURES, LENGTH, embedding=8, heads=2)
    assert message(stream, model, "stateful") == (
        "mode 'stateful' needs a model that was trained statefully, this one was trained on windows: use "
        "mode 'windowed_exact', train with stateful: true, or pass allow_window_trained=True"
    )
    assert stream(model, "stateful", allow_window_trained=True).update(bars[0]).shape == (3,)
    assert stream(model).mode == "windowed_exact"


def test_a_stateful_model_opens_its_own_way_and_windows_must_be_asked_for(model):
    assert stream(model).mode == model.stream().mode == "stateful"
    assert message(stream, model, "windowed_exact") == (
        "mode 'windowed_exact' needs a model that was trained on windows, this one was trained statefully: "
        "use mode 'stateful', train with stateful: false, or pass allow_stateful_trained=True"
    )
    assert model.stream("windowed_exact", allow_stateful_trained=True).mode == "windowed_exact"


def test_unknown_modes_and_weights_are_refused(model):
    assert message(stream, model, "statefull") == (
        "unknown stream mode 'statefull' (did you mean 'stateful'?); known: stateful, windowed_exact"
    )


def test_weights_that_do_not_belong_are_refused(model):
    from simengine.model.streaming.packing import pack

    options, weights = model.get_layer("xlstm").options, named_weights(model)
    extra = {**weights, "xlstm/block_0/memory/gain": np.ones(3, np.float32)}
    assert message(pack, options, extra, LENGTH) == (
        "cannot stream: unknown weights xlstm/block_0/memory/gain; stream an XLSTMClassifier"
    )
    broken = {**weights, "logits/bias": np.array([0, np.nan, 0], np.float32)}
    assert message(pack, options, broken, LENGTH) == (
        "cannot stream: weight 'logits/bias' holds values that are not finite; train again"
    )
    missing = {name: array for name, array in weights.items() if name != "logits/bias"}
    assert message(pack, options, missing, LENGTH).startswith("the model has no weight 'logits/bias'")


def test_scoring_needs_no_tensorflow():
    code = "import sys, simengine.model.streaming; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
