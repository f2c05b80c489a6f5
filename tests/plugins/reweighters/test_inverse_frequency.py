import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from simengine.errors import DataError
from simengine_plugins.reweighters.inverse_frequency import InverseFrequency

LABELS = np.array([0, 1, 2, 2], np.int8)


def test_power_one_is_the_balanced_weight_of_scikit_learn():
    weights = InverseFrequency().start(LABELS)
    assert weights.tolist() == pytest.approx([4 / 3, 4 / 3, 2 / 3])
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=LABELS))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_normalised_weights_have_mean_one_over_the_rows(power):
    weights = InverseFrequency(power=power).start(LABELS)
    assert weights[LABELS].mean() == pytest.approx(1.0)
    assert weights[0] / weights[2] == pytest.approx(2.0**power)


def test_without_normalising_the_power_is_taken_as_it_is():
    weights = InverseFrequency(power=2.0, normalize=False).start(LABELS)
    assert weights.tolist() == pytest.approx([16 / 9, 16 / 9, 4 / 9])


@given(counts=st.tuples(*[st.integers(1, 300)] * 3), power=st.floats(0, 3))
def test_rare_classes_weigh_more_and_the_tilt_is_that_of_the_weights(counts, power):
    labels = np.repeat([0, 1, 2], counts).astype(np.int8)
    reweighter = InverseFrequency(power=power)
    weights = reweighter.start(labels)
    assert weights[labels].mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(counts)]) <= 1e-12).all()
    gained = reweighter.prior_tilt(np.array(counts) / sum(counts)) - np.log(weights)
    np.testing.assert_allclose(gained, gained[0], atol=1e-9)


def test_later_epochs_keep_the_weights():
    reweighter = InverseFrequency()
    first = reweighter.start(LABELS)
    np.testing.assert_array_equal(reweighter.update(LABELS[:1], np.log(np.full((1, 3), 1 / 3)), 1), first)


def test_an_empty_class_is_an_error():
    with pytest.raises(DataError, match="reweighter inverse_frequency needs every class, but none of the 2 "):
        InverseFrequency().start(np.array([1, 2], np.int8))
