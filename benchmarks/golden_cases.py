"""Reading recorded cases of the official xLSTM: a directory of npz files and their ``config.json``.

A case of a layer, block or stack holds ``x``; ``y``, the official float32 output; ``y64_minus_y_e6``, what
the official float64 output differs from it by, in millionths; ``dx`` and ``g:<parameter>``, the gradients of
sum(y * dy) with dy = cos(0.1 * arange(y.size)); ``w:<parameter>``; ``y_step_last`` and ``state:<name>``, the
last output and the states of the official stepwise run. A case of the mLSTM kernel holds ``q``, ``k``, ``v``,
``igate``, ``fgate`` and the official results. ``config.json`` has the config, the shapes and the official
implementation's own errors, which are the measure for ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simengine.model.checkpoint import CheckpointError, read_arrays

Array = np.ndarray
CONFIG = "config.json"


class GoldenError(ValueError):
    """A directory or a case is damaged; one line that says where."""


@dataclass(frozen=True)
class LayerCase:
    """A recorded layer, block or stack.

    Parameters
    ----------
    name, config : str, dict
        The case and the official config.
    x, y, y64 : arrays, shape (B, S, D)
        Input and official outputs, float32 and float64.
    y_step_last : array, shape (B, D)
        Official output of the last step of the stepwise run.
    dy, dx : arrays, shape (B, S, D)
        Gradient put in at the output, and the official one at the input.
    weights, gradients, states : dict of str to array
        By official name.
    error, step_error, gradient_error : float
        The official implementation's own float32 errors against float64: largest difference of the output,
        of the stepwise output, and largest relative one of a gradient (0 where it was not recorded).
    """

    name: str
    config: dict[str, Any]
    x: Array
    y: Array
    y64: Array
    y_step_last: Array
    dy: Array
    dx: Array
    weights: dict[str, Array]
    gradients: dict[str, Array]
    states: dict[str, Array]
    error: float
    step_error: float
    gradient_error: float


@dataclass(frozen=True)
class KernelCase:
    """Recorded runs of the mLSTM's memory alone.

    Parameters
    ----------
    name : str
        The case.
    q, k, v : arrays, shape (B, NH, S, DH)
        Queries, keys and values.
    input_gate, forget_gate : arrays, shape (B, NH, S)
        Raw gates.
    h64 : array, shape (B, NH, S, DH)
        The official float64 result.
    state : tuple of arrays
        C (B, NH, DH, DH), n (B, NH, DH, 1) and m (B, NH, 1, 1) after the recurrent run from m = 0.
    errors : dict of str to float
        Official float32 errors of ``parallel``, ``recurrent`` and ``chunkwise <size>``.
    """

    name: str
    q: Array
    k: Array
    v: Array
    input_gate: Array
    forget_gate: Array
    h64: Array
    state: tuple[Array, Array, Array]
    errors: dict[str, float]


def read_config(directory: Path) -> dict[str, dict[str, Any]]:
    """Return ``config.json`` by case.

    Raises
    ------
    GoldenError
        When there is no such directory or file, it is no JSON object of objects, or a case of one side is
        missing on the other.
    """
    if not directory.is_dir():
        raise GoldenError(f"{directory}: no such directory; name one with npz files and {CONFIG}")
    path = directory / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GoldenError(f"{path}: no such file; it names the cases of the directory") from None
    except (OSError, ValueError) as error:
        raise GoldenError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(config, dict) or not all(isinstance(entry, dict) for entry in config.values()):
        raise GoldenError(f"{path}: expected an object with one object per case")
    if not config:
        raise GoldenError(f"{path}: names no case")
    strangers = sorted(path.stem for path in directory.glob("*.npz") if path.stem not in config)
    if strangers:
        raise GoldenError(f"{path}: has no entry for {', '.join(strangers)}; every npz file needs one")
    return config


def read_case(directory: Path, name: str, entry: dict[str, Any]) -> LayerCase | KernelCase:
    """Return one case of `read_config`.

    Raises
    ------
    GoldenError
        When its file is missing or damaged, or something lacks or has another shape.
    """
    path = directory / f"{name}.npz"
    try:
        arrays = read_arrays(path)
        return _layer_case(name, arrays, entry) if "config" in entry else _kernel_case(name, arrays, entry)
    except CheckpointError as error:
        raise GoldenError(str(error)) from None
    except KeyError as error:
        raise GoldenError(f"{path}: {error.args[0]!r} is missing in the file or in {CONFIG}") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise GoldenError(f"{path}: {str(error).splitlines()[0]}") from None


def _take(arrays: dict[str, Array], key: str, shape: tuple[int, ...]) -> Array:
    array = arrays[key]
    if array.shape != tuple(shape):
        raise ValueError(f"{key}: expected shape {tuple(shape)}; received {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{key}: holds values that are not finite")
    return array


def _number(entry: dict[str, Any], key: str) -> float:
    value = entry[key]
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{key}: expected a number in {CONFIG}; received {value!r}")
    return float(value)


def _layer_case(name: str, arrays: dict[str, Array], entry: dict[str, Any]) -> LayerCase:
    shape = tuple(entry["shape"])
    batch, _, width = shape
    y = _take(arrays, "y", shape).astype(np.float64)
    difference = _take(arrays, "y64_minus_y_e6", shape).astype(np.float64)
    params, states = entry["params"].items(), entry.get("state", {}).items()
    return LayerCase(
        name=name,
        config=entry["config"],
        x=_take(arrays, "x", shape),
        y=y,
        y64=y + 1e-6 * difference,
        y_step_last=_take(arrays, "y_step_last", (batch, width)),
        dy=np.cos(0.1 * np.arange(y.size)).reshape(y.shape),
        dx=_take(arrays, "dx", shape),
        weights={key: _take(arrays, f"w:{key}", size) for key, size in params},
        gradients={key: _take(arrays, f"g:{key}", size) for key, size in params},
        states={key: _take(arrays, f"state:{key}", size) for key, size in states},
        error=_number(entry, "err_f32_vs_f64"),
        step_error=_number(entry, "err_step_vs_f64"),
        gradient_error=_number(entry, "err_grad_f32_vs_f64") if "err_grad_f32_vs_f64" in entry else 0.0,
    )


def _kernel_case(name: str, arrays: dict[str, Array], entry: dict[str, Any]) -> KernelCase:
    shape = tuple(entry["shape"])
    batch, heads, steps, width = shape
    gates = (batch, heads, steps, 1)
    h = _take(arrays, "h_parallel", shape).astype(np.float64)
    errors = {
        "parallel": _number(entry, "err_parallel_f64"),
        "recurrent": _number(entry, "err_recurrent_f64"),
    }
    for size in entry["err_chunk"]:
        errors[f"chunkwise {int(size)}"] = _number(entry["err_chunk"], size)
    return KernelCase(
        name=name,
        q=_take(arrays, "q", shape),
        k=_take(arrays, "k", shape),
        v=_take(arrays, "v", shape),
        input_gate=_take(arrays, "igate", gates)[..., 0],
        forget_gate=_take(arrays, "fgate", gates)[..., 0],
        h64=h + 1e-3 * _take(arrays, "h64_minus_h_e3", shape).astype(np.float64),
        state=(
            _take(arrays, "C_last", (batch, heads, width, width)),
            _take(arrays, "n_last", (batch, heads, width, 1)),
            _take(arrays, "m_last", (batch, heads, 1, 1)),
        ),
        errors=errors,
    )
