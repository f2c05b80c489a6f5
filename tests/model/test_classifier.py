"""The classifier: what it accepts, what it promises about its weights, its outputs and its dropout."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from simengine.errors import RunError
from simengine.model.classifier import XLSTMClassifier, classifier_config, classifier_from_config
from simengine.model.weights import load_named_weights, named_weights, reseed_dropout

SMALL = {"embedding": 8, "heads": 2, "blocks": ("mlstm", "slstm"), "dropout": 0.25}


def small(seed=3, **options):
    return XLSTMClassifier(5, 12, **{**SMALL, **options}, seed=seed)


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).normal(size=(6, 12, 5)).astype(np.float32)


def assert_same_weights(first, second):
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize(
    "blocks", [("mlstm",), ("slstm",), ("mlstm", "slstm"), ("slstm", "mlstm"), ("mlstm_large",)]
)
def test_windows_become_finite_logits_in_any_batch_size(batch, blocks):
    model = small(blocks=blocks)
    logits = model(batch)
    assert logits.dtype == tf.float32
    assert logits.shape == (6, 3)
    assert model.output_shape == (None, 3)
    assert np.isfinite(logits).all()
    one_by_one = np.concatenate([model(batch[i : i + 1]) for i in range(len(batch))])
    np.testing.assert_allclose(one_by_one, logits, atol=2e-6)


def test_eager_graph_and_compiled_calls_agree(batch):
    model = small()
    eager = model(batch).numpy()
    for jit in (False, True):
        call = tf.function(model, jit_compile=jit)
        np.testing.assert_allclose(call(batch), eager, atol=5e-6)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (named_weights(small(seed)) for seed in (3, 3, 4))
    assert_same_weights(first, again)
    assert not np.array_equal(first["xlstm/block_0/memory/up"], other["xlstm/block_0/memory/up"])
    assert not np.array_equal(first["embedding/kernel"], other["embedding/kernel"])


def test_no_two_random_weights_start_alike():
    weights = named_weights(XLSTMClassifier(8, 12, embedding=8, heads=2, blocks=["slstm", "slstm"], seed=1))
    random = [w for w in weights.values() if len(np.unique(w)) == w.size > 8]
    assert len(random) > 12
    starts = {float(w.ravel()[0] / w.std()) for w in random}
    assert len(starts) == len(random)


def test_initial_weights_have_the_published_spread():
    weights = named_weights(XLSTMClassifier(25, 12, embedding=64, heads=4, blocks=["mlstm", "slstm"]))
    small_std, wang_std = np.sqrt(2 / (5 * 64)), 2 / 2 / np.sqrt(64)
    spreads = {
        "block_0/memory/up": small_std,
        "block_0/memory/query": small_std,
        "block_0/memory/down": wang_std,
        "block_1/memory/cell_gate": small_std,
        "block_1/ffn/up": small_std,
        "block_1/ffn/down": wang_std,
        "block_0/memory/conv/kernel": 0.5 / np.sqrt(3),
    }
    for name, expected in spreads.items():
        assert weights[f"xlstm/{name}"].std() == pytest.approx(expected, rel=0.1), name
    np.testing.assert_array_equal(weights["xlstm/block_0/memory/forget_gate_bias"], [3, 4, 5, 6])
    np.testing.assert_array_equal(weights["xlstm/block_0/memory/forget_gate"], 0)
    np.testing.assert_array_equal(weights["xlstm/block_1/memory/recurrent"], 0)
    forget = weights["xlstm/block_1/memory/bias"].reshape(4, 4, 16)[:, 1]
    # The last block of a stack: exponent 0.3 + 1.3.
    np.testing.assert_allclose(forget, np.tile(5 - 12 * (np.arange(16) / 15) ** 1.6, (4, 1)), rtol=1e-6)


def test_the_architecture_survives_json():
    options = {"precision": "mixed_bfloat16", "head_bias": [0.1, -0.2, 0.3], "stateful": True}
    model = small(block_dropout=0.1, conv_kernel=3, blocks=["slstm", "mlstm"], **options)
    assert {**model.architecture, **options} == model.architecture
    config = json.loads(json.dumps(classifier_config(model)))
    again = classifier_from_config(config)
    assert classifier_config(again) == config
    assert_same_weights(named_weights(model), named_weights(again))
    assert_same_weights(named_weights(model), named_weights(model.__class__.from_config(model.get_config())))


OLD = {
    "n_features": 5,
    "length": 12,
    "embedding": 8,
    "heads": 2,
    "blocks": ["mlstm", "slstm"],
    "dropout": 0.25,
    "block_dropout": 0.0,
    "conv_kernel": 4,
    "seed": 3,
}


def test_an_architecture_of_before_the_newer_options_means_their_defaults(batch):
    model = classifier_from_config(OLD)
    assert_same_weights(named_weights(model), named_weights(small()))
    np.testing.assert_array_equal(model(batch), small()(batch))


def test_names_of_weights_are_what_stored_runs_hold():
    memory = ["down", "forget_gate", "forget_gate_bias", "input_gate", "input_gate_bias", "key", "query"]
    memory += ["scale", "skip", "up", "value", "conv/bias", "conv/kernel"]
    second = ["cell_gate", "forget_gate", "input_gate", "output_gate", "recurrent", "bias", "scale"]
    second += ["conv/bias", "conv/kernel"]
    expected = {f"xlstm/block_0/{name}" for name in ["norm/scale", *(f"memory/{n}" for n in memory)]}
    expected |= {f"xlstm/block_1/memory/{name}" for name in second}
    expected |= {f"xlstm/block_1/{name}" for name in ["norm/scale", "ffn_norm/scale", "ffn/up", "ffn/down"]}
    expected |= {"xlstm/norm/scale", "embedding/kernel", "embedding/bias", "logits/kernel", "logits/bias"}
    assert set(named_weights(small())) == expected


OTHER = {
    "conv_kernel": 0,
    "qkv_block": 2,
    "proj_factor": 9.0,
    "ffn_factor": 9.0,
    "activation": "swish",
    "use_bias": True,
    "final_norm": False,
    "head_bias": (1.0, 0.0, -1.0),
    "precision": "mixed_bfloat16",
}


@pytest.mark.parametrize("name", OTHER)
def test_every_option_reaches_the_network(batch, name):
    plain, other = small(), small(**{name: OTHER[name]})
    shapes = [{name: w.shape for name, w in named_weights(model).items()} for model in (plain, other)]
    assert shapes[0] != shapes[1] or np.abs(plain(batch) - other(batch)).max() > 1e-6
    assert np.isfinite(other(batch)).all()


@pytest.mark.parametrize("options", [{"form": "recurrent"}, {"form": "chunkwise", "chunk_size": 5}])
def test_the_form_of_the_memory_changes_nothing(batch, options):
    np.testing.assert_allclose(small(**options)(batch), small()(batch), atol=2e-6)


def test_the_head_starts_at_the_bias_that_it_is_told(batch):
    prior = np.log([0.2, 0.3, 0.5])
    plain, shifted = small()(batch), small(head_bias=prior.tolist())(batch)
    np.testing.assert_allclose(shifted - plain, np.tile(prior, (6, 1)), atol=1e-6)


def test_mixed_precision_stays_close_and_logits_are_float32(batch):
    plain, mixed = small(), small(precision="mixed_bfloat16")
    assert_same_weights(named_weights(plain), named_weights(mixed))
    logits = mixed(batch)
    assert logits.dtype == tf.float32
    assert 1e-5 < np.abs(logits - plain(batch)).max() < 0.05


def test_recurrent_dropout_drops_in_training_alone(batch):
    model = small(blocks=["slstm"], recurrent_dropout=0.5, dropout=0.0)
    recurrent = model.get_layer("xlstm").blocks[0].memory.recurrent
    recurrent.assign(np.random.default_rng(0).normal(size=recurrent.shape))
    np.testing.assert_array_equal(model(batch), model(batch))
    assert np.abs(model(batch, training=True) - model(batch)).max() > 1e-4


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_layers_can_be_serialised(precision):
    for layer in small(precision=precision, head_bias=(0.1, 0.2, 0.3)).layers:
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads must divide embedding; received heads 3, embedding 8"),
        ({"heads": 0}, "heads must be at least 1; received 0"),
        ({"embedding": 0}, "embedding must be at least 1; received 0"),
        ({"blocks": ()}, "blocks must hold at least one name; received none"),
        (
            {"blocks": ["mlstn"]},
            "unknown block 'mlstn' (did you mean 'mlstm'?); known: mlstm, mlstm_large, slstm",
        ),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"conv_kernel": -1}, "conv_kernel must be at least 0; received -1"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout must be at least 0 and below 1; received -0.1"),
        ({"precision": "half"}, "unknown precision 'half'; known: float32, mixed_bfloat16"),
        ({"head_bias": [0, 1]}, "head_bias must be 3 finite numbers; received [0, 1]"),
        ({"form": "fast"}, "unknown form of the mLSTM 'fast'; known: chunkwise, parallel, recurrent"),
        (
            {"qkv_block": 3},
            "qkv_block must be a positive divisor of the inner width of the mLSTM; received 3 for 64",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        small(**options)
    assert str(error.value) == message


def test_an_architecture_with_other_keys_is_refused():
    config = classifier_config(small())
    with pytest.raises(ValueError, match=r"^unknown classifier option 'head' \(did you mean 'heads'\?\)"):
        classifier_from_config({**config, "head": 2})
    del config["seed"]
    with pytest.raises(ValueError, match=r"^classifier options are missing: seed$"):
        classifier_from_config(config)


def test_weights_move_to_another_model(batch):
    first, second = small(seed=1), small(seed=2)
    assert np.abs(first(batch) - second(batch)).max() > 1e-3
    load_named_weights(second, named_weights(first))
    np.testing.assert_array_equal(first(batch), second(batch))


def lstm():
    inputs = keras.Input((12, 5))
    x = keras.layers.LSTM(4, return_sequences=True, dropout=0.1, seed=1)(inputs)
    x = keras.layers.Dropout(0.1, seed=2)(keras.layers.LSTM(4)(x))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_names_of_any_model_do_not_depend_on_earlier_models():
    first, second = named_weights(lstm()), named_weights(lstm())
    parts = ("kernel", "recurrent_kernel", "bias")
    expected = [f"{layer}/lstm_cell/{part}" for layer in ("lstm", "lstm_1") for part in parts]
    assert list(first) == list(second) == [*expected, "dense/kernel", "dense/bias"]


def test_weights_of_another_architecture_are_refused_and_nothing_is_changed():
    model = small()
    before = named_weights(model)
    kernel = "logits/kernel"
    cases = [
        ({k: v for k, v in before.items() if k != kernel}, "weights: 'logits/kernel' is missing"),
        (
            {**before, "logits/kernl": before[kernel]},
            "weights: 'logits/kernl' is not a weight of the model (did you mean 'logits/kernel'?)",
        ),
        (
            {**before, kernel: np.zeros((3, 8), np.float32)},
            "weights: 'logits/kernel' must have shape (8, 3); received (3, 8)",
        ),
        (
            {**before, kernel: np.full((8, 3), np.nan, np.float32)},
            "weights: 'logits/kernel' holds values that are not finite",
        ),
    ]
    for weights, message in cases:
        changed = {name: array + 1 if name != kernel else array for name, array in weights.items()}
        with pytest.raises(RunError) as error:
            load_named_weights(model, changed)
        assert str(error.value) == message
    assert_same_weights(before, named_weights(model))


@pytest.mark.parametrize("build", [lambda: small(block_dropout=0.2), lstm])
def test_reseeding_repeats_the_dropout(batch, build):
    model = build()

    def run(seed):
        reseed_dropout(model, seed)
        return [model(batch, training=True).numpy() for _ in range(2)]

    first, other, again = run(5), run(6), run(5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_without_training_nothing_is_dropped(batch):
    model = small(block_dropout=0.5)
    np.testing.assert_array_equal(model(batch), model(batch, training=False))


def test_a_few_steps_learn_an_easy_rule(batch):
    model = small(dropout=0.0)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 12, 5)).astype(np.float32)
    labels = (x[:, -2, 0] > 0) + (x[:, -1, 1] > 0).astype(int)
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(x, training=True))
            )
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[0] > 0.8
    assert losses[-1] < 0.35


def test_biases_of_the_embedding_keep_the_size_of_features(batch):
    def change(spread):
        """Return how far what the first block sees moves when all features are doubled."""
        model = small(embedding_bias=spread)
        embedding, norm = model.get_layer("embedding"), model.get_layer("xlstm").blocks[0].norm
        return np.abs(norm(embedding(2 * batch)) - norm(embedding(batch))).max()

    assert change(0.0) < 1e-3
    assert change(1.0) > 0.1
    assert named_weights(small(embedding_bias=1.0))["embedding/bias"].std() > 0.3
    with pytest.raises(ValueError, match=r"^embedding_bias must be at least 0; received -1"):
        small(embedding_bias=-1.0)
