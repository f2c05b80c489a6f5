import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine_plugins.reweighters.static import Static


def test_the_weights_never_move():
    reweighter, labels = Static(weights=PerClass(1.0, 0.7, 1.4)), np.array([0, 1, 2], np.int8)
    assert reweighter.start(labels).tolist() == [1.0, 0.7, 1.4]
    assert reweighter.update(labels, np.log(np.full((3, 3), 1 / 3)), 1).tolist() == [1.0, 0.7, 1.4]


def test_the_default_weights():
    assert Static().start(np.array([0], np.int8)).tolist() == [1.10, 1.05, 0.80]


@given(weights=st.tuples(*[st.floats(0.01, 100)] * 3), seed=st.integers(0, 999))
def test_predictions_do_not_matter_and_the_tilt_is_the_log_of_the_weights(weights, seed):
    rng, reweighter = np.random.default_rng(seed), Static(weights=PerClass(*weights))
    labels, proba = rng.integers(0, 3, 20).astype(np.int8), rng.dirichlet(np.ones(3), 20)
    assert tuple(reweighter.update(labels, np.log(proba), 1)) == tuple(reweighter.start(labels)) == weights
    np.testing.assert_allclose(np.exp(reweighter.prior_tilt(np.full(3, 1 / 3))), weights)


@pytest.mark.parametrize("weights", [(-1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_weights_that_cannot_train_are_refused(weights):
    with pytest.raises(ValueError, match=r"^weights must be >= 0 and not all 0; received \("):
        Static(weights=PerClass(*weights))
