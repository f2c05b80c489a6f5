"""The Shapley values of some windows, and how they are written out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.rundir import plain, write_json
from simengine.types import CLASS_NAMES, FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Explanation:
    """Shapley values of n windows, as differences of probability.

    Parameters
    ----------
    feature_names : tuple of str, length F
        In the order of the values.
    feature_values : float64 array, shape (n, F, 3)
        What each feature, over the whole window, adds to the probability of each class.
    time_values : float64 array, shape (n, L, 3)
        What each bar, with all its features, adds; the last one is the bar of the decision.
    base_values : float64 array, shape (3,)
        Mean probabilities over the background windows.
    probabilities : float64 array, shape (n, 3)
        Of the explained windows.
    n_permutations : int
        Random orders tried per window, each forwards and backwards.
    n_background : int
        Background windows.
    classes : tuple of str, length 3
        Names of the classes.

    Notes
    -----
    ``base_values + feature_values.sum(axis=1) = probabilities``, and the same for time, up to the rounding
    of the model's own float32 (`completeness_error`).
    """

    feature_names: tuple[str, ...]
    feature_values: FloatArray
    time_values: FloatArray
    base_values: FloatArray
    probabilities: FloatArray
    n_permutations: int
    n_background: int
    classes: tuple[str, ...] = CLASS_NAMES

    @property
    def completeness_error(self) -> float:
        """Largest gap between a probability and its base value plus all Shapley values."""
        change = self.probabilities - self.base_values
        return max(
            float(np.abs(values.sum(axis=1) - change).max())
            for values in (self.feature_values, self.time_values)
        )

    @property
    def feature_importance(self) -> FloatArray:
        """Mean absolute Shapley value per feature and class, shape (F, 3)."""
        return np.asarray(np.abs(self.feature_values).mean(axis=0))

    @property
    def time_importance(self) -> FloatArray:
        """Mean absolute Shapley value per bar of the window and class, shape (L, 3)."""
        return np.asarray(np.abs(self.time_values).mean(axis=0))

    @property
    def lags(self) -> list[int]:
        """Bars before the decision of each time step: L - 1 down to 0."""
        return list(range(self.time_values.shape[1] - 1, -1, -1))

    def to_frame(self) -> pd.DataFrame:
        """Return the importances as a long table: ``part``, ``name`` and one column per class.

        ``part`` is ``feature`` or ``lag``. Features come first, the most important (sum over classes)
        on top, then the bars by lag.
        """
        import pandas as pd

        order = np.argsort(-self.feature_importance.sum(axis=1), kind="stable")
        features = pd.DataFrame(self.feature_importance[order], columns=list(self.classes))
        features.insert(0, "name", [self.feature_names[i] for i in order])
        features.insert(0, "part", "feature")
        bars = pd.DataFrame(self.time_importance[::-1], columns=list(self.classes))
        bars.insert(0, "name", [str(lag) for lag in self.lags[::-1]])
        bars.insert(0, "part", "lag")
        return pd.concat([features, bars], ignore_index=True)

    def to_dict(self, *, values: bool = False) -> dict[str, Any]:
        """Return plain numbers; with ``values`` also those of every window."""
        frame = self.to_frame()
        parts = {
            key: {row["name"]: [row[name] for name in self.classes] for row in part.to_dict("records")}
            for key, part in frame.groupby("part", sort=True)
        }
        result = {
            "output": "probability",
            "classes": self.classes,
            "windows": len(self.probabilities),
            "background": self.n_background,
            "permutations": self.n_permutations,
            "base_values": self.base_values,
            "completeness_error": self.completeness_error,
            "features": parts["feature"],
            "lags": parts["lag"],
        }
        if values:
            result["feature_names"] = self.feature_names
            result["probabilities"] = self.probabilities
            result["feature_values"] = self.feature_values
            result["time_values"] = self.time_values
        return dict(plain(result))


def write_explanation(run_dir: Path | str, explanation: Explanation) -> Path:
    """Write ``explain.json`` (all values) and ``explain.html`` (two charts) into a run directory.

    Returns
    -------
    Path
        The written HTML file.
    """
    from simengine.report.page import write_explanation_page

    folder = Path(run_dir)
    write_json(folder / "explain.json", explanation.to_dict(values=True))
    return write_explanation_page(folder, explanation.to_dict())
