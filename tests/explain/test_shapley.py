"""Grouped Shapley values against closed forms and brute force."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial

import numpy as np
import pytest

from simengine.errors import DataError
from simengine.explain import explain_windows, write_explanation

N, M, L, F = 3, 5, 6, 4
NAMES = ["alpha", "beta", "gamma", "delta"]


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(size=(N, L, F)).astype(np.float32)


@pytest.fixture(scope="module")
def background():
    return np.random.default_rng(1).normal(size=(M, L, F)).astype(np.float32)


@pytest.fixture(scope="module")
def slopes():
    weights = 0.01 * np.random.default_rng(2).normal(size=(L, F, 3))
    return weights - weights.mean(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def linear(slopes):
    """Logits whose softmax is linear in the window."""

    def predict(batch):
        return np.log(1 / 3 + np.einsum("blf,lfc->bc", batch.astype(np.float64), slopes))

    return predict


def tangled(batch):
    """Logits with interactions of every order."""
    x = batch.astype(np.float64)
    a = np.tanh(x[:, :, 0] * x[:, :, 1]).sum(axis=1)
    return np.stack([a, x[:, -1].prod(axis=1), np.sin(x.sum(axis=(1, 2)))], axis=1)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_linear_probabilities_have_their_closed_form(linear, slopes, windows, background):
    result = explain_windows(linear, windows, background, NAMES, seed=7, n_permutations=1)
    away = windows - background.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(result.feature_values, np.einsum("blf,lfc->bfc", away, slopes), atol=1e-7)
    np.testing.assert_allclose(result.time_values, np.einsum("blf,lfc->blc", away, slopes), atol=1e-7)


def test_values_add_up_for_any_model_and_any_number_of_permutations(windows, background):
    for n_permutations in (1, 3):
        result = explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=n_permutations)
        assert result.completeness_error < 1e-12
        np.testing.assert_allclose(result.probabilities, softmax(tangled(windows)), atol=1e-12)
        np.testing.assert_allclose(result.base_values, softmax(tangled(background)).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(result.feature_values.sum(axis=2), 0.0, atol=1e-12)


def test_many_permutations_approach_the_exact_shapley_values(windows, background):
    def value(shown):
        mixed = np.where(np.isin(np.arange(F), shown), windows[0], background)
        return softmax(tangled(mixed)).mean(axis=0)

    exact = np.zeros((F, 3))
    for i in range(F):
        rest = [j for j in range(F) if j != i]
        for size in range(F):
            weight = factorial(size) * factorial(F - size - 1) / factorial(F)
            for subset in combinations(rest, size):
                exact[i] += weight * (value([*subset, i]) - value(list(subset)))
    result = explain_windows(tangled, windows[:1], background, NAMES, seed=7, n_permutations=2000)
    np.testing.assert_allclose(result.feature_values[0], exact, atol=0.003)
    assert np.abs(exact).max() > 0.05


def test_a_feature_that_the_model_ignores_gets_nothing(windows, background):
    def two(batch):
        return batch[:, -1, :3] * [1.0, 2.0, 0.0]

    result = explain_windows(two, windows, background, NAMES, seed=7)
    assert np.abs(result.feature_values[:, 2:]).max() == 0.0
    assert np.abs(result.time_values[:, :-1]).max() == 0.0
    frame = result.to_frame()
    assert list(frame.columns) == ["part", "name", "sell", "hold", "buy"]
    assert set(frame["name"][:2]) == {"alpha", "beta"}
    lags = frame[frame["part"] == "lag"]
    assert list(lags["name"]) == ["0", "1", "2", "3", "4", "5"]
    assert lags["buy"].iloc[0] > 0.0
    assert lags["buy"].iloc[1:].max() == 0.0


def test_same_seed_same_values_and_no_trace_in_the_global_generator(windows, background):
    np.random.seed(3)  # noqa: NPY002
    untouched = np.random.random(4)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    first = explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=1)
    np.testing.assert_array_equal(np.random.random(4), untouched)  # noqa: NPY002
    second = explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=1)
    other = explain_windows(tangled, windows, background, NAMES, seed=8, n_permutations=1)
    np.testing.assert_array_equal(first.feature_values, second.feature_values)
    np.testing.assert_array_equal(first.time_values, second.time_values)
    assert not np.array_equal(first.feature_values, other.feature_values)


def test_values_do_not_depend_on_the_batch_size(windows, background):
    whole = explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=2)
    small = explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=2, batch_size=7)
    np.testing.assert_allclose(whole.time_values, small.time_values, atol=1e-12)


def test_the_model_sees_float32_batches_of_bounded_size(windows, background):
    sizes = []

    def watched(batch):
        assert batch.dtype == np.float32
        assert batch.shape[1:] == (L, F)
        sizes.append(len(batch))
        return tangled(batch)

    before = windows.copy(), background.copy()
    explain_windows(watched, windows, background, NAMES, seed=7, n_permutations=1, batch_size=20)
    assert max(sizes) <= 20
    np.testing.assert_array_equal(windows, before[0])
    np.testing.assert_array_equal(background, before[1])


def test_nothing_is_written_to_stdout_or_stderr(windows, background, capfd):
    explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=1)
    assert capfd.readouterr() == ("", "")


def test_progress_is_told(windows, background):
    class Told:
        steps = 0
        calls = ()

        def start(self, label, total):
            self.calls += ((label, total),)

        def advance(self, steps=1, **info):
            self.steps += steps

        def stop(self):
            self.calls += ("stop",)

    told = Told()
    explain_windows(tangled, windows, background, NAMES, seed=7, n_permutations=1, progress=told)
    assert told.calls == (("explain", 2 * N), "stop")
    assert told.steps == 2 * N


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"windows": np.zeros((2, 3))},
            "explain: expected windows of shape (n, L, F) with n >= 1, received (2, 3)",
        ),
        (
            {"background": np.zeros((0, L, F))},
            "explain: expected background of shape (n, L, F) with n >= 1, received (0, 6, 4)",
        ),
        ({"windows": np.full((1, L, F), np.nan)}, "explain: windows hold a value that is not finite"),
        (
            {"background": np.zeros((2, L + 1, F))},
            "explain: expected background windows of shape (6, 4), received (7, 4)",
        ),
        ({"feature_names": ["alpha"]}, "explain: expected 4 feature names, received 1"),
        (
            {"n_permutations": 0},
            "explain: expected n_permutations >= 1 and batch_size >= 1, received 0 and 1024",
        ),
        (
            {"predict_logits": lambda batch: np.zeros((len(batch), 2))},
            "explain: expected finite logits of shape (9, 3), received shape (9, 2)",
        ),
    ],
)
def test_wrong_input_is_named(windows, background, change, message):
    arguments = {
        "predict_logits": tangled,
        "windows": windows,
        "background": background[:1],
        "feature_names": NAMES,
        "n_permutations": 1,
    }
    with pytest.raises(DataError) as error:
        explain_windows(**{**arguments, **change}, seed=7)
    assert str(error.value) == message


def test_written_files(windows, background, tmp_path):
    names = ["<script>alert(1)</script>", *NAMES[1:]]
    result = explain_windows(tangled, windows, background, names, seed=7, n_permutations=1)
    path = write_explanation(tmp_path, result)
    assert path == tmp_path / "explain.html"
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "&lt;script&gt;alert(1)" in html
    stored = json.loads((tmp_path / "explain.json").read_text(encoding="utf-8"))
    assert stored["output"] == "probability"
    assert stored["feature_names"] == names
    np.testing.assert_allclose(stored["feature_values"], result.feature_values)
    assert list(stored["features"]) == [row for row in result.to_frame()["name"] if row in names]
    assert "feature_values" not in result.to_dict()


def test_a_model_that_says_nothing_can_be_explained(background, windows, tmp_path):
    flat = explain_windows(lambda batch: np.zeros((len(batch), 3)), windows, background, NAMES, seed=7)
    assert np.abs(flat.feature_values).max() == 0.0
    write_explanation(tmp_path, flat)
