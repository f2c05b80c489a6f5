import numpy as np
import pytest

from simengine_plugins.models.lstm import Lstm


@pytest.mark.parametrize(
    ("layers", "parameters"), [(1, 4 * 6 * (5 + 6 + 1) + 21), (2, 4 * 6 * (12 + 13) + 21)]
)
def test_the_network_has_the_size_it_says(layers, parameters):
    network = Lstm(units=6, layers=layers).build(5, 8, seed=1)
    assert network.count_params() == parameters
    assert network.output_shape == (None, 3)


def test_the_seed_decides_the_weights():
    first, second, other = (Lstm(units=4).build(5, 8, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_it_learns_and_its_state_restores_it(windows, context):
    train, val, model, restored = windows(900), windows(300, seed=1), Lstm(units=8), Lstm(units=8)
    history = model.fit(train, val, context(epochs=8, batch_size=32, learning_rate=0.05))
    assert history[-1].val_nll < 0.8 * history[0].val_nll
    restored.set_state(model.get_state())
    np.testing.assert_array_equal(restored.predict_logits(val), model.predict_logits(val))
