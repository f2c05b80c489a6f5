import numpy as np
import pytest

from simengine.data.windows import WindowSet
from simengine.errors import RunError
from simengine.plugin.manager import build_registry
from simengine_plugins.models.xlstm import Xlstm

SMALL = {"embedding": 8, "heads": 2}


def weights_of(model):
    return {name: value.tobytes() for name, value in model.get_state()["weights"].items()}


def series(n, seed=0):
    """Two symbols of n bars each, of which each is one series."""
    matrix = np.random.default_rng(seed).normal(size=(2 * n, 5)).astype(np.float32)
    ends = np.concatenate([np.arange(7, n), n + np.arange(7, n)]).astype(np.int32)
    groups = (ends >= n).astype(np.int16)
    labels = np.digitize(matrix[ends - 2, 0], [-0.4, 0.4]).astype(np.int8)
    return WindowSet(matrix, ends, labels, groups, 8, (groups * n).astype(np.int32))


def test_it_trains_and_its_state_restores_it(windows, context):
    train, val = windows(300), windows(100, seed=1)
    model, restored = Xlstm(**SMALL), Xlstm(**SMALL)
    (record,) = model.fit(train, val, context())
    assert 0 < record.val_nll < 2
    state = model.get_state()
    assert state["architecture"] == {
        "n_features": 5,
        "length": 8,
        "embedding": 8,
        "embedding_bias": 0.5,
        "heads": 2,
        "blocks": ["slstm", "slstm"],
        "dropout": 0.2,
        "block_dropout": 0.1,
        "recurrent_dropout": 0.0,
        "conv_kernel": 0,
        "qkv_block": 4,
        "head_bias": "zeros",
        "weight_decay": 0.1,
        "ema": 0.99,
        "precision": "float32",
        "stateful": False,
        "chunk": 64,
    }
    restored.set_state(state)
    logits = model.predict_logits(val)
    np.testing.assert_array_equal(restored.predict_logits(val), logits)


def test_a_record_from_before_the_newer_options_means_what_networks_were_then(windows, context):
    then = {"embedding_bias": 0.0, "block_dropout": 0.0, "conv_kernel": 4, "weight_decay": 0.0, "ema": None}
    train, model = windows(100), Xlstm(**SMALL, blocks=("mlstm", "slstm"), dropout=0.1, **then)
    model.fit(train, train, context())
    state = model.get_state()
    names = ("n_features", "length", "embedding", "heads", "blocks", "dropout")
    old = {**state, "architecture": {name: state["architecture"][name] for name in names}}
    restored = Xlstm(**SMALL, blocks=("mlstm", "slstm"), dropout=0.1, **then)
    restored.set_state(old)
    np.testing.assert_array_equal(restored.predict_logits(train), model.predict_logits(train))
    with pytest.raises(RunError, match=r"^the saved Xlstm has block_dropout = 0\.0, this one has 0\.1: use"):
        Xlstm(**SMALL, blocks=("mlstm", "slstm"), dropout=0.1).set_state(old)


def test_every_option_of_the_network_reaches_it():
    options = {
        "embedding": 12,
        "heads": 2,
        "blocks": ("mlstm", "slstm"),
        "dropout": 0.2,
        "block_dropout": 0.3,
        "recurrent_dropout": 0.4,
        "conv_kernel": 3,
        "qkv_block": 8,
        "precision": "mixed_bfloat16",
        "kernels": "tensorflow",
        "stateful": True,
    }
    architecture = Xlstm(**options).build(5, 8, seed=1).architecture
    assert {name: architecture[name] for name in options} == {**options, "blocks": ["mlstm", "slstm"]}


def test_every_option_of_the_training_reaches_it():
    model = Xlstm(weight_decay=0.1, ema=0.9, jit_compile=True, stateful=True, chunk=20)
    options = model._fit_options()
    assert (options.weight_decay, options.ema, options.jit, options.chunk) == (0.1, 0.9, True, 20)
    assert options.identity != Xlstm(weight_decay=0.1, ema=0.9, conv_kernel=3)._fit_options().identity
    assert Xlstm()._fit_options().chunk is None
    plain = Xlstm(kernels="tensorflow")._fit_options()
    assert plain.compiled(300)
    assert not plain.compiled(299)
    assert not Xlstm(kernels="native")._fit_options().compiled(10**9)


