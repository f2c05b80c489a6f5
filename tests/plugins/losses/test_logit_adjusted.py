import numpy as np
import pytest

from simengine.errors import DataError
from simengine_plugins.losses.cross_entropy import CrossEntropy
from simengine_plugins.losses.logit_adjusted import LogitAdjusted

LABELS = np.array([0, 1, 2, 2], np.int8)
TARGETS = np.eye(3, dtype=np.float32)
LOGITS = np.array([[0.2, -0.1, 0.5], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], np.float32)


def test_it_is_cross_entropy_of_shifted_logits():
    loss = LogitAdjusted(tau=0.5).fit(LABELS)
    shifted = LOGITS + 0.5 * np.log([0.25, 0.25, 0.5]).astype(np.float32)
    np.testing.assert_allclose(loss(TARGETS, LOGITS), CrossEntropy()(TARGETS, shifted), rtol=1e-6)


def test_equal_logits_cost_the_surprise_of_the_prior():
    loss = LogitAdjusted().fit(LABELS)(TARGETS, np.zeros((3, 3), np.float32))
    assert loss.numpy().tolist() == pytest.approx([np.log(4), np.log(4), np.log(2)], rel=1e-6)


def test_tau_zero_is_cross_entropy():
    loss = LogitAdjusted(tau=0.0).fit(LABELS)
    np.testing.assert_array_equal(loss(TARGETS, LOGITS), CrossEntropy()(TARGETS, LOGITS))


def test_an_empty_class_is_an_error():
    with pytest.raises(DataError, match="loss logit_adjusted needs every class, but none of the 2 "):
        LogitAdjusted().fit(np.array([0, 2], np.int8))
