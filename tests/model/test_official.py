"""The official package's parameters load by name, and come out as they went in."""

import numpy as np
import pytest

from simengine.model.block import XLSTMBlockStack
from simengine.model.official import load_official_state, official_state


@pytest.mark.parametrize("name", ["mlstm_block", "slstm_block", "stack_ms"])
def test_official_parameters_make_the_round_trip(golden, name):
    case = golden(name)
    state = official_state(case.layer)
    assert state.keys() == case.weights.keys()
    for key, expected in case.weights.items():
        np.testing.assert_array_equal(state[key], expected, err_msg=key)


def test_the_official_gate_names_are_swapped(golden):
    case = golden("slstm_block")
    input_gate, forget_gate = (gate.numpy().swapaxes(1, 2) for gate in case.layer.memory.gates[:2])
    np.testing.assert_array_equal(input_gate, case.weights["xlstm.fgate.weight"])
    np.testing.assert_array_equal(forget_gate, case.weights["xlstm.igate.weight"])


def test_parameters_that_do_not_fit_are_refused(golden):
    case = golden("slstm_block")
    key = "xlstm.conv1d.conv.weight"
    with pytest.raises(ValueError, match=r"^official parameters are missing: xlstm\.conv1d\.conv\.weight$"):
        load_official_state(case.layer, {k: v for k, v in case.weights.items() if k != key})
    with pytest.raises(ValueError, match=r"^unexpected official parameters: extra$"):
        load_official_state(case.layer, {**case.weights, "extra": case.weights[key]})
    message = r"^xlstm\.conv1d\.conv\.weight: expected shape \(32, 1, 4\); received \(32, 4\)$"
    with pytest.raises(ValueError, match=message):
        load_official_state(case.layer, {**case.weights, key: case.weights[key][:, 0]})


def test_other_layers_have_no_official_parameters():
    with pytest.raises(TypeError, match=r"received LayerNorm$"):
        official_state(XLSTMBlockStack(["slstm"]).norm)
