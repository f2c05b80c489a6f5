import numpy as np
import pytest

from simengine import PerClass
from simengine_plugins.reweighters.static import Static


def test_the_weights_never_move():
    reweighter, labels = Static(weights=PerClass(1.0, 0.7, 1.4)), np.array([0, 1, 2], np.int8)
    assert reweighter.start(labels).tolist() == [1.0, 0.7, 1.4]
    assert reweighter.update(labels, np.log(np.full((3, 3), 1 / 3)), 1).tolist() == [1.0, 0.7, 1.4]


def test_the_default_weights():
    assert Static().start(np.array([0], np.int8)).tolist() == [1.10, 1.05, 0.80]


@pytest.mark.parametrize("weights", [(-1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_weights_that_cannot_train_are_refused(weights):
    with pytest.raises(ValueError, match=r"^weights must be >= 0 and not all 0; received \("):
        Static(weights=PerClass(*weights))
