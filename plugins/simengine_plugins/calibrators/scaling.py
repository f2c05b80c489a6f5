"""Scales and shifts of log-probabilities by maximum likelihood: one scale for all classes, or one each."""

from __future__ import annotations

import numpy as np

from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import minimise

_LEAST_CURVATURE = 1e-12  # scores that vary by rounding alone have no scale to find


def fit_scaling(
    log_proba: FloatArray,
    labels: LabelArray,
    *,
    bounds: tuple[FloatArray, FloatArray],
    l2: float,
    name: str,
) -> tuple[FloatArray, FloatArray]:
    """Return scales a (k,) and biases b (3,) of ``log_softmax(a * log p + b)``, b with sum 0.

    The prior is normal around 1 for the scales and around 0 for the shift of each class's mean score, with
    variance ``1 / l2``.

    Parameters
    ----------
    log_proba : float64 array, shape (n, 3)
        Validation scores.
    labels : int8 array, shape (n,)
        Theirs.
    bounds : two float64 arrays, shape (k,)
        Least and largest scales; k is 1 for one scale that all classes share, or 3.
    l2 : float
        Strength of the prior, in rows.
    name : str
        Of the calibrator, for messages.

    Raises
    ------
    DataError
        If the optimiser does not converge.
    """
    scores = np.ascontiguousarray(log_proba.T, dtype=np.float64)  # class by class is faster
    mean = scores.mean(axis=1)
    centred, onehot = scores - mean[:, None], np.eye(N_CLASSES)[:, labels]
    k, n = len(bounds[0]), len(labels)
    identity = _identity(k)
    # Steps in units of each parameter's own curvature: without them scores that hardly vary take
    # L-BFGS hundreds of steps. 1/4 bounds the variance of a class indicator.
    curvature = np.concatenate([_by_scale(centred.var(axis=1), k), np.ones(N_CLASSES)]) / 4 + l2 / n
    step = 1.0 / np.sqrt(np.maximum(curvature, _LEAST_CURVATURE))

    def loss(z: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = penalised_nll(identity + step * z, centred, mean, onehot, l2)
        return value, gradient * step

    lowest, highest = np.full(len(step), -np.inf), np.full(len(step), np.inf)
    lowest[:k], highest[:k] = ((bound - 1.0) / step[:k] for bound in bounds)
    found = minimise(
        loss,
        np.zeros(len(step)),
        who=f"{name} on {n} validation rows",
        advice=f"raise l2 (now {l2}) or use temperature",
        lowest=lowest,
        highest=highest,
    )
    best = identity + step * found
    scale = np.clip(best[:k], *bounds)
    bias = best[k:] - (scale - 1.0) * mean
    return scale, bias - bias.mean()


def penalised_nll(
    parameters: FloatArray, centred: FloatArray, mean: FloatArray, onehot: FloatArray, l2: float
) -> tuple[float, FloatArray]:
    """Return the mean negative log-posterior of (scales, shifts) and its gradient (k + 3,).

    ``centred`` and ``onehot`` are (3, n): scores without the ``mean`` (3,) of their class, and labels.
    """
    scale, shift = parameters[:-N_CLASSES], parameters[-N_CLASSES:]
    n = centred.shape[1]
    scores = scale[:, None] * centred + (mean + shift)[:, None]
    scores -= scores.max(axis=0)
    residual = np.exp(scores)
    total = residual.sum(axis=0)
    away = parameters - _identity(len(scale))
    value = np.log(total).mean() - (onehot * scores).sum() / n + l2 / (2 * n) * float(away @ away)
    residual /= total
    residual -= onehot
    by_class = (residual * centred).mean(axis=1)
    gradient = np.concatenate([_by_scale(by_class, len(scale)), residual.mean(axis=1)])
    return float(value), gradient + l2 / n * away


def _identity(k: int) -> FloatArray:
    """Return scales of 1 and shifts of 0: the scores as they are."""
    return np.repeat([1.0, 0.0], [k, N_CLASSES])


def _by_scale(by_class: FloatArray, k: int) -> FloatArray:
    """Return figures (3,) of the classes as those of their k scales: a shared one gets their sum."""
    return by_class if k == N_CLASSES else by_class.sum(keepdims=True)
