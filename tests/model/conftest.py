"""The official package's weights, outputs and gradients, and the layers that must reproduce them."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

DATA = Path(__file__).parents[1] / "data"


class Golden(NamedTuple):
    """One recorded case of the official package (xlstm 2.0.6, PyTorch, float32)."""

    layer: object
    x: np.ndarray
    y: np.ndarray
    y_float64: np.ndarray
    dy: np.ndarray
    dx: np.ndarray
    weights: dict
    gradients: dict
    error: float


def _layer(name, dtype, return_sequences):
    from simengine.model.block import MLSTMBlock, SLSTMBlock, XLSTMBlockStack

    options = {"heads": 4, "return_sequences": return_sequences, "dtype": dtype}
    if name == "mlstm_block":
        return MLSTMBlock(num_blocks=2, **options)
    if name == "slstm_block":
        return SLSTMBlock(index=1, num_blocks=2, **options)
    return XLSTMBlockStack(["mlstm", "slstm"], **options)


@pytest.fixture
def golden():
    """Return a function (name, dtype) to the recorded case with its weights loaded."""
    from simengine.model.official import load_official_state

    config = json.loads((DATA / "xlstm_golden.json").read_text())

    def load(name, dtype="float32", return_sequences=True):
        with np.load(DATA / f"{name}.npz") as file:
            case = dict(file)
        layer = _layer(name, dtype, return_sequences)
        layer.build(case["x"].shape)
        weights = {key[2:]: value for key, value in case.items() if key.startswith("w:")}
        load_official_state(layer, weights)
        y = case["y"].astype(np.float64)
        return Golden(
            layer=layer,
            x=case["x"].astype(dtype),
            y=y,
            y_float64=y + case["y64_minus_y_e6"].astype(np.float64) * 1e-6,
            dy=np.cos(0.1 * np.arange(y.size)).reshape(y.shape).astype(dtype),
            dx=case["dx"],
            weights=weights,
            gradients={key[2:]: value for key, value in case.items() if key.startswith("g:")},
            error=config[name]["err_f32_vs_f64"],
        )

    return load
