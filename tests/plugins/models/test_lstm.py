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


@pytest.mark.parametrize("option", ["dropout", "block_dropout", "recurrent_dropout"])
def test_every_dropout_is_seeded_and_drops_in_training_alone(option):
    from simengine.model.weights import reseed_dropout

    x = np.random.default_rng(0).normal(size=(4, 8, 5)).astype(np.float32)
    plain = Lstm(units=6, layers=2, dropout=0.0).build(5, 8, seed=1)
    network = Lstm(**{"units": 6, "layers": 2, "dropout": 0.0, option: 0.4}).build(5, 8, seed=1)
    outputs = []
    for seed in (3, 3, 4):
        reseed_dropout(network, seed)
        outputs.append(np.asarray(network(x, training=True)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 1e-4
    np.testing.assert_allclose(network(x), plain(x), atol=1e-6)


def test_every_option_of_its_training_reaches_it():
    model = Lstm(weight_decay=0.1, ema=0.9, jit_compile=True, head_bias="class_prior")
    options = model._fit_options()
    assert (options.weight_decay, options.ema, options.jit, options.chunk) == (0.1, 0.9, True, None)
    assert model.head_bias == "class_prior"
    assert not Lstm()._fit_options().compiled(10**9)


def test_a_record_from_before_the_newer_options_still_loads(windows, context):
    train, model, restored = windows(100), Lstm(units=4), Lstm(units=4)
    model.fit(train, train, context())
    state = model.get_state()
    old = {
        name: state["architecture"][name] for name in ("n_features", "length", "units", "layers", "dropout")
    }
    restored.set_state({"architecture": old, "weights": state["weights"]})
    np.testing.assert_array_equal(restored.predict_logits(train), model.predict_logits(train))
