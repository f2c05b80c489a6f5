import numpy as np
import pytest

from simengine.errors import DataError, PluginError, RunError
from simengine.evaluate.classification import nll
from simengine.evaluate.logproba import log_softmax


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


def test_a_record_from_before_an_option_counts_as_its_default(fading_model, windows, context):
    train = windows(40)
    model = fading_model(stateful=False)
    model.fit(train, train, context(epochs=1))
    state = model.get_state()
    for name in ("ema", "weight_decay", "chunk"):
        del state["architecture"][name]
    restored = fading_model(stateful=False)
    restored.set_state(state)
    np.testing.assert_array_equal(restored.predict_logits(train), model.predict_logits(train))
    with pytest.raises(RunError) as error:
        fading_model(stateful=False, ema=0.9).set_state(state)
    assert str(error.value) == (
        "the saved FadingModel has ema = None, this one has 0.9: use the options that it was trained with"
    )


def test_options_of_the_computation_alone_are_not_recorded(trained, tiny_model, windows):
    other, some = tiny_model(), windows(30, seed=2)
    other.jit_compile = True
    other.set_state(trained.get_state())
    np.testing.assert_array_equal(other.predict_logits(some), trained.predict_logits(some))
    assert "jit_compile" not in other.get_state()["architecture"]


def test_the_class_prior_is_where_the_head_starts(model, windows, context):
    train, still = windows(300), 1e-12
    model.head_bias = "class_prior"
    model.fit(train, train, context(epochs=1, learning_rate=still))
    bias = model.get_state()["weights"]["logits/bias"]
    np.testing.assert_allclose(bias, np.log(np.bincount(train.labels) / 300), atol=1e-6)


def test_a_head_of_another_name_or_an_empty_class_has_no_prior(tiny_model, windows, context):
    class Renamed(tiny_model):
        def build(self, n_features, length, seed):
            import keras

            inputs = keras.Input((length, n_features))
            logits = keras.layers.Dense(3, name="scores")(keras.layers.Flatten()(inputs))
            return keras.Model(inputs, logits, name="mine")

    model, train = Renamed(), windows(60)
    model.head_bias = "class_prior"
    with pytest.raises(PluginError) as error:
        model.fit(train, train, context())
    assert str(error.value) == (
        "model.head_bias class_prior: network mine needs a layer called 'logits' with a bias of 3; "
        "name its last layer so, or use zeros"
    )
    train.labels[train.labels == 2] = 1
    with pytest.raises(
        DataError, match=r"^model\.head_bias class_prior needs every class, but none of the 60"
    ):
        model.fit(train, train, context())


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tiny_model, windows, context):
    train, val = windows(200), windows(100, seed=1)
    plain, averaged = tiny_model(), tiny_model()
    averaged.ema = 0.9
    records = [model.fit(train, val, context(epochs=1, learning_rate=0.1)) for model in (plain, averaged)]
    assert records[0][0].train_loss == records[1][0].train_loss
    kept = nll(log_softmax(averaged.predict_logits(val)), val.labels)
    assert records[1][0].val_nll == pytest.approx(kept, rel=1e-6)
    assert kept != pytest.approx(records[0][0].val_nll, rel=1e-3)


def test_an_untrained_model_says_so(model, windows):
    with pytest.raises(RunError) as error:
        model.predict_logits(windows(30))
    assert str(error.value) == "TinyModel is not trained yet: call fit or set_state first"


def test_a_network_without_a_stream_says_what_to_do(trained, tiny_model):
    with pytest.raises(PluginError) as error:
        trained.stream()
    assert str(error.value) == (
        f"model TinyModel: its network {trained.network.name} has no stream method, so it cannot score bar "
        "by bar; use model: xlstm, or predict_logits on windows"
    )
    with pytest.raises(RunError, match=r"^TinyModel is not trained yet"):
        tiny_model().stream()


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
