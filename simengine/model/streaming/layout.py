"""Where the packed arrays hold what: the places in a row of the plan.

The plan is an int64 matrix: row 0 describes the network, the others one block each, first to last. Places
from `WEIGHTS` on are offsets into the flat weights, those from `STATE` on into the flat state; the others
are sizes. A block uses the places of its kind; the rest of its row is 0.
"""

from __future__ import annotations

from itertools import count

_place = count()

KIND = next(_place)
"""0 mLSTM, 1 sLSTM, 2 mLSTM of xLSTM-7B; in row 0 the final normalisation, see `NO_NORM`."""
HEADS = next(_place)
TAPS = next(_place)
"""Taps K of the causal convolution, 0 for none."""
INNER = next(_place)
"""Width of the memory's output: I of the mLSTM, D of the sLSTM, width of all values of the 7B block."""
KEYS = next(_place)
"""Width of all keys of an mLSTM, or of queries and keys of the 7B block."""
BAND = next(_place)
"""Channels that the block-diagonal projections of the mLSTM mix."""
PREPARED = next(_place)
"""Values per bar that `prepare` computes."""
FFN = next(_place)
"""Inner width of the feed-forward net, 0 for none."""
ACTIVATION = next(_place)
"""Place in `ACTIVATIONS` of the gate's activation in the feed-forward net."""
WEIGHTS = next(_place)
NUMBERS = WEIGHTS
"""Epsilons and caps, see `EPS_NORM` and the following."""
NORM = next(_place)
NORM_BIAS = next(_place)
UP = next(_place)
UP_BIAS = next(_place)
CONV = next(_place)
CONV_BIAS = next(_place)
QUERY = next(_place)
QUERY_BIAS = next(_place)
KEY = next(_place)
KEY_BIAS = next(_place)
VALUE = next(_place)
VALUE_BIAS = next(_place)
GATES_SLOW = next(_place)
"""From the convolved input."""
GATES_FAST = next(_place)
"""From the input itself."""
GATES_BIAS = next(_place)
RECURRENT = next(_place)
SKIP = next(_place)
SCALE = next(_place)
SHIFT = next(_place)
DOWN = next(_place)
DOWN_BIAS = next(_place)
FFN_UP = next(_place)
FFN_UP_BIAS = next(_place)
FFN_DOWN = next(_place)
FFN_DOWN_BIAS = next(_place)
STATE = next(_place)
CONV_STATE = STATE
STATE_H = next(_place)
STATE_C = next(_place)
STATE_N = next(_place)
STATE_M = next(_place)
PLACES = next(_place)

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
