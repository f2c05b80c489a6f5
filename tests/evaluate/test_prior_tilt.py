import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.errors import PluginError
from simengine.evaluate.prior_tilt import LARGE, total_prior_tilt
from simengine.plugin.manager import build_registry
from simengine.types import PerClass

SHARE = np.array([0.283, 0.339, 0.378])
REGISTRY = build_registry(discover=False)


class Leaning:
    def __init__(self, tilt, **attributes):
        self.tilt = tilt
        vars(self).update(attributes)

    def prior_tilt(self, label_share):
        return self.tilt


def made(kind, name, **options):
    return REGISTRY.create(kind, {"type": name, **options})


def per_class(*values):
    return PerClass(*values)._asdict()


@pytest.mark.parametrize(("kind", "name", "options", "expected"), [
    ("reweighter", "static", {"weights": per_class(1.1, 1.05, 0.8)}, np.log([1.1, 1.05, 0.8])),
    ("reweighter", "inverse_frequency", {"power": 0.5}, -0.5 * np.log(SHARE)),
    ("loss", "focal", {"alpha": per_class(1.0, 0.5, 2.0)}, np.log([1.0, 0.5, 2.0])),
    ("loss", "focal", {}, np.zeros(3)),
    ("loss", "logit_adjusted", {"tau": 1.5}, -1.5 * np.log(SHARE)),
    ("decision", "logit_adjusted", {"tau": 1.0}, -np.log(SHARE)),
    ("balancer", "class_quota", {"quotas": per_class(0.3, 0.3, 0.4)}, np.log([0.3, 0.3, 0.4] / SHARE)),
])  # fmt: skip
def test_components_declare_the_tilt_of_their_formula(kind, name, options, expected):
    tilt = made(kind, name, **options).prior_tilt(SHARE)
    np.testing.assert_allclose(tilt - tilt[0], expected - expected[0], atol=1e-12)


def test_weights_sampling_and_logit_adjustment_add_up():
    """Weights and quotas that favour SELL, and both logit adjustments: three cures of one disease."""
    parts = {
        "training.balancer": made("balancer", "class_quota", quotas=per_class(0.4, 0.35, 0.25)),
        "training.reweighter": made("reweighter", "static", weights=per_class(1.1, 1.05, 0.8)),
        "training.loss": made("loss", "logit_adjusted"),
        "inference.calibrator": None,
        "inference.decision": made("decision", "logit_adjusted"),
    }
    found = total_prior_tilt(parts, SHARE)
    expected = np.log(np.array([0.4, 0.35, 0.25]) * [1.1, 1.05, 0.8]) - 3 * np.log(SHARE)
    np.testing.assert_allclose(found.total, expected - expected.max(), atol=1e-12)
    # What is taught knows nothing of the decision.
    implied = np.exp(expected + np.log(SHARE)) * SHARE
    np.testing.assert_allclose(found.implied_share, implied / implied.sum())
    assert found.spread == pytest.approx(expected.max() - expected.min())
    shown = " / ".join(f"{value:+.2f}" for value in expected - expected.mean())
    assert found.warning() == (
        "prior tilt: training.balancer, training.reweighter, training.loss, inference.decision together lean "
        f"from BUY to SELL by a factor of {math.exp(found.spread):.2f} (log-odds of SELL / HOLD / BUY "
        f"against the label prior {shown}), and the decision is not fitted on validation to take it back; "
        "use inference.decision: prior_matched, or fewer of them"
    )
    assert math.exp(found.spread) == pytest.approx(0.4 * 1.1 / 0.283**3 / (0.25 * 0.8 / 0.378**3))


@pytest.mark.parametrize("part", [
    ("training.balancer", made("balancer", "class_quota", quotas=per_class(0.4, 0.3, 0.3)), [0.4, 0.3, 0.3]),
    ("training.reweighter", made("reweighter", "inverse_frequency", power=1.0), [1 / 3, 1 / 3, 1 / 3]),
    ("training.loss", made("loss", "logit_adjusted"), [1 / 3, 1 / 3, 1 / 3]),
])  # fmt: skip
def test_synthetic_rows_are_not_counted_twice(part):
    """Quotas and inverse frequencies reach the same shares whether or not rows were added before."""
    name, component, expected = part
    smote = made("smote", "chunked_smote", target=per_class(0.5, 0.3, 0.2))
    found = total_prior_tilt({name: component, "training.smote": smote}, SHARE)
    np.testing.assert_allclose(found.implied_share, expected, atol=1e-9)
    assert set(found.by_part) == {name, "training.smote"}


