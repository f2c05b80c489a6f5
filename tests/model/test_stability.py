"""Extreme gates and inputs leave outputs and gradients finite; `benchmarks/stability.py` tries more seeds."""

import numpy as np
import pytest
import stability
import tensorflow as tf

SEEDS = range(3)
# XLA takes seconds to compile each: in the tests it is tried on two layers only.
CASES = [
    case
    for case in stability.cases()
    if case.kernels != "xla" or (case.part == "layer" and case.kind != "mlstm_large")
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}-{c.part}-{c.kernels}")
def test_outputs_and_gradients_are_finite(case):
    found = stability.examine(case, SEEDS)
    assert found.seeds == len(SEEDS)
    assert found.largest_output > 0
    assert found.largest_gradient > 0
    assert (found.forward, found.gradient) == (0, 0), f"seeds {found.failed}"


class Overflowing:
    """``exp(x) / (1 + exp(x))``, inf / inf where it should be 1."""

    trainable_variables = ()

    def __call__(self, x):
        return tf.exp(x) / (1.0 + tf.exp(x))


def test_what_is_not_finite_is_counted():
    trial = stability.Trial(Overflowing(), jit=False)
    case = stability.Case("slstm", "layer", "tensorflow")
    case.add(7, *trial.run(7))
    assert case.failed == [7]
    assert case.forward > 0
    assert case.gradient > 0


def test_gate_biases_are_extreme_in_every_pair_of_signs():
    for case in stability.cases():
        layer = stability.build(case)
        rng = np.random.default_rng(0)
        for variable in layer.trainable_variables:
            variable.assign(stability.drawn(variable, variable.numpy(), rng))
        biases = {v.name: v.numpy() for v in layer.trainable_variables if v.name.endswith("gate_bias")}
        if case.kind == "slstm":
            memory = layer if case.part == "layer" else layer.memory
            assert set(memory.bias.numpy().ravel()) == {-stability.BIAS, stability.BIAS}
        else:
            pairs = set(zip(biases["input_gate_bias"], biases["forget_gate_bias"], strict=True))
            assert pairs == {(i * stability.BIAS, f * stability.BIAS) for i in (1, -1) for f in (1, -1)}
