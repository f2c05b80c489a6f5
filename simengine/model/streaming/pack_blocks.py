"""How each kind of block is packed: what can be folded into a matrix is."""

from __future__ import annotations

import math

import numpy as np

from simengine.model.options import StackOptions
from simengine.model.streaming import layout as at
from simengine.model.streaming.packer import Array, Packer, Part

EPS_NORM = 1e-5
"""What `simengine.model.primitives.normalise` adds to the variance."""
EPS_MEMORY = 1e-6
"""What `simengine.model.memory` adds to the normaliser."""


def bands(blocks: Array) -> Array:
    """Return a block-diagonal matrix by diagonals: (n, b, b) to (2 b - 1, n b).

    Entry ``[d, j]`` weighs input ``j + d - b + 1`` in output j.
    """
    count, size, _ = blocks.shape
    result = np.zeros((2 * size - 1, count, size))
    for i in range(size):
        for o in range(size):
            result[i - o + size - 1, :, o] = blocks[:, i, o]
    return result.reshape(2 * size - 1, count * size)


def _full(blocks: Array) -> Array:
    """Return a block-diagonal matrix in full: (n, b, b) to (n b, n b)."""
    count, size, _ = blocks.shape
    result = np.zeros((count, size, count, size))
    for index in range(count):
        result[index, :, index] = blocks[index]
    return result.reshape(count * size, count * size)


def _conv(packer: Packer, memory: Part, width: int, name: str) -> None:
    """Store the convolution and reserve its state, the last K inputs; without one K is 0."""
    if not memory.has("conv/kernel"):
        return
    kernel = memory["conv/kernel"]
    packer.set({at.TAPS: len(kernel)})
    packer.put_linear(at.CONV, kernel, memory["conv/bias"])
    packer.reserve(at.CONV_STATE, f"{name}/conv", (len(kernel), width))


