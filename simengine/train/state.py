"""The checkpoint of a training: one file, replaced after every epoch."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simengine.data.windows import WindowSet
from simengine.errors import RunError
from simengine.rundir import write_npz
from simengine.train.context import TrainContext
from simengine.train.options import FitOptions
from simengine.types import EpochRecord, FloatArray, IntArray

FILE = "training.npz"
_META = "meta"
_ARRAY = "$array"

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(slots=True)
class TrainState:
    """Everything that the next epoch depends on.

    Parameters
    ----------
    weights, best : dict of arrays
        Weights of the network now, and after the epoch with the lowest val NLL.
    optimizer : list of arrays
        State of the `simengine.train.optimizer.Update`: slots of the optimizer, average of the weights.
    class_weights : float64 array, shape (3,)
        For the next epoch.
    reweighter : mapping
        Fitted state of the reweighter; empty without one.
    history : list of EpochRecord
        One record for each finished epoch.
    mined : int64 array
        Hard rows of now; empty without a miner.
    """

    weights: Arrays
    best: Arrays
    optimizer: list[np.ndarray[Any, np.dtype[Any]]]
    class_weights: FloatArray
    reweighter: Mapping[str, Any] = field(default_factory=dict)
    history: list[EpochRecord] = field(default_factory=list)
    mined: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))


def fingerprint(train: WindowSet, val: WindowSet, context: TrainContext, options: FitOptions) -> str:
    """Return the sha256 of the data, numbers and options that a training depends on."""
    digest = hashlib.sha256()
    numbers = (
        context.seed,
        context.epochs,
        context.batch_size,
        context.learning_rate,
        context.warmup,
        context.clip_norm,
        context.patience,
        train.length,
        dataclasses.astuple(options),
    )
    digest.update(json.dumps(numbers).encode())
    parts = (
        context.balancer,
        context.reweighter,
        context.loss,
        context.smoother,
        context.miner,
        context.smote,
    )
    for part in (*parts, *context.penalties, *context.augment):
        digest.update(f"{type(part).__qualname__} {_options(part)}".encode())
    starts = (train.series_starts(), val.series_starts())
    for array in (train.matrix, train.ends, train.labels, val.ends, val.labels, *starts):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _options(component: object) -> list[tuple[str, Any]]:
    """Return the plain public attributes of a component that are not fitted state, by name."""
    return sorted(
        (name, value)
        for name, value in getattr(component, "__dict__", {}).items()
        if not name.startswith("_")
        and not name.endswith("_")
        and isinstance(value, str | int | float | tuple)
    )


def save(folder: Path, state: TrainState, identity: str) -> None:
    """Write the checkpoint atomically; ``identity`` is the `fingerprint` of the training."""
    arrays: Arrays = {f"weights/{name}": value for name, value in state.weights.items()}
    arrays |= {f"best/{name}": value for name, value in state.best.items()}
    arrays |= {f"optimizer/{index:04d}": value for index, value in enumerate(state.optimizer)}
    arrays["class_weights"] = state.class_weights
    arrays["mined"] = state.mined
    meta = {
        "identity": identity,
        "history": [dataclasses.asdict(record) for record in state.history],
        "reweighter": _pack(state.reweighter, "reweighter", arrays),
    }
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    write_npz(folder / FILE, arrays)


def load(folder: Path, identity: str) -> TrainState | None:
    """Return the checkpoint in ``folder``, or None when there is none.

    Raises
    ------
    RunError
        When the file is damaged, or was written by a training on other data or other settings.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays: Arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(arrays[_META].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: the checkpoint cannot be read ({error}); delete it to train anew") from error
    if meta["identity"] != identity:
        raise RunError(
            f"{path}: the checkpoint belongs to a training on other data or settings; delete it to train anew"
        )
    return TrainState(
        weights=_under("weights/", arrays),
        best=_under("best/", arrays),
        optimizer=list(_under("optimizer/", arrays).values()),
        class_weights=arrays["class_weights"],
        reweighter=_unpack(meta["reweighter"], arrays),
        history=[_record(row) for row in meta["history"]],
        mined=arrays["mined"],
    )


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _record(row: Mapping[str, Any]) -> EpochRecord:
    pairs: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
    }
    return EpochRecord(**pairs)


def _pack(value: Any, place: str, arrays: Arrays) -> Any:  # noqa: ANN401 - any fitted state
    if isinstance(value, np.ndarray):
        arrays[place] = value
        return {_ARRAY: place}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _pack(item, f"{place}/{name}", arrays) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pack(item, f"{place}/{index}", arrays) for index, item in enumerate(value)]
    return value


def _unpack(value: Any, arrays: Arrays) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {name: _unpack(item, arrays) for name, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    return value