@pytest.mark.parametrize("share", [[0.283, 0.339, 0.378], [0.05, 0.9, 0.05]])
def test_a_smoother_smooths_what_quotas_left(share):
    """Quotas q, then a matrix M: the shares taught are q M, whatever the labels were."""
    smoother = made("smoother", "class_conditional")
    quotas = np.array([0.3, 0.3, 0.4])
    parts = {
        "training.smoother": smoother,
        "training.balancer": made("balancer", "class_quota", quotas=per_class(*quotas.tolist())),
    }
    found = total_prior_tilt(parts, np.array(share))
    np.testing.assert_allclose(found.implied_share, quotas @ smoother.matrix(), atol=1e-12)
    # Weights of rows come before smoothing too, weights of targets after it.
    for applies_to, expected in (
        ("sample_weight", (share * np.array([2.0, 1, 1]) / (1 + share[0])) @ smoother.matrix()),
        ("alpha", (share @ smoother.matrix()) * [2.0, 1, 1] / (1 + (share @ smoother.matrix())[0])),
    ):
        weights = Leaning(np.log([2.0, 1, 1]), applies_to=applies_to)
        found = total_prior_tilt(
            {"training.reweighter": weights, "training.smoother": smoother}, np.array(share)
        )
        np.testing.assert_allclose(found.implied_share, expected, atol=1e-12)


def test_a_decision_is_asked_at_the_label_prior():
    smote, rule = made("smote", "chunked_smote"), made("decision", "logit_adjusted")
    found = total_prior_tilt({"inference.decision": rule, "training.smote": smote}, SHARE)
    expected = -np.log(SHARE) - np.log(SHARE)
    np.testing.assert_allclose(found.total, expected - expected.max(), atol=1e-9)


@pytest.mark.parametrize("decision", ["prior_matched", "cost_aware", "hysteresis"])
def test_a_decision_that_is_fitted_on_val_takes_it_back(decision):
    parts = {"training.loss": Leaning([0, 0, 3.0]), "inference.decision": made("decision", decision)}
    found = total_prior_tilt(parts, SHARE)
    assert found.val_fitted
    assert found.warning() is None
    np.testing.assert_array_equal(found.total, [-3, -3, 0])


@pytest.mark.parametrize(
    ("calibrator", "warned"),
    [("vector", False), ("bias_corrected_temperature", False), ("dirichlet", False), ("isotonic", False),
     ("temperature", True)],
)  # fmt: skip
def test_a_calibrator_with_a_bias_per_class_takes_back_the_training(calibrator, warned):
    parts = {
        "training.reweighter": made("reweighter", "static", weights=per_class(1.0, 0.7, 1.4)),
        "inference.calibrator": made("calibrator", calibrator),
        "inference.decision": made("decision", "argmax"),
    }
    assert (total_prior_tilt(parts, SHARE).warning() is not None) is warned
    parts["inference.decision"] = made("decision", "logit_adjusted", tau=2.0)
    found = total_prior_tilt(parts, SHARE)  # what the decision adds itself no calibrator takes back
    assert found.warning() is not None
    assert ("training.reweighter" in found.warning()) is warned


def test_a_small_tilt_is_no_warning():
    just = total_prior_tilt({"training.loss": Leaning([0, 0.99 * LARGE, 0])}, SHARE)
    assert just.warning() is None
    above = total_prior_tilt({"training.loss": Leaning([0, 1.01 * LARGE, 0])}, SHARE)
    start = "prior tilt: training.loss leans from SELL to HOLD by a factor of 1.51 (log-odds"
    assert above.warning().startswith(start)
    assert total_prior_tilt({"training.loss": object()}, SHARE).warning() is None


def test_a_class_that_is_shut_out_is_said():
    reweighter = made("reweighter", "static", weights=per_class(1.0, 0.0, 1.0))
    found = total_prior_tilt({"training.reweighter": reweighter}, SHARE)
    assert "leans from HOLD to SELL without bound (" in found.warning()
    np.testing.assert_array_equal(found.implied_share[1], 0.0)


@given(st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), max_size=4), st.floats(-5, 5))
def test_the_total_is_the_sum_up_to_a_constant(tilts, shift):
    parts = {f"part{k}": Leaning(np.array(tilt) + shift) for k, tilt in enumerate(tilts)}
    total = total_prior_tilt(parts, SHARE).total
    expected = np.sum([np.zeros(3), *map(np.array, tilts)], axis=0)
    np.testing.assert_allclose(total - total[0], expected - expected[0], atol=1e-9)


@pytest.mark.parametrize("tilt", [[0.0, 1.0], [0.0, np.nan, 0.0], [0.0, np.inf, 0.0], [-np.inf] * 3])
def test_what_is_no_tilt_is_refused(tilt):
    with pytest.raises(PluginError) as error:
        total_prior_tilt({"training.loss": Leaning(tilt)}, SHARE)
    assert str(error.value) == (
        "training.loss: prior_tilt of Leaning must be three log-odds below infinity, one of them finite; "
        f"received {tilt}"
    )
