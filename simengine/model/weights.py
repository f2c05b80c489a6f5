"""Weights as named arrays, and the seeds of the dropout, of any Keras model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import keras
import numpy as np

from simengine.errors import RunError, did_you_mean
from simengine.seed import integer
from simengine.types import Float32Array


def _automatic_name(layer: keras.layers.Layer) -> str | None:
    """Return the stem of a name that Keras made up (``dense_7`` gives ``dense``), None if it was given."""
    stem = re.sub(r"\W+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
    return stem if re.fullmatch(rf"{re.escape(stem)}(_\d+)?", layer.name) else None


def _named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights by name, in the order of the layers.

    Keras counts unnamed layers through the whole process (the second model's ``lstm`` is ``lstm_1``), so
    those are counted anew within the model.
    """
    seen: Counter[str] = Counter()
    named: dict[str, keras.Variable] = {}
    for layer in model.layers:
        own = layer.name
        if stem := _automatic_name(layer):
            own = stem if not seen[stem] else f"{stem}_{seen[stem]}"
            seen[stem] += 1
        for variable in layer.weights:
            name = f"{own}/{variable.path.split(f'{layer.name}/', 1)[-1]}"
            if name in named:
                raise ValueError(f"two weights are called {name!r}; name the layers of the model explicitly")
            named[name] = variable
    return named


def named_weights(model: keras.Model) -> dict[str, Float32Array]:
    """Return copies of all weights, trained or not, by readable name in the order of the layers.

    Names are ``layer/weight`` with the layer's own name, such as ``xlstm/block_0/memory/up``. Models built
    by the same code have the same names in every process; the state of dropout is not among them.

    Raises
    ------
    ValueError
        When two weights have the same name.
    """
    return {name: np.array(variable.numpy()) for name, variable in _named_variables(model).items()}


def load_named_weights(model: keras.Model, weights: Mapping[str, Float32Array]) -> None:
    """Set all weights of a built model from `named_weights` of one of the same architecture.

    Raises
    ------
    RunError
        When a weight is missing, unexpected, of another shape or not finite; no weight is changed then.
    """
    variables = _named_variables(model)
    for name in weights:
        if name not in variables:
            raise RunError(f"weights: {name!r} is not a weight of the model{did_you_mean(name, variables)}")
    for name, variable in variables.items():
        if name not in weights:
            raise RunError(f"weights: {name!r} is missing")
        expected, received = tuple(variable.shape), weights[name].shape
        if received != expected:
            raise RunError(f"weights: {name!r} must have shape {expected}; received {received}")
        if not np.isfinite(weights[name]).all():
            raise RunError(f"weights: {name!r} holds values that are not finite")
    for name, variable in variables.items():
        variable.assign(weights[name])


def reseed_dropout(model: keras.Model, seed: int) -> None:
    """Restart every dropout of the model from a seed of its own, derived from ``seed``.

    Called with the same seed before an epoch, the epoch drops the same units, whatever ran before.
    """
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for index, state in enumerate(states):
        state.assign(np.array([integer(seed, "dropout", index), 0], dtype=state.dtype))
