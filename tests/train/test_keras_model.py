import numpy as np
import pytest

from simengine.errors import PluginError, RunError


@pytest.fixture
def trained(model, windows, context):
    model.fit(windows(70), windows(40, seed=1), context(epochs=1))
    return model


def test_gathering_in_the_graph_equals_gathering_in_numpy(trained, windows):
    some = windows(700, seed=2)
    np.testing.assert_allclose(
        trained.predict_logits(some), trained.predict_logits(some, lambda batch: batch), atol=1e-6
    )


def test_a_transform_changes_what_the_network_sees(trained, windows):
    some = windows(30, seed=2)
    mirrored = windows(30, seed=2)
    np.negative(mirrored.matrix, out=mirrored.matrix)
    np.testing.assert_allclose(
        trained.predict_logits(some, np.negative), trained.predict_logits(mirrored), atol=1e-6
    )


def test_prediction_needs_no_labels_and_takes_none(trained, windows):
    some = windows(30, seed=2)
    expected = trained.predict_logits(some)
    some.labels[:] = -1
    np.testing.assert_array_equal(trained.predict_logits(some), expected)
    assert trained.predict_logits(some.take(slice(0, 0))).shape == (0, 3)
    assert expected.dtype == np.float32


def test_state_rebuilds_the_network(trained, tiny_model, windows):
    state, some = trained.get_state(), windows(30, seed=2)
    assert state["architecture"] == {"n_features": 4, "length": 6, "dropout": 0.2}
    restored = tiny_model()
    restored.set_state(state)
    np.testing.assert_array_equal(restored.predict_logits(some), trained.predict_logits(some))


def test_state_of_other_options_is_refused(trained, tiny_model):
    with pytest.raises(RunError) as error:
        tiny_model(dropout=0.5).set_state(trained.get_state())
    assert str(error.value) == (
        "the saved TinyModel has dropout = 0.2, this one has 0.5: use the options that it was trained with"
    )


def test_an_untrained_model_says_so(model, windows):
    with pytest.raises(RunError) as error:
        model.predict_logits(windows(30))
    assert str(error.value) == "TinyModel is not trained yet: call fit or set_state first"


def test_windows_of_another_shape_are_refused(trained, windows):
    some = windows(30)
    wide = type(some)(np.zeros((90, 9), np.float32), some.ends, some.labels, some.groups, some.length)
    with pytest.raises(RunError) as error:
        trained.predict_logits(wide)
    assert str(error.value) == "the model was trained on windows of 6 bars x 4 features; received 6 x 9"


def test_a_transform_that_changes_the_shape_is_refused(trained, windows):
    def shorten(batch):
        return batch[:, 1:]

    with pytest.raises(PluginError) as error:
        trained.predict_logits(windows(30), shorten)
    assert str(error.value) == "function: expected a batch of shape (30, 6, 4); received (30, 5, 4)"
