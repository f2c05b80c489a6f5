"""The official package's weights, outputs and gradients, and the layers that must reproduce them."""

import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "golden"

# The recorded cases are read and run by the benchmark that checks any directory of them.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def golden_case():
    """Return a function: name to the recorded case."""
    import golden_cases

    config = golden_cases.read_config(GOLDEN)
    return lambda name: golden_cases.read_case(GOLDEN, name, config[name])


@pytest.fixture
def golden_layer(golden_case):
    """Return a function (name, dtype, further arguments) to the case and the layer with its weights."""
    import golden_runs

    def load(name, dtype="float32", **arguments):
        case = golden_case(name)
        return case, golden_runs.build(case, dtype, **arguments)

    return load
