"""Where the packed arrays hold what: the places in a row of the plan.

The plan is an int64 matrix: row 0 describes the network, the others one block each, first to last. Places
from `WEIGHTS` on are offsets into the flat weights, those from `STATE` on into the flat state; the others
are sizes. The bias of a matrix has the place behind the matrix. A block uses the places of its kind; the rest
of its row is 0.
"""

from __future__ import annotations

KIND, HEADS, TAPS, INNER, KEYS, BAND, PREPARED, FFN, ACTIVATION = range(9)
"""Sizes and choices of a block.

KIND
    0 mLSTM, 1 sLSTM, 2 mLSTM of xLSTM-7B; in row 0 the final normalisation, see `NO_NORM`.
TAPS
    Taps K of the causal convolution, 0 for none.
INNER
    Width of the memory's output: I of the mLSTM, D of the sLSTM, width of all values of the 7B block.
KEYS
    Width of all queries and of all keys of the 7B block.
BAND
    Channels that the block-diagonal projections of the mLSTM mix.
PREPARED
    Values per bar that `prepare` computes.
FFN
    Inner width of the feed-forward net, 0 for none.
ACTIVATION
    Place in `ACTIVATIONS` of the gate's activation in the feed-forward net.
"""

WEIGHTS = 9
"""The first offset into the flat weights.

At `NUMBERS` lie epsilons and a cap, see `EPS_NORM` and the following. `GATES_SLOW` weigh the convolved
input, `GATES_FAST` the input itself.
"""
NUMBERS, NORM, NORM_BIAS, UP, UP_BIAS, CONV, CONV_BIAS = range(WEIGHTS, 16)
QUERY, QUERY_BIAS, KEY, KEY_BIAS, VALUE, VALUE_BIAS = range(16, 22)
GATES_SLOW, GATES_FAST, GATES_BIAS, RECURRENT, SKIP, SCALE, SHIFT = range(22, 29)
DOWN, DOWN_BIAS, FFN_UP, FFN_UP_BIAS, FFN_DOWN, FFN_DOWN_BIAS = range(29, 35)

STATE = 35
"""The first offset into the flat state."""
CONV_STATE, STATE_H, STATE_C, STATE_N, STATE_M = range(STATE, 40)
PLACES = 40

FEATURES, WIDTH, BARS, CHUNK = HEADS, TAPS, INNER, KEYS
"""Sizes in row 0: features per bar, width D of the residual stream, bars per window, most rows at once."""

EPS_NORM, EPS_HEADS, EPS_MEMORY, CAP = range(4)
"""Places after the offset `NUMBERS`: added to the variance of the block's and of the heads' normalisation and
to the normaliser of the memory; soft cap of the gates."""

MLSTM, SLSTM, LARGE = range(3)
KINDS = ("mlstm", "slstm", "mlstm_large")
NO_NORM, LAYER_NORM, RMS_NORM = range(3)
ACTIVATIONS = ("gelu", "relu", "relu^2", "sigmoid", "swish", "selu")
GELU, RELU, RELU_SQUARED, SIGMOID, SWISH, SELU = range(6)
