import numpy as np
import pytest

from simengine.data.spill import mixed, spill
from simengine.data.synthetic import Synthetic
from simengine.data.windows import WindowSet
from simengine.errors import ConfigError, RunError


@pytest.fixture
def train():
    matrix = np.arange(120, dtype=np.float32).reshape(40, 3) ** 1.5
    ends = np.arange(4, 40, 2, dtype=np.int32)
    return WindowSet(matrix, ends, (np.arange(18) % 3).astype(np.int8), np.zeros(18, np.int16), 5)


@pytest.fixture
def synthetic():
    return Synthetic(np.array([0, 4, 3]), np.array([6, 1, 9]), np.array([0.25, 0, 0.5], np.float32), {})


def test_rows_are_the_train_windows_and_then_the_mixtures(train, synthetic, tmp_path):
    found = spill(synthetic, train, tmp_path / "deep" / "rows.npy")
    flat = train.gather(slice(None)).reshape(18, 15)
    assert found.shape == (21, 15)
    assert found.dtype == np.float32
    assert not found.flags.writeable
    np.testing.assert_array_equal(found[:18], flat)
    np.testing.assert_array_equal(found[18], np.float32(0.75) * flat[0] + np.float32(0.25) * flat[6])
    np.testing.assert_array_equal(found[19], flat[4])
    assert synthetic.labels(train.labels).tolist() == [*train.labels, 0, 1, 0]
    assert synthetic.labels(train.labels, with_train=False).tolist() == [0, 1, 0]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["rows.npy"]


def test_only_the_last_bars_of_the_mixtures(train, synthetic, tmp_path):
    found = spill(synthetic, train, tmp_path / "rows.npy", lags=2, with_train=False)
    whole = mixed(synthetic, train, slice(None))
    np.testing.assert_array_equal(found, whole[:, -2:].reshape(3, 6))


def test_chunks_change_nothing(synthetic, tmp_path):
    # Windows of 0.6 MB: one at a time.
    matrix = np.random.default_rng(0).normal(size=(200, 2000)).astype(np.float32)
    train = WindowSet(
        matrix, np.arange(75, 200, 5, dtype=np.int32), np.zeros(25, np.int8), np.zeros(25, np.int16), 75
    )
    small = spill(synthetic, train, tmp_path / "small.npy", memory_budget_mb=2)
    large = spill(synthetic, train, tmp_path / "large.npy", memory_budget_mb=64)
    assert (tmp_path / "small.npy").read_bytes() == (tmp_path / "large.npy").read_bytes()
    np.testing.assert_array_equal(small, large)


def test_a_write_that_fails_leaves_nothing(train, synthetic, tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(RunError, match=r"rows\.npy: cannot be written \(No space left on device\)"):
        spill(synthetic, train, tmp_path / "rows.npy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lags", [0, 6])
def test_lags_outside_the_window_are_refused(train, synthetic, tmp_path, lags):
    with pytest.raises(ConfigError) as error:
        spill(synthetic, train, tmp_path / "rows.npy", lags=lags)
    assert str(error.value) == f"spill: lags must be 1 to the window length 5; received {lags}"


def test_a_budget_below_one_window_is_refused(synthetic, tmp_path):
    matrix = np.zeros((100, 3000), np.float32)
    one = WindowSet(matrix, np.array([99], np.int32), np.zeros(1, np.int8), np.zeros(1, np.int16), 100)
    with pytest.raises(ConfigError) as error:
        spill(synthetic, one, tmp_path / "rows.npy", memory_budget_mb=1)
    assert str(error.value) == "spill: memory_budget_mb 1 does not hold one window of 100 bars; raise it"
