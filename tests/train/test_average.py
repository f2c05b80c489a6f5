import numpy as np
import pytest

from simengine.train.average import WeightAverage


@pytest.fixture
def variable():
    import keras

    return keras.Variable(np.array([1.0, -1.0], np.float32))


def test_it_follows_the_weights_and_forgets_where_they_began(variable):
    average, expected = WeightAverage([variable], 0.9), np.array([1.0, -1.0])
    for count in range(1, 200):
        value = np.array([np.sin(count), count], np.float32)
        variable.assign(value)
        average.update(count)
        expected += (1 - min(0.9, count / (count + 9))) * (value - expected)
    np.testing.assert_allclose(average.variables[0].numpy(), expected, rtol=1e-5)


def test_the_first_weights_leave_no_trace_after_a_short_training(variable):
    average = WeightAverage([variable], 0.9999)
    variable.assign([0.0, 0.0])
    for count in range(1, 101):
        average.update(count)
    # With a constant momentum 99 % of the initial weights would be left.
    assert np.abs(average.variables[0].numpy()).max() < 1e-6


def test_in_place_gives_the_weights_back_even_after_an_error(variable):
    average = WeightAverage([variable], 0.9)
    variable.assign([3.0, 4.0])
    average.update(1)
    for error in (None, ValueError):
        try:
            with average.in_place():
                np.testing.assert_allclose(variable.numpy(), [2.8, 3.5], rtol=1e-6)
                if error:
                    raise error
        except ValueError:
            pass
        np.testing.assert_array_equal(variable.numpy(), [3.0, 4.0])


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_a_momentum_that_averages_nothing_is_refused(variable, momentum):
    with pytest.raises(ValueError, match=rf"^ema must be above 0 and below 1; received {momentum}$"):
        WeightAverage([variable], momentum)
