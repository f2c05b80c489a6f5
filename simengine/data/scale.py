"""`Scaler`: zero mean and unit variance, learnt on train rows only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simengine.errors import DataError
from simengine.types import Float32Array, FloatArray

_FLOAT32_NOISE = 1e-7
"""A deviation below this share of the mean is what rounding to float32 leaves of a constant."""


@dataclass(frozen=True, slots=True)
class Scaler:
    """Standardises each feature: ``(x - mean) / scale``, nothing clipped.

    Parameters
    ----------
    names : tuple of str, length F
        Features in order.
    mean, scale : float64 arrays, shape (F,)
        Mean and standard deviation (divisor n) over the rows it was fitted on; the scale of a constant
        feature is 1.
    """

    names: tuple[str, ...]
    mean: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, rows: Float32Array, names: tuple[str, ...]) -> Scaler:
        """Learn from the train rows (n, F) of all symbols together.

        Raises
        ------
        DataError
            There are no rows.
        """
        if len(rows) == 0:
            raise DataError("scaler: there are no train rows to learn from")
        mean = np.empty(len(names))
        scale = np.empty(len(names))
        for column in range(len(names)):
            values = rows[:, column].astype(np.float64)
            mean[column] = values.mean()
            deviation = float(values.std())
            scale[column] = deviation if deviation > _FLOAT32_NOISE * abs(mean[column]) else 1.0
        return cls(names, mean, scale)

    def transform(self, matrix: Float32Array, out: Float32Array | None = None) -> Float32Array:
        """Return the scaled float32 matrix (n, F); ``out`` may be the matrix itself."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            raise DataError(f"scaler: expected {len(self.names)} features; received shape {matrix.shape}")
        result = np.empty_like(matrix, dtype=np.float32) if out is None else out
        for column in range(len(self.names)):
            values = matrix[:, column].astype(np.float64)
            result[:, column] = (values - self.mean[column]) / self.scale[column]
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; `from_dict` restores the very same numbers."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scaler:
        """Restore a scaler from what `to_dict` returned.

        Raises
        ------
        DataError
            A part is missing, of another length, not finite, or a scale is not positive.
        """
        missing = [key for key in ("names", "mean", "scale") if key not in data]
        if missing:
            raise DataError(f"scaler: {missing[0]!r} is missing; expected names, mean and scale")
        names = tuple(str(name) for name in data["names"])
        mean = np.asarray(data["mean"], dtype=np.float64)
        scale = np.asarray(data["scale"], dtype=np.float64)
        if mean.shape != (len(names),) or scale.shape != (len(names),):
            raise DataError(
                f"scaler: {len(names)} names, {mean.size} means and {scale.size} scales do not match"
            )
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise DataError("scaler: means must be finite and scales finite and above 0")
        return cls(names, mean, scale)