@pytest.mark.parametrize(
    ("options", "kernels"),
    [
        ({}, "native"),
        ({"kernels": "tensorflow"}, "tensorflow"),
        ({"jit_compile": True}, "tensorflow"),
        ({"stateful": True}, "tensorflow"),
        ({"precision": "mixed_bfloat16"}, "tensorflow"),
        ({"blocks": ("mlstm_large",)}, "tensorflow"),
        ({"blocks": ("mlstm", "mlstm_large")}, "tensorflow"),
        ({"kernels": "native"}, "native"),
    ],
)
def test_what_kernels_auto_stands_for_on_a_cpu(options, kernels, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    model = Xlstm(**options)
    assert model.chosen_kernels == kernels
    assert model.compilable == (kernels == "tensorflow")


def test_mixed_precision_trains_and_scores_in_float32(windows, context):
    train, model = windows(100), Xlstm(**SMALL, blocks=("mlstm",), precision="mixed_bfloat16")
    history = model.fit(train, train, context(epochs=2))
    assert history[1].val_nll < history[0].val_nll
    assert model.predict_logits(train).dtype == np.float32
    assert {value.dtype for value in model.get_state()["weights"].values()} == {np.dtype(np.float32)}


def test_the_stream_of_a_trained_model_scores_as_the_model_does(windows, context):
    train, model = windows(100), Xlstm(**SMALL)
    model.fit(train, train, context())
    live = model.stream()
    logits = live.run(train.matrix)
    assert live.mode == "windowed_exact"
    np.testing.assert_allclose(logits[train.ends], model.predict_logits(train), atol=1e-5)
    with pytest.raises(ValueError, match=r"^mode 'stateful' needs a model that was trained statefully"):
        model.stream("stateful")
    carried = model.stream("stateful", allow_window_trained=True).run(train.matrix)
    np.testing.assert_allclose(carried[7], logits[7], atol=1e-5)


def test_the_stream_of_a_stateful_model_carries_its_state_as_its_scores_do(context):
    train = series(60)
    model = Xlstm(**SMALL, stateful=True, chunk=10)
    model.fit(train, train, context(batch_size=4))
    of_first = train.groups == 0
    stop = int(train.ends[of_first].max()) + 1
    logits = model.stream("stateful").run(train.matrix[:stop])
    np.testing.assert_allclose(logits[train.ends[of_first]], model.predict_logits(train)[of_first], atol=1e-5)


def test_stateful_training_is_reproducible_and_scores_do_not_depend_on_what_is_asked(context):
    train, val, states = series(60), series(30, seed=1), []
    for _ in range(2):
        model = Xlstm(**SMALL, stateful=True, chunk=10)
        history = model.fit(train, val, context(batch_size=4, epochs=2))
        states.append((history, weights_of(model)))
    assert states[0] == states[1]
    assert model.network.architecture["stateful"]
    logits = model.predict_logits(val)
    some = np.array([40, 2, 9])
    np.testing.assert_allclose(model.predict_logits(val.take(some)), logits[some], atol=1e-5)
    changed = WindowSet(val.matrix.copy(), val.ends, val.labels, val.groups, 8, val.starts)
    changed.matrix[20:30] += 1
    same = (val.groups == 1) | (val.ends < 20)
    other = model.predict_logits(changed)
    np.testing.assert_array_equal(other[same], logits[same])
    assert (other[~same] != logits[~same]).any(axis=1).all()
    # The first score of a series is that of its first window: nothing has been seen before.
    first = np.flatnonzero(val.ends - val.starts == 7)
    windows = np.asarray(model.network(val.gather(first), training=False))
    np.testing.assert_allclose(logits[first], windows, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": 10}, "embedding must be a multiple of heads; received 10 and 4"),
        (
            {"blocks": ("mlstm",), "recurrent_dropout": 0.2},
            "recurrent_dropout 0.2 has no slstm block to act on; add one or set it to 0",
        ),
        (
            {"blocks": ("mlstm_large",), "conv_kernel": 4},
            "conv_kernel 4 has no mlstm or slstm block to act on; add one or set it to 0",
        ),
        ({"qkv_block": 8}, "qkv_block 8 has no mlstm block to act on; add one or leave it out"),
        ({"chunk": 32}, "chunk 32 acts in stateful training only; set stateful to true or leave it out"),
        (
            {"kernels": "native", "jit_compile": True},
            "kernels native cannot be compiled with XLA; set kernels to tensorflow or jit_compile to auto",
        ),
        *(
            (
                {"kernels": "native", **excluded},
                "kernels native computes whole windows of mlstm and slstm blocks in float32; set kernels to "
                "auto, or leave stateful and precision at their defaults",
            )
            for excluded in (
                {"stateful": True},
                {"precision": "mixed_bfloat16"},
                {"blocks": ("mlstm_large",)},
            )
        ),
        (
            {"embedding": 16, "heads": 16},
            "heads 16 leave an slstm heads of one unit, which its normalisation makes 0; use fewer",
        ),
        (
            {"embedding": 32, "blocks": ("mlstm",), "qkv_block": 5},
            "qkv_block must divide the inner width 64 of an mlstm block; received 5",
        ),
        (
            {"embedding": 12, "blocks": ("mlstm_large",)},
            "heads must divide half the embedding, 6, in an mlstm_large block; received 4",
        ),
        (
            {"embedding": 9, "heads": 3, "blocks": ("mlstm",)},
            "heads must divide the inner width 64 of an mlstm block; received 3",
        ),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused_before_any_data_is_read(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        Xlstm(**options)
    assert str(error.value) == message


def test_every_option_is_explained():
    from simengine.plugin.describe import describe

    registry = build_registry(discover=False)
    for name in ("xlstm", "lstm"):
        options = describe(registry, "model", name)["options"]
        assert [option["name"] for option in options if len(option["description"]) < 15] == []


def test_the_docs_have_every_option_with_its_default():
    import inspect
    import re
    from pathlib import Path

    import yaml

    from simengine_plugins.models.lstm import Lstm

    text = (Path(__file__).parents[3] / "docs" / "model.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| .+ \|$", text.replace("| |", "|  |"), re.M)
    for column, model in ((1, Xlstm), (2, Lstm)):
        documented = {row[0]: yaml.safe_load(row[column]) for row in rows if row[column].strip()}
        parameters = inspect.signature(model).parameters.values()
        defaults = {
            option.name: list(option.default) if isinstance(option.default, tuple) else option.default
            for option in parameters
        }
        assert documented == defaults
