import numpy as np

from simengine.types import DecisionContext
from simengine_plugins.decisions.argmax import Argmax


def test_most_probable_class_and_the_first_of_equal_ones():
    scores = np.log([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.2, 0.3, 0.5]])
    context = DecisionContext(train_share=np.full(3, 1 / 3), horizon_bars=1)
    decided = Argmax().fit(scores, np.array([0, 1, 2], np.int8), context).decide(scores)
    np.testing.assert_array_equal(decided, [1, 0, 2])
    assert decided.dtype == np.int8
