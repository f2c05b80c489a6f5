import numpy as np
import pytest

from simengine_plugins.losses.cross_entropy import CrossEntropy


def test_minus_log_of_the_true_class():
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], np.float32))
    targets = np.array([[1, 0, 0], [0, 0.5, 0.5]], np.float32)
    expected = [-np.log(0.5), -0.5 * np.log(0.1) - 0.5 * np.log(0.8)]
    assert CrossEntropy()(targets, logits).numpy().tolist() == pytest.approx(expected, rel=1e-6)
