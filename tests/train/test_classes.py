import numpy as np
import pytest

from simengine.errors import DataError, PluginError
from simengine.train.classes import checked_class_weights, class_counts, class_prior


def test_counts_and_shares_of_the_labels():
    labels = np.array([0, 2, 2, 1], np.int8)
    assert class_counts(labels, "x").tolist() == [1, 1, 2]
    assert class_prior(labels, "x").tolist() == [0.25, 0.25, 0.5]


def test_a_missing_class_is_named():
    with pytest.raises(DataError) as error:
        class_counts(np.array([0, 2, 2], np.int8), "loss logit_adjusted")
    assert str(error.value) == (
        "loss logit_adjusted needs every class, but none of the 3 training labels is HOLD: "
        "change labels.labeler or use more bars"
    )


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [1, float("nan"), 1], 1.0])
def test_weights_that_are_not_three_numbers_are_refused(weights):
    with pytest.raises(
        PluginError, match=r"^reweighter object: expected three finite weights >= 0; received"
    ):
        checked_class_weights(object(), weights)
