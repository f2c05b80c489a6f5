"""Layers, blocks and stacks equal the official ones, and the benchmark that says so can say otherwise."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import golden  # noqa: E402 - it stands beside the project

CONFIG = json.loads((GOLDEN / "config.json").read_text())
LAYERS = [name for name, entry in CONFIG.items() if "config" in entry]
SMALL = ("slstm_conv0_h1_nogn", "stack_ss_nonorm")
# Building the graph of each case takes longer than running its operations.
EAGER = [replace(path, mode="eager") for path in golden.PATHS if path.mode == "graph"]


def assert_equal(rows):
    assert rows
    assert not [golden.as_line(row) for row in rows if not row.passed]


@pytest.mark.parametrize("path", EAGER, ids=lambda path: path.name)
@pytest.mark.parametrize("name", LAYERS)
def test_case_equals_the_official_implementation(name, path):
    assert_equal(golden.check(GOLDEN, name, CONFIG[name], [path]))


@pytest.mark.parametrize(("name", "kernels"), [(SMALL[0], "native"), ("large_block_small", "tensorflow")])
def test_a_row_says_whether_the_native_kernels_computed_it(name, kernels):
    (row,) = golden.check(GOLDEN, name, CONFIG[name], [path for path in EAGER if path.name == "native"])
    assert row.as_json()["kernels"] == kernels
    assert golden.as_line(row).endswith(
        "equal" if kernels == "native" else "(computed by TensorFlow operations)"
    )


def test_memory_equals_the_official_implementation():
    rows = golden.check(GOLDEN, "mlstm_kernel", CONFIG["mlstm_kernel"], EAGER)
    assert [row.case.split(" ", 1)[1] for row in rows] == [
        "parallel",
        "recurrent",
        *(f"chunkwise {size}" for size in (15, 20, 60)),
    ]
    assert_equal(rows)


@pytest.mark.slow
@pytest.mark.parametrize("path", golden.PATHS, ids=lambda path: path.name)
def test_graph_and_compiled_case_equal_the_official_implementation(path):
    assert_equal(golden.check(GOLDEN, "stack_ms", CONFIG["stack_ms"], [path]))


@pytest.mark.parametrize("name", LAYERS)
def test_float64_equals_the_official_float64_output(golden_layer, name):
    case, layer = golden_layer(name, "float64")
    # Recorded with the precision of float16: 5e-4 of the official error; then there is the m of epsilon.
    np.testing.assert_allclose(layer(case.x.astype("float64")), case.y64, rtol=0, atol=3e-8)


@pytest.mark.parametrize("name", ["slstm_block", "mlstm_block", "stack_ss_nonorm", "large_block_small"])
def test_last_step_alone_equals_the_last_of_all_steps(golden_layer, name):
    case, every = golden_layer(name, "float64")
    _, last = golden_layer(name, "float64", return_sequences=False)
    x = tf.constant(case.x, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        expected, y = every(x)[:, -1], last(x)
        totals = [tf.reduce_sum(tf.sin(out)) for out in (expected, y)]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    dx_every, dx_last = (tape.gradient(total, x) for total in totals)
    np.testing.assert_allclose(dx_last, dx_every, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["slstm_block", "mlstm_block", "stack_ms", "large_block_small"])
def test_no_step_sees_a_later_one(golden_layer, name):
    case, layer = golden_layer(name)
    half = case.x.shape[1] // 2
    changed = case.x.copy()
    changed[:, half:] *= -3.0
    before, after = layer(case.x).numpy(), layer(changed).numpy()
    np.testing.assert_array_equal(before[:, :half], after[:, :half])
    assert np.abs(before[:, half:] - after[:, half:]).max() > 0.1


def test_a_wrong_weight_breaks_every_limit(golden_case):
    case = golden_case("stack_ss_nonorm")
    weights = dict(case.weights)
    name = "blocks.0.xlstm.slstm_cell._bias_"
    weights[name] = weights[name] + np.float32(1e-2)
    row = golden.check_layer(replace(case, weights=weights), EAGER[0])
    assert not any(figure.within for figure in row.figures.values())
    assert "DIFFERS: forward > " in golden.as_line(row)


def test_swapped_gates_are_noticed(golden_case):
    case = golden_case("slstm_conv0_h1_nogn")
    weights = dict(case.weights)
    weights["igate.weight"], weights["fgate.weight"] = weights["fgate.weight"], weights["igate.weight"]
    assert not golden.check_layer(replace(case, weights=weights), EAGER[0]).passed


def test_a_gradient_that_is_not_a_number_is_the_worst():
    figure = golden.worst({"a": float("nan"), "b": 1.0}, 2.0)
    assert figure.of == "a"
    assert not figure.within


@pytest.fixture
def directory(tmp_path):
    """A directory with one small case."""
    name = SMALL[0]
    shutil.copy(GOLDEN / f"{name}.npz", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({name: CONFIG[name]}))
    return tmp_path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["golden.py", *map(str, arguments)])
    code = golden.main()
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_prints_json_and_exits_with_0(directory, monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, directory, "--path", "tensorflow", "--json")
    result = json.loads(out)
    assert (code, result["passed"], result["damaged"]) == (0, True, {})
    (row,) = result["rows"]
    assert {"forward", "gradient", "state", "step", "ratio"} <= row.keys()
    assert row["ratio"] == pytest.approx(row["forward"]["error"] / row["official"])


def damage(directory, change):
    """Change the arrays of the only case."""
    path = directory / f"{SMALL[0]}.npz"
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("g:ogate.weight"), "'g:ogate.weight' is missing in the file or in config.json"),
        (lambda a: a.update(x=a["x"][1:]), "x: expected shape (2, 20, 16); received (1, 20, 16)"),
        (lambda a: a["dx"].fill(np.nan), "dx: holds values that are not finite"),
    ],
    ids=["missing", "shape", "nan"],
)
def test_a_damaged_case_is_named(directory, monkeypatch, capsys, change, message):
    damage(directory, change)
    code, _, err = run(monkeypatch, capsys, directory, "--path", "tensorflow")
    assert code == 1
    assert err == f"{SMALL[0]}: {directory / SMALL[0]}.npz: {message}\n"


def test_a_truncated_case_is_named(directory, monkeypatch, capsys):
    path = directory / f"{SMALL[0]}.npz"
    path.write_bytes(path.read_bytes()[:5000])
    code, _, err = run(monkeypatch, capsys, directory)
    assert code == 1
    assert err == f"{SMALL[0]}: {path}: not an npz file, or a part of one; save it with numpy.savez\n"


def test_a_broken_config_of_a_case_is_named(directory, monkeypatch, capsys):
    config = {SMALL[0]: {**CONFIG[SMALL[0]], "config": {**CONFIG[SMALL[0]]["config"], "num_head": 4}}}
    (directory / "config.json").write_text(json.dumps(config))
    code, _, err = run(monkeypatch, capsys, directory)
    assert code == 1
    assert err.startswith(f"{SMALL[0]}: unknown option of the official sLSTM layer 'num_head' (did you mean")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; it names the cases of the directory"),
        ("{", "cannot be read as JSON"),
        ("[]", "expected an object with one object per case"),
        ("{}", "names no case"),
        ('{"other": {}}', f"has no entry for {SMALL[0]}; every npz file needs one"),
    ],
)
def test_a_directory_without_a_sound_config_is_refused(directory, monkeypatch, capsys, text, message):
    path = directory / "config.json"
    path.unlink() if text is None else path.write_text(text)
    code, out, err = run(monkeypatch, capsys, directory)
    assert (code, out) == (2, "")
    assert err.startswith(f"{path}: {message}")
    assert err.count("\n") == 1


def test_unknown_names_are_refused(directory, monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, directory, "--path", "tensorflw")
    assert (code, err.startswith("unknown path 'tensorflw' (did you mean 'tensorflow'?)")) == (2, True)
    code, _, err = run(monkeypatch, capsys, directory / "none")
    assert code == 2
    assert err == f"{directory / 'none'}: no such directory; name one with npz files and config.json\n"
