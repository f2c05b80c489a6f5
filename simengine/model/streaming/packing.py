"""A built classifier as flat arrays that the kernels read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.model.options import StackOptions
from simengine.model.streaming import layout as at
from simengine.model.streaming.pack_blocks import EPS_NORM, pack_large, pack_mlstm, pack_slstm
from simengine.model.streaming.packer import Packer, Part
from simengine.types import Float32Array, IntArray

CHUNK = 32
"""Most bars that `Stream.run` takes through a block at once: enough to reuse each weight that is read."""
_FINAL_NORMS = {None: at.NO_NORM, "layer": at.LAYER_NORM, "rms": at.RMS_NORM}
_PACK = {"mlstm": pack_mlstm, "slstm": pack_slstm, "mlstm_large": pack_large}


@dataclass(frozen=True)
class Packed:
    """What the kernels need of a classifier; never written to, so that streams share it.

    Parameters
    ----------
    plan : int64 array, shape (1 + blocks, PLACES)
        See `simengine.model.streaming.layout`.
    weights : float32 array
        All weights one after another.
    states : mapping of str to (int, tuple of int)
        Offset and shape of each named part of the state.
    state_size, row_size : int
        Values of the state, and working space per bar that is computed at once.
    fingerprint : str
        Equal for equal architecture and weights.
    """

    plan: IntArray
    weights: Float32Array
    states: Mapping[str, tuple[int, tuple[int, ...]]]
    state_size: int
    row_size: int
    fingerprint: str

    @property
    def n_features(self) -> int:
        """Features per bar."""
        return int(self.plan[0, at.FEATURES])

    @property
    def kept_per_bar(self) -> tuple[int, int]:
        """Width of the embedding, and values that the first block computes from a bar alone."""
        return int(self.plan[0, at.WIDTH]), int(self.plan[1, at.PREPARED])

    @property
    def length(self) -> int:
        """Bars per window."""
        return int(self.plan[0, at.BARS])


def pack(options: StackOptions, weights: Mapping[str, NDArray[Any]], length: int) -> Packed:
    """Pack the weights of a classifier with these options, by the names of `named_weights`.

    Raises
    ------
    ValueError
        When a weight is missing, unexpected or not finite.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ValueError(f"cannot stream: weight {name!r} holds values that are not finite; train again")
    used: set[str] = set()
    model, packer = Part(weights, "", used), Packer()
    kernel, stack = model["embedding/kernel"], model.part("xlstm")
    width = kernel.shape[1]
    packer.new_row({at.KIND: _FINAL_NORMS[options.final_norm], at.BARS: length, at.CHUNK: CHUNK})
    packer.set({at.FEATURES: kernel.shape[0], at.WIDTH: width})
    packer.put_linear(at.UP, kernel, model["embedding/bias"])
    _pack_head(packer, model, options)
    needed = [
        _PACK[kind](packer, stack.part(f"block_{index}"), options, f"block_{index}")
        for index, kind in enumerate(options.blocks)
    ]
    if unknown := sorted(set(weights) - used):
        raise ValueError(f"cannot stream: unknown weights {', '.join(unknown)}; stream an XLSTMClassifier")
    plan, flat = np.stack(packer.rows), packer.weights()
    # The embedding, what a block prepares and its own work lie behind one another.
    prepared = [int(row[at.PREPARED]) for row in packer.rows[1:]]
    row_size = width + max(made + work for made, work in zip(prepared, needed, strict=True))
    digest = hashlib.sha256(plan.tobytes() + flat.tobytes()).hexdigest()
    return Packed(plan, flat, packer.states, packer.state_size, row_size, digest)


def _pack_head(packer: Packer, model: Part, options: StackOptions) -> None:
    """Store the logits' layer; the final normalisation's scale and shift go into it."""
    kernel, bias, norm = model["logits/kernel"], model["logits/bias"], model.part("xlstm/norm")
    width = len(kernel)
    if options.final_norm == "layer":
        scale, shift, eps = 1.0 + norm["scale"], np.zeros(width), EPS_NORM
    elif options.final_norm == "rms":
        scale, shift, eps = norm["scale"], norm.get("bias", width), options.large.norm_eps
    else:
        scale, shift, eps = np.ones(width), np.zeros(width), 0.0
    packer.put_numbers(norm=eps)
    packer.put_linear(at.DOWN, (kernel * scale[:, None]).T, bias + shift @ kernel)
