"""The layers of the xLSTM by the native kernels: what `simengine.model.native` needs of a layer's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from simengine.model.base import Mode
from simengine.model.call_checks import require_inputs

if TYPE_CHECKING:
    from simengine.model.mlstm import MLSTM
    from simengine.model.slstm import SLSTM


def runs_fused(layer: MLSTM | SLSTM, mode: Mode) -> bool:
    """Return whether the native kernels compute a layer in this mode.

    They do when ``kernels`` is ``native``, except where a state is carried, under a mixed policy, in another
    form than the parallel one, or where a block of channels reaches across heads; those run as TensorFlow
    operations, with the same result.
    """
    options = layer.options
    if options.kernels != "native" or mode.state is not None or mode.keep_state:
        return False
    if (
        layer.compute_dtype not in ("float32", "float64")
        or getattr(options, "form", "parallel") != "parallel"
    ):
        return False
    return int(getattr(layer, "groups", options.heads)) % int(options.heads) == 0


def _absent(like: tf.Tensor, *shape: int) -> tf.Tensor:
    return tf.zeros(shape, like.dtype)


def run_mlstm(layer: MLSTM, x: tf.Tensor, mode: Mode, norm: Any = None) -> tf.Tensor:  # noqa: ANN401
    """Return ``mLSTM(x)``, or ``mLSTM(norm(x))`` with the scale of a layer normalisation in front."""
    from simengine.model.native.mlstm_values import MLSTMWeights
    from simengine.model.native.operations import mlstm

    inner, width = layer.down.shape
    require_inputs(layer.name, x, "B, S, D", width)  # the kernels do not check the bounds of arrays
    gate_convolved, gate_main, gate_bias = layer.folded_gates()
    bias: dict[str, Any] = {
        name: _absent(x, size) if layer.biases[name] is None else layer.biases[name]
        for name, size in {
            "up": 2 * inner,
            "query": inner,
            "key": inner,
            "value": inner,
            "down": width,
        }.items()
    }
    weights = MLSTMWeights(
        norm=_absent(x, 0) if norm is None else norm,
        up=layer.up,
        up_bias=bias["up"],
        conv=_absent(x, 0, inner) if layer.conv is None else layer.conv.kernel,
        conv_bias=_absent(x, inner) if layer.conv is None else layer.conv.bias,
        query=layer.query,
        key=layer.key,
        value=layer.value,
        query_bias=bias["query"],
        key_bias=bias["key"],
        value_bias=bias["value"],
        gate_convolved=gate_convolved,
        gate_main=gate_main,
        gate_bias=gate_bias,
        skip=layer.skip,
        scale=layer.scale,
        down=layer.down,
        down_bias=bias["down"],
    )
    y = mlstm(x, weights, last_only=not mode.every_step)
    y = y if mode.every_step else y[:, 0]
    return layer.dropout(y, training=mode.training)


def run_slstm(layer: SLSTM, x: tf.Tensor, mode: Mode, norm: Any = None) -> tf.Tensor:  # noqa: ANN401
    """Return ``sLSTM(x)``, or ``sLSTM(norm(x))`` with the scale of a layer normalisation in front."""
    from simengine.model.native.operations import slstm
    from simengine.model.native.slstm_values import Masks, SLSTMWeights

    width = layer.recurrent.shape[0] * layer.recurrent.shape[1]
    require_inputs(layer.name, x, "B, S, D", width)  # the kernels do not check the bounds of arrays
    i, f, z, o = (tf.convert_to_tensor(gate) for gate in layer.gates)
    weights = SLSTMWeights(
        norm=_absent(x, 0) if norm is None else norm,
        conv=_absent(x, 0, width) if layer.conv is None else layer.conv.kernel,
        conv_bias=_absent(x, width) if layer.conv is None else layer.conv.bias,
        slow=tf.concat([i, f], -1),
        fast=tf.concat([z, o], -1),
        recurrent=layer.recurrent,
        bias=layer.bias,
        scale=_absent(x, width) if layer.scale is None else layer.scale,
    )
    sequence = x if mode.every_step else x[:, -1:]
    none = _absent(x, 0, 1, 1)
    drops, recurs = layer.options.dropout, layer.options.recurrent_dropout
    masks = Masks(
        layer.dropout(tf.ones_like(sequence), training=True) if mode.training and drops else none,
        layer.recurrent_dropout(tf.ones_like(x[:, :1]), training=True) if mode.training and recurs else none,
    )
    y = slstm(x, weights, masks, last_only=not mode.every_step)
    return y if mode.every_step else y[:, 0]