def _memory_states(packer: Packer, name: str, heads: int, keys: int, values: int) -> None:
    packer.reserve(at.STATE_C, f"{name}/C", (heads, keys // heads, values // heads))
    packer.reserve(at.STATE_N, f"{name}/n", (heads, keys // heads))
    packer.reserve(at.STATE_M, f"{name}/m", (heads,))


def pack_mlstm(packer: Packer, block: Part, options: StackOptions, name: str) -> int:
    """Store an mLSTM block; return how many values per row its kernels need to work.

    The scale of the first normalisation goes into the up-projection, 1 / sqrt(DH) into the keys, and the
    gates' product with (q, k, v) becomes one with what q, k and v are projected from.
    """
    memory, heads = block.part("memory"), options.mlstm.heads
    up = memory["up"]
    width, inner = up.shape[0], up.shape[1] // 2
    blocks = {key: memory[key] for key in ("query", "key", "value")}
    biases = {key: memory.get(f"{key}_bias", inner) for key in blocks}
    packer.new_row({at.KIND: at.MLSTM, at.HEADS: heads, at.INNER: inner, at.PREPARED: 2 * inner})
    packer.set({at.BAND: blocks["query"].shape[1]})
    packer.put_numbers(norm=EPS_NORM, heads=EPS_NORM, memory=EPS_MEMORY)
    packer.put_linear(at.UP, up * (1.0 + block["norm/scale"])[:, None], memory.get("up_bias", 2 * inner))
    _conv(packer, memory, inner, name)
    gates = memory.joined(1, "input_gate", "forget_gate")
    parts = dict(zip(blocks, np.split(gates, 3), strict=True))
    folded = {key: _full(blocks[key]) @ parts[key] for key in blocks}
    bias = memory.joined(0, "input_gate_bias", "forget_gate_bias")
    packer.put(at.GATES_SLOW, (folded["query"] + folded["key"]).T)
    packer.put(at.GATES_FAST, folded["value"].T)
    packer.put(at.GATES_BIAS, bias + sum(biases[key] @ parts[key] for key in blocks))
    scales = {"query": 1.0, "key": 1.0 / math.sqrt(inner // heads), "value": 1.0}
    places = {"query": at.QUERY, "key": at.KEY, "value": at.VALUE}
    for key, place in places.items():
        packer.put_linear(place, bands(blocks[key]) * scales[key], biases[key] * scales[key])
    packer.put(at.SKIP, memory["skip"])
    packer.put(at.SCALE, 1.0 + memory["scale"])
    packer.put_linear(at.DOWN, memory["down"], memory.get("down_bias", width))
    _memory_states(packer, name, heads, inner, inner)
    return int(max(width, 5 * inner + 2 * heads))


def pack_slstm(packer: Packer, block: Part, options: StackOptions, name: str) -> int:
    """Store an sLSTM block; return how many values per row its kernels need to work."""
    memory = block.part("memory")
    recurrent = memory["recurrent"]
    heads, size = recurrent.shape[:2]
    width = heads * size
    packer.new_row({at.KIND: at.SLSTM, at.HEADS: heads, at.INNER: width, at.PREPARED: width})
    packer.put_numbers(norm=EPS_NORM, heads=EPS_NORM)
    packer.put(at.NORM, 1.0 + block["norm/scale"])
    _conv(packer, memory, width, name)
    packer.put(at.GATES_SLOW, memory.joined(2, "input_gate", "forget_gate"))
    packer.put(at.GATES_FAST, memory.joined(2, "cell_gate", "output_gate"))
    packer.put(at.GATES_BIAS, memory["bias"])
    packer.put(at.RECURRENT, recurrent)
    packer.put(at.SCALE, 1.0 + memory.get("scale", width))
    for key, place in {"h": at.STATE_H, "c": at.STATE_C, "n": at.STATE_N, "m": at.STATE_M}.items():
        packer.reserve(place, f"{name}/{key}", (width,))
    used = 6 * width
    if options.ffn is not None:
        packer.set({at.ACTIVATION: at.ACTIVATIONS.index(options.ffn.activation)})
        used += pack_feed_forward(packer, block.part("ffn"), 1.0 + block["ffn_norm/scale"], np.zeros(width))
    return int(used)


def pack_feed_forward(packer: Packer, ffn: Part, scale: Array, shift: Array) -> int:
    """Store the feed-forward net of the newest block behind a normalisation with this scale and shift."""
    up, down = ffn["up"], ffn["down"]
    inner = down.shape[0]
    packer.set({at.FFN: inner})
    packer.put_linear(at.FFN_UP, up * scale[:, None], ffn.get("up_bias", 2 * inner) + shift @ up)
    packer.put_linear(at.FFN_DOWN, down, ffn.get("down_bias", down.shape[1]))
    return int(3 * inner)


def pack_large(packer: Packer, block: Part, options: StackOptions, name: str) -> int:
    """Store a block of xLSTM-7B; return how many values per row its kernels need to work.

    One matrix holds queries, keys times 1 / sqrt(DK), values, output gates and gates side by side.
    """
    memory = block.part("memory")
    large, heads = options.large, options.large.heads
    width, keys = memory["query"].shape
    values = memory["value"].shape[1]
    sizes = {"query": keys, "key": keys, "value": values, "output_gate": values}
    sizes |= {"input_gate": heads, "forget_gate": heads}
    factors = dict.fromkeys(sizes, 1.0) | {"key": 1.0 / math.sqrt(keys // heads)}
    up = np.concatenate([memory[key] * factors[key] for key in sizes], 1)
    bias = np.concatenate([memory.get(f"{key}_bias", sizes[key]) * factors[key] for key in sizes])
    norm, ffn_norm = block.part("norm"), block.part("ffn_norm")
    packer.new_row({at.KIND: at.LARGE, at.HEADS: heads, at.KEYS: keys, at.INNER: values})
    packer.set({at.PREPARED: up.shape[1], at.ACTIVATION: at.SWISH})
    packer.put_numbers(norm=large.norm_eps, heads=large.norm_eps, memory=EPS_MEMORY, cap=large.gate_cap)
    packer.put_linear(at.UP, up * norm["scale"][:, None], bias + norm.get("bias", width) @ up)
    packer.put(at.SCALE, memory["scale"])
    packer.put(at.SHIFT, memory.get("scale_bias", values))
    packer.put_linear(at.DOWN, memory["down"], memory.get("down_bias", width))
    _memory_states(packer, name, heads, keys, values)
    inner = pack_feed_forward(packer, block.part("ffn"), ffn_norm["scale"], ffn_norm.get("bias", width))
    return int(max(width + inner, 2 * (keys + values) + 2 * heads))
