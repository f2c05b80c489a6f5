import json

import numpy as np
import pytest

from simengine.data.scale import Scaler
from simengine.errors import DataError


def rows(n=1000):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(n, 3)) * [1.0, 50.0, 1e-4] + [0.0, 1e3, 2e-4]).astype(np.float32)


def test_train_rows_get_mean_zero_and_variance_one():
    scaler = Scaler.fit(rows(), ("a", "b", "c"))
    scaled = scaler.transform(rows())
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


def test_hand_computed():
    scaler = Scaler.fit(np.array([[1.0], [3.0]], dtype=np.float32), ("a",))
    assert (scaler.mean[0], scaler.scale[0]) == (2.0, 1.0)
    assert scaler.transform(np.array([[7.0]], dtype=np.float32))[0, 0] == 5.0  # far outside, not clipped


def test_constant_feature_becomes_zero_instead_of_rounding_noise():
    noise = np.float32(0.1) + np.array([0, 1, 0, 1], dtype=np.float32) * np.spacing(np.float32(0.1))
    scaler = Scaler.fit(np.stack([np.full(4, 7, np.float32), noise], axis=1), ("a", "b"))
    assert scaler.scale.tolist() == [1.0, 1.0]


def test_json_round_trip_is_exact():
    scaler = Scaler.fit(rows(), ("a", "b", "c"))
    restored = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert restored.names == scaler.names
    assert restored.transform(rows()).tobytes() == scaler.transform(rows()).tobytes()


def test_transform_in_place():
    scaler = Scaler.fit(rows(), ("a", "b", "c"))
    matrix = rows()
    assert scaler.transform(matrix, out=matrix) is matrix
    assert matrix.tobytes() == scaler.transform(rows()).tobytes()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"names": ["a"], "mean": [0.0]}, "scaler: 'scale' is missing; expected names, mean and scale"),
        (
            {"names": ["a"], "mean": [0.0], "scale": [1.0, 2.0]},
            "scaler: 1 names, 1 means and 2 scales do not match",
        ),
        (
            {"names": ["a"], "mean": [0.0], "scale": [0.0]},
            "scaler: means must be finite and scales finite and above 0",
        ),
    ],
)
def test_damaged_files_are_refused(data, text):
    with pytest.raises(DataError) as caught:
        Scaler.from_dict(data)
    assert str(caught.value) == text


def test_other_number_of_features_is_refused():
    with pytest.raises(DataError, match=r"scaler: expected 3 features; received shape \(5, 2\)"):
        Scaler.fit(rows(), ("a", "b", "c")).transform(np.zeros((5, 2), np.float32))


def test_no_rows():
    with pytest.raises(DataError, match="scaler: there are no train rows to learn from"):
        Scaler.fit(np.zeros((0, 1), np.float32), ("a",))
