"""Official parameters load by name, in both layouts, and come out as they went in."""

import json
from pathlib import Path

import numpy as np
import pytest

from simengine.model.checkpoint import CheckpointError, read_arrays
from simengine.model.classifier import XLSTMClassifier
from simengine.model.from_official import layer_from_official_config
from simengine.model.official import load_official_state_dict, save_official, to_official_state_dict
from simengine.model.primitives import LayerNorm

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CONFIG = json.loads((GOLDEN / "config.json").read_text())
LAYERS = [name for name, entry in CONFIG.items() if "config" in entry]
KERNEL, BIAS = "blocks.1.xlstm.slstm_cell._recurrent_kernel_", "blocks.1.xlstm.slstm_cell._bias_"
HEADS, HEAD_DIM = 4, 8


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for key, array in expected.items():
        assert (actual[key].dtype, actual[key].shape) == (array.dtype, array.shape), key
        assert actual[key].tobytes() == array.tobytes(), key


def with_cuda(weights, flat=True):
    """The weights of stack_ms as the CUDA backend holds them, or in its external shape.

    Written out index by index, unlike the code under test.
    """
    kernel, bias = weights[KERNEL], weights[BIAS]
    outer = np.empty((HEADS, HEAD_DIM, 4, HEAD_DIM), np.float32)
    outer_bias = np.empty((HEADS, 4, HEAD_DIM), np.float32)
    for head in range(HEADS):
        for gate in range(4):
            for out in range(HEAD_DIM):
                outer[head, :, gate, out] = kernel[head, gate * HEAD_DIM + out]
                outer_bias[head, gate, out] = bias[(gate * HEADS + head) * HEAD_DIM + out]
    if flat:
        outer, outer_bias = outer.reshape(HEADS, HEAD_DIM, 4 * HEAD_DIM), outer_bias.reshape(-1)
    return {**weights, KERNEL: outer, BIAS: outer_bias}


@pytest.mark.parametrize("name", LAYERS)
def test_official_parameters_make_the_round_trip(golden_layer, name):
    case, layer = golden_layer(name)
    assert_same(to_official_state_dict(layer), case.weights)


@pytest.fixture
def stack(golden_layer):
    return golden_layer("stack_ms")


def fresh():
    return layer_from_official_config(CONFIG["stack_ms"]["config"], seed=5)


def test_both_layouts_give_the_same_layer(stack):
    case, layer = stack
    for weights in (with_cuda(case.weights), with_cuda(case.weights, flat=False)):
        other = fresh()
        assert load_official_state_dict(other, weights) == "cuda"
        np.testing.assert_array_equal(other(case.x), layer(case.x))
        assert_same(to_official_state_dict(other), case.weights)
        assert_same(to_official_state_dict(other, "cuda"), with_cuda(case.weights))
    assert load_official_state_dict(fresh(), case.weights) == "vanilla"


