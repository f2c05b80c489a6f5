"""The page on explanations says what the code does."""

from __future__ import annotations

import inspect
from pathlib import Path

from simengine.explain import Explanation, explain_windows

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")


def test_named_members_exist():
    for name in ("to_frame", "feature_values", "time_values", "completeness_error"):
        assert f"explanation.{name}" in PAGE
        assert name in {*Explanation.__dataclass_fields__, *vars(Explanation)}


def test_call_has_the_real_arguments():
    call = "explain_windows(predict_logits, windows, background, feature_names, seed=7, n_permutations=4)"
    assert call in PAGE
    parameters = inspect.signature(explain_windows).parameters
    assert list(parameters)[:4] == ["predict_logits", "windows", "background", "feature_names"]
    assert parameters["n_permutations"].default == 4


def test_the_stated_cost_is_the_real_one():
    import numpy as np

    rng = np.random.default_rng(0)
    n, m, length, n_features, permutations = 2, 3, 4, 5, 2
    rows = []

    def predict(batch):
        rows.append(len(batch))
        return batch[:, -1, :3]

    explain_windows(
        predict,
        rng.normal(size=(n, length, n_features)),
        rng.normal(size=(m, length, n_features)),
        list("abcde"),
        seed=1,
        n_permutations=permutations,
    )
    cost = n * m * permutations * (2 * n_features + 1 + 2 * length + 1)
    assert sum(rows) == cost + n + m
    assert 16 * 8 * 4 * (2 * 25 + 1 + 2 * 60 + 1) == 88064
