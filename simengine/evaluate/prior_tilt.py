"""How far the parts of a training, and a decision, lean away from the label prior, all together.

Class weights, quotas, per-class alphas and logit adjustments each tilt the prior that a network learns or
a decision applies. Each is a sensible cure alone. Their tilts add up in log-odds, so that two or three of
them over-correct.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simengine.errors import PluginError
from simengine.types import N_CLASSES, FloatArray, Signal

TRAINING = "training."
SYNTHETIC, SMOOTHER = "training.smote", "training.smoother"
_BEFORE_SMOOTHING = (SYNTHETIC, "training.balancer", "training.reweighter")
LARGE = math.log(1.5)
"""A tilt between two classes from which a warning is due: one is favoured half as much again."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorTilt:
    """The total prior tilt of a configuration.

    Parameters
    ----------
    by_part : mapping of str to float64 array, shape (3,)
        Tilts of the parts that have one, in the order given: log-odds of SELL, HOLD, BUY against the label
        prior, in nats; only differences between classes mean something.
    label_share : float64 array, shape (3,)
        The label prior.
    taken_back : tuple of str
        Parts whose tilt a calibrator with a bias per class takes back, since it is fitted on validation
        labels.
    val_fitted : bool
        Whether the decision is fitted on validation rows, which takes all of it back.
    """

    by_part: Mapping[str, FloatArray]
    label_share: FloatArray
    taken_back: tuple[str, ...] = ()
    val_fitted: bool = False

    @property
    def total(self) -> FloatArray:
        """Sum of all tilts (3,), the largest class at 0; ``-inf`` for a class that is shut out."""
        return _sum(self.by_part.values())

    @property
    def left(self) -> FloatArray:
        """The same of the parts that no calibrator takes back: what the decided signals lean by."""
        return _sum(tilt for name, tilt in self.by_part.items() if name not in self.taken_back)

    @property
    def implied_share(self) -> FloatArray:
        """Class prior (3,) that a training teaches: the label prior under the tilts of its parts."""
        taught = _sum(tilt for name, tilt in self.by_part.items() if name.startswith(TRAINING))
        return _shifted(self.label_share, taught)

    @property
    def spread(self) -> float:
        """Largest difference in ``left`` between two classes, nats."""
        return float(-self.left.min())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: ``by_part``, ``total``, ``left`` and ``implied_share``."""
        return {
            "by_part": {name: values.tolist() for name, values in self.by_part.items()},
            "total": self.total.tolist(),
            "left": self.left.tolist(),
            "implied_share": self.implied_share.tolist(),
        }

    def warning(self) -> str | None:
        """Return one line with the numbers when the tilt is large and nothing fitted on val follows."""
        if self.val_fitted or not self.spread > LARGE:
            return None
        names = [name for name in self.by_part if name not in self.taken_back]
        towards, away = (Signal(int(k)).name for k in (self.left.argmax(), self.left.argmin()))
        size = "without bound" if math.isinf(self.spread) else f"by a factor of {math.exp(self.spread):.2f}"
        together = "leans" if len(names) == 1 else "together lean"
        text = " / ".join(f"{value:+.2f}" for value in self.left - _centre(self.left))
        return (
            f"prior tilt: {', '.join(names)} {together} from {away} to {towards} {size} "
            f"(log-odds of SELL / HOLD / BUY against the label prior {text}), and the decision is not fitted "
            "on validation to take it back; use inference.decision: prior_matched, or fewer of them"
        )


def total_prior_tilt(parts: Mapping[str, object | None], label_share: FloatArray) -> PriorTilt:
    """Add up the prior tilts that components declare.

    A component declares its tilt by a method ``prior_tilt(label_share) -> (3,)``; one without leans
    nowhere. A training that makes class c count ``w_c`` times as much teaches a prior proportional to
    ``w_c * prior_c``, which shifts the class's log-odds by ``log w_c`` (Elkan, "The Foundations of
    Cost-Sensitive Learning", 2001); for logit adjustments see Menon et al., "Long-tail learning via logit
    adjustment", 2021.

    Synthetic rows change the shares before anything else does: the other parts of ``training`` are asked at
    the shares with them, so that quotas, say, come to the same whatever rows there are to choose from. What
    a smoother does depends on what it smooths: it is asked at the shares that the balancer and weights of
    rows leave.

    Parameters
    ----------
    parts : mapping of str to object or None
        Components by the place that selects them, for example ``training.balancer``; None is left out. The
        attribute ``fitted_on_val`` of ``inference.decision`` and ``corrects_prior`` of
        ``inference.calibrator`` say whether they take a tilt back; the latter only that of the other parts
        but the decision.
    label_share : float64 array, shape (3,)
        Label shares of the train rows, each above 0.

    Raises
    ------
    PluginError
        A component that declares something else than three numbers below infinity.
    """
    share = np.asarray(label_share, dtype=np.float64)
    by_part: dict[str, FloatArray] = {}
    drawn_from = smoothed = share
    for name, part in sorted(parts.items(), key=lambda item: (item[0] != SYNTHETIC, item[0] == SMOOTHER)):
        declared = getattr(part, "prior_tilt", None)
        if declared is None:
            continue
        asked = smoothed if name == SMOOTHER else drawn_from if name.startswith(TRAINING) else share
        by_part[name] = _checked(name, part, declared(asked.copy()))
        if name == SYNTHETIC:
            drawn_from = _shifted(share, by_part[name])
        if name in _BEFORE_SMOOTHING and getattr(part, "applies_to", "sample_weight") == "sample_weight":
            smoothed = _shifted(smoothed, by_part[name])
    decision, calibrator = parts.get("inference.decision"), parts.get("inference.calibrator")
    corrected = bool(getattr(calibrator, "corrects_prior", False))
    taken_back = tuple(name for name in by_part if name != "inference.decision") if corrected else ()
    return PriorTilt(by_part, share, taken_back, bool(getattr(decision, "fitted_on_val", False)))


def _checked(name: str, part: object, tilt: object) -> FloatArray:
    values = np.asarray(tilt, dtype=np.float64)
    usable = values.shape == (N_CLASSES,) and not np.isnan(values).any() and (values < np.inf).all()
    if not usable or np.isneginf(values).all():
        raise PluginError(
            f"{name}: prior_tilt of {type(part).__name__} must be three log-odds below infinity, one of them "
            f"finite; received {values.tolist()}"
        )
    return values


def _shifted(share: FloatArray, tilt: FloatArray) -> FloatArray:
    """Return the class prior (3,) that a tilt turns another one into."""
    with np.errstate(divide="ignore"):
        tilted = np.exp(tilt - tilt.max() + np.log(share))
    return np.asarray(tilted / tilted.sum())


def _sum(tilts: Iterable[FloatArray]) -> FloatArray:
    """Return the sum of tilts (3,) with its largest value at 0."""
    total: FloatArray = np.sum([np.zeros(N_CLASSES), *tilts], axis=0)
    return total - total.max() if np.isfinite(total.max()) else total


def _centre(tilt: FloatArray) -> float:
    """Return the mean of the finite values, 0 without any."""
    finite = tilt[np.isfinite(tilt)]
    return float(finite.mean()) if len(finite) else 0.0
