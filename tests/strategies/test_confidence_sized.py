from __future__ import annotations

import re

import numpy as np
import pytest

from simengine_strategies.confidence_sized import ConfidenceSized, simengine_register_strategies


def proba(*differences):
    return [(0.4 - d / 2, 0.2, 0.4 + d / 2) for d in differences]


def test_exposure_grows_with_the_difference_in_steps(make_context):
    given = proba(0.0, 0.04, 0.06, 0.10, 0.2, 0.5, -0.15, -0.5)
    targets = ConfidenceSized().targets(make_context([1] * 8, proba=given))
    assert targets.tolist() == [0, 0, 0.25, 0.5, 1, 1, -0.75, -1]


def test_no_probabilities_keep_the_position(make_context):
    assert np.isnan(ConfidenceSized().targets(make_context([1, 1]))).all()


def test_a_step_that_does_not_divide_one_still_stays_within_one(make_context):
    targets = ConfidenceSized(step=0.4).targets(make_context([1] * 2, proba=proba(0.5, -0.5)))
    assert targets.tolist() == pytest.approx([0.8, -0.8])
    targets = ConfidenceSized(step=0.6).targets(make_context([1], proba=proba(0.5)))
    assert targets.tolist() == [1]


def test_threshold_must_be_below_scale():
    text = "threshold must be below scale, received 0.3 and 0.2"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        ConfidenceSized(threshold=0.3)


def test_causal(assert_causal):
    assert_causal(ConfidenceSized())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["confidence_sized"]