def test_the_official_gate_names_are_swapped(golden_layer):
    case, layer = golden_layer("slstm_block")
    input_gate, forget_gate = (gate.numpy().swapaxes(1, 2) for gate in layer.memory.gates[:2])
    np.testing.assert_array_equal(input_gate, case.weights["xlstm.fgate.weight"])
    np.testing.assert_array_equal(forget_gate, case.weights["xlstm.igate.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("backend", ["vanilla", "cuda"])
def test_files_make_the_round_trip(stack, tmp_path, suffix, backend):
    case, layer = stack
    path = tmp_path / f"weights{suffix}"
    save_official(layer, path, backend)
    expected = case.weights if backend == "vanilla" else with_cuda(case.weights)
    assert_same(read_arrays(path), expected)
    other = fresh()
    assert load_official_state_dict(other, str(path)) == backend
    assert_same(to_official_state_dict(other, backend), expected)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("prefix", ["model.", "module.", "module.model.", "_orig_mod."])
def test_prefixes_of_wrapped_modules_are_removed(stack, prefix):
    weights = {prefix + name: array for name, array in stack[0].weights.items()}
    layer = fresh()
    load_official_state_dict(layer, weights)
    assert_same(to_official_state_dict(layer), stack[0].weights)


def test_a_prefix_selects_the_stack_of_a_larger_model(stack):
    weights = {f"xlstm_block_stack.{name}": array for name, array in stack[0].weights.items()}
    weights["lm_head.weight"] = np.zeros((3, 32), np.float32)
    layer = fresh()
    with pytest.raises(CheckpointError, match="unexpected official parameters: lm_head"):
        load_official_state_dict(layer, weights)
    load_official_state_dict(layer, weights, prefix="xlstm_block_stack")
    assert_same(to_official_state_dict(layer), stack[0].weights)
    with pytest.raises(CheckpointError, match=r"^no parameter begins with 'other\.'; the names are lm_head"):
        load_official_state_dict(layer, weights, prefix="other")


def test_fused_matrices_of_the_large_block_are_split(golden_layer):
    case, layer = golden_layer("large_block_small")
    fused = dict(case.weights)
    parts = {
        "mlstm_layer.qkv_opreact": [f"mlstm_layer.{name}" for name in ("q", "k", "v", "ogate_preact")],
        "mlstm_layer.ifgate_preact": ["mlstm_layer.igate_preact", "mlstm_layer.fgate_preact"],
        "ffn.proj_up_gate_z": ["ffn.proj_up_gate", "ffn.proj_up"],
    }
    for name, names in parts.items():
        for kind in ("weight", "bias"):
            fused[f"{name}.{kind}"] = np.concatenate([fused.pop(f"{part}.{kind}") for part in names])
    other = layer_from_official_config(case.config, seed=5)
    load_official_state_dict(other, fused)
    assert_same(to_official_state_dict(other), to_official_state_dict(layer))
    fused["ffn.proj_up_gate_z.bias"] = fused["ffn.proj_up_gate_z.bias"][1:]
    with pytest.raises(CheckpointError, match=r"^ffn\.proj_up_gate_z\.bias: expected \d+ rows; received"):
        load_official_state_dict(other, fused)


def without(weights, key):
    return {name: array for name, array in weights.items() if name != key}


CONV = "blocks.1.xlstm.conv1d.conv.weight"
REFUSED = {
    "missing": (
        lambda w: without(w, CONV),
        rf"^official parameters are missing: {CONV}; give the layer the options of the checkpoint's config",
    ),
    "unexpected": (lambda w: {**w, "extra": w[CONV]}, r"^unexpected official parameters: extra; give"),
    "shape": (
        lambda w: {**w, CONV: w[CONV][:, 0]},
        rf"^{CONV}: expected shape \(32, 1, 4\); received \(32, 4\)$",
    ),
    "not finite": (
        lambda w: {**w, CONV: np.full_like(w[CONV], np.nan)},
        rf"^{CONV}: holds values that are not",
    ),
    "wider": (
        lambda w: {**w, CONV: w[CONV].astype(np.float64)},
        rf"^{CONV}: expected float32 or narrower; received float64: convert it$",
    ),
    "integers": (lambda w: {**w, CONV: w[CONV].astype(np.int32)}, rf"^{CONV}: expected float32 or narrower"),
    "no array": (
        lambda w: {**w, CONV: [0.0]},
        rf"^{CONV}: expected a NumPy array; received list: convert it",
    ),
    "bias of the other layout": (
        lambda w: {**w, BIAS: with_cuda(w, flat=False)[BIAS]},
        rf"^{BIAS}: expected shape \(128,\); received \(4, 4, 8\)$",
    ),
    "nothing": (lambda w: {}, r"^official parameters are missing: .* and 24 more; give"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_parameters_that_do_not_fit_are_refused_and_nothing_changes(stack, change, message):
    layer = fresh()
    before = to_official_state_dict(layer)
    with pytest.raises(CheckpointError, match=message) as error:
        load_official_state_dict(layer, change(stack[0].weights))
    assert "\n" not in str(error.value)
    assert_same(to_official_state_dict(layer), before)


def test_a_backend_that_is_stated_must_be_the_one_found(stack):
    with pytest.raises(CheckpointError, match=r"expected shape \(4, 8, 32\); received \(4, 32, 8\)$"):
        load_official_state_dict(fresh(), stack[0].weights, backend="cuda")
    with pytest.raises(CheckpointError, match=r"^unknown backend 'cuba' \(did you mean 'cuda'\?\)"):
        load_official_state_dict(fresh(), stack[0].weights, backend="cuba")


def test_narrower_numbers_are_widened_exactly(stack):
    half = {name: array.astype(np.float16) for name, array in stack[0].weights.items()}
    layer = fresh()
    load_official_state_dict(layer, half)
    assert_same(to_official_state_dict(layer), {k: v.astype(np.float32) for k, v in half.items()})


def test_an_error_in_a_file_names_the_file(stack, tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **without(stack[0].weights, CONV))
    with pytest.raises(CheckpointError, match=rf"^{path}: official parameters are missing: {CONV}"):
        load_official_state_dict(fresh(), path)


def test_layers_without_official_parameters_are_refused():
    norm = LayerNorm()
    with pytest.raises(CheckpointError, match=r"has no weights yet; build it first: layer\.build"):
        to_official_state_dict(norm)
    norm.build((None, 4))
    with pytest.raises(TypeError, match=r"received LayerNorm$"):
        to_official_state_dict(norm)
    with pytest.raises(TypeError, match=r"^expected an mLSTM, .* or block stack; received NoneType$"):
        to_official_state_dict(None)
    model = XLSTMClassifier(5, 12, embedding=8, heads=2)
    with pytest.raises(
        TypeError, match=r"received XLSTMClassifier: give its stack, model\.get_layer\('xlstm"
    ):
        to_official_state_dict(model)


SOURCE = (
    r"^source: expected the path of a \.safetensors or \.npz file, or a mapping of names to arrays; received "
)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, SOURCE + "NoneType$"),
        (3, SOURCE + "int$"),
        ([np.zeros(3)], SOURCE + "list$"),
        ({1: np.zeros(3)}, "^expected official names as text; received 1: rename it$"),
        ("weights.pt", r"^weights\.pt: a pickle can run code, so it is not read; convert it where PyTorch"),
        ("weights.pkl", r"^weights\.pkl: a pickle can run code, so it is not read; convert it where PyTorch"),
    ],
)
def test_sources_that_hold_no_arrays_are_refused(source, message):
    with pytest.raises(CheckpointError, match=message) as error:
        load_official_state_dict(fresh(), source)
    assert "\n" not in str(error.value)


def test_arguments_of_another_kind_are_refused(stack):
    layer = fresh()
    with pytest.raises(CheckpointError, match=r"^prefix: expected text or None; received int$"):
        load_official_state_dict(layer, stack[0].weights, prefix=3)
    with pytest.raises(CheckpointError, match=r"^unknown backend 'None'; known: cuda, vanilla$"):
        to_official_state_dict(layer, None)
    with pytest.raises(
        CheckpointError, match=r"^values: no array for '.*'; give one for each weight, by its"
    ):
        to_official_state_dict(layer, values={})
