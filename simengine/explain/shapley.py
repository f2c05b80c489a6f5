"""Grouped permutation Shapley values of any classifier of windows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, cast

import numpy as np

from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.explain.result import Explanation
from simengine.log import NoProgress, Progress
from simengine.seed import integer
from simengine.types import CLASS_NAMES, N_CLASSES, Float32Array, FloatArray

PredictLogits = Callable[[Float32Array], Any]
"""Takes windows (B, L, F) float32, returns logits (B, 3)."""


class _GroupMasker:
    """Mixes one window with every background window, whole groups at a time.

    Groups are slices of one axis of a window: its features (axis 2) or its bars (axis 1). The sample that
    shap passes around is the number of the window, so that shap needs to know nothing of its shape.
    """

    immutable_outputs = True

    def __init__(self, windows: Float32Array, background: Float32Array, axis: int) -> None:
        self._windows = windows
        self._background = background
        self._view = [1, 1, 1]
        self._view[axis] = -1
        self.shape = (len(background), windows.shape[axis])

    def __call__(self, mask: Any, row: Any) -> tuple[Float32Array]:  # noqa: ANN401 - shap's arrays
        shown = np.asarray(mask, dtype=bool).reshape(self._view)
        return (np.where(shown, self._windows[int(row[0])], self._background),)


def explain_windows(
    predict_logits: PredictLogits,
    windows: Float32Array,
    background: Float32Array,
    feature_names: Sequence[str],
    *,
    seed: int,
    n_permutations: int = 4,
    classes: tuple[str, ...] = CLASS_NAMES,
    batch_size: int = 1024,
    progress: Progress | None = None,
) -> Explanation:
    """Explain the probabilities of windows by grouped Shapley values.

    A feature is explained as a whole (its values over the whole window), and so is a bar (all its
    features); an absent group is replaced by that of every background window in turn and the
    probabilities are averaged (interventional Shapley values: Lundberg and Lee, "A Unified Approach to
    Interpreting Model Predictions", 2017; Janzing et al., 2020). The values are estimated by antithetic
    permutations (`shap.PermutationExplainer`): their sum is exact for any number of permutations, each of
    them is exact for models without interactions of more than two groups.

    Parameters
    ----------
    predict_logits : callable
        Windows (B, L, F) float32 to logits (B, 3). Any model; it is called in batches and never changed.
    windows : float32 array, shape (n, L, F)
        Windows to explain.
    background : float32 array, shape (m, L, F)
        Windows that stand for "not known", for example a few dozen of the train segment.
    feature_names : sequence of str, length F
        Names of the features.
    seed : int
        Root seed of the random orders. NumPy's global generator is left as it was.
    n_permutations : int
        Random orders per window; the cost is ``2 n m n_permutations (F + L + 1)`` predictions.
    classes : tuple of str, length 3
        Names of the classes.
    batch_size : int
        Most windows per call of the model (at least one background set).
    progress : Progress, optional
        Told about every window and grouping.

    Returns
    -------
    Explanation
        In units of probability: 0.01 is one percentage point. They sum to zero over the classes.

    Raises
    ------
    DataError
        When shapes do not agree, a value is not finite or a number is below 1.

    Notes
    -----
    Gradient-based explainers are not used: they are far from complete on recurrent networks.
    """
    _check(windows, background, feature_names, n_permutations, batch_size)
    windows, background = (np.asarray(array, dtype=np.float32) for array in (windows, background))
    bar = progress or NoProgress()

    def probabilities(batch: Float32Array) -> FloatArray:
        logits = np.asarray(predict_logits(batch), dtype=np.float64)
        if logits.shape != (len(batch), N_CLASSES) or not np.isfinite(logits).all():
            raise DataError(
                f"explain: expected finite logits of shape ({len(batch)}, {N_CLASSES}), "
                f"received shape {logits.shape}"
            )
        return np.exp(log_softmax(logits))

    def in_batches(array: Float32Array) -> FloatArray:
        return np.concatenate(
            [probabilities(array[i : i + batch_size]) for i in range(0, len(array), batch_size)]
        )

    bar.start("explain", 2 * len(windows))
    try:
        by_feature, by_time = (
            _shapley(
                probabilities, _GroupMasker(windows, background, axis), n_permutations, batch_size, seeds, bar
            )
            for axis, seeds in (
                (2, [integer(seed, "explain_features", i) for i in range(len(windows))]),
                (1, [integer(seed, "explain_time", i) for i in range(len(windows))]),
            )
        )
    finally:
        bar.stop()
    return Explanation(
        feature_names=tuple(feature_names),
        feature_values=by_feature,
        time_values=by_time,
        base_values=in_batches(background).mean(axis=0),
        probabilities=in_batches(windows),
        n_permutations=n_permutations,
        n_background=len(background),
        classes=tuple(classes),
    )


def _shapley(
    probabilities: Callable[[Float32Array], FloatArray],
    masker: _GroupMasker,
    n_permutations: int,
    batch_size: int,
    seeds: Sequence[int],
    progress: Progress,
) -> FloatArray:
    """Return the values (n, groups, 3) of the windows that `seeds` counts, one seed each."""
    shap = _import_shap()
    m, groups = masker.shape
    values = []
    # shap seeds and draws from NumPy's global generator; nobody else's numbers may depend on that.
    before = np.random.get_state()  # noqa: NPY002
    try:
        for number, seed in enumerate(seeds):
            explainer = shap.PermutationExplainer(probabilities, masker, seed=seed)
            row = explainer.explain_row(
                np.array([number]),
                max_evals=n_permutations * (2 * groups + 1),
                main_effects=False,
                error_bounds=False,
                batch_size=max(1, batch_size // m),
                outputs=None,
                silent=True,
            )
            values.append(np.asarray(row["values"], dtype=np.float64))
            progress.advance()
    finally:
        np.random.set_state(before)  # noqa: NPY002
    return np.stack(values)


def _import_shap() -> ModuleType:
    """Import shap, whose plotting code uses functions that matplotlib is about to deprecate."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)
        import shap
    return cast("ModuleType", shap)


def _check(
    windows: Float32Array,
    background: Float32Array,
    names: Sequence[str],
    n_permutations: int,
    batch_size: int,
) -> None:
    for what, array in (("windows", windows), ("background", background)):
        if array.ndim != 3 or len(array) == 0:
            raise DataError(
                f"explain: expected {what} of shape (n, L, F) with n >= 1, received {array.shape}"
            )
        if not np.isfinite(array).all():
            raise DataError(f"explain: {what} hold a value that is not finite")
    if windows.shape[1:] != background.shape[1:]:
        raise DataError(
            f"explain: expected background windows of shape {windows.shape[1:]}, "
            f"received {background.shape[1:]}"
        )
    if len(names) != windows.shape[2]:
        raise DataError(f"explain: expected {windows.shape[2]} feature names, received {len(names)}")
    if n_permutations < 1 or batch_size < 1:
        raise DataError(
            "explain: expected n_permutations >= 1 and batch_size >= 1, "
            f"received {n_permutations} and {batch_size}"
        )
