"""Options: widths as the official ones, and one line for each that cannot work."""

import math

import numpy as np
import pytest

from simengine.model.classifier import XLSTMClassifier
from simengine.model.classifier_options import ClassifierOptions
from simengine.model.option_checks import options_from
from simengine.model.options import (
    FeedForwardOptions,
    LargeOptions,
    MLSTMOptions,
    SLSTMOptions,
    StackOptions,
    block_kinds,
)
from simengine.model.primitives import CausalConv1D


def test_inner_widths_are_rounded_as_the_official_ones():
    assert MLSTMOptions().inner_width(40) == 128
    assert MLSTMOptions(round_up=False).inner_width(40) == 64
    assert MLSTMOptions(round_to=8).inner_width(33) == 72
    assert MLSTMOptions(inner=20).inner_width(33) == 20
    assert FeedForwardOptions().inner_width(64) == 128
    with pytest.raises(
        ValueError, match=r"^the inner width, 2\.0 x 8 rounded down to a multiple of 64, is 0"
    ):
        MLSTMOptions(round_up=False).inner_width(8)


def test_kinds_of_blocks_from_the_official_options():
    assert block_kinds(3) == ("mlstm",) * 3
    assert block_kinds(3, [1]) == ("mlstm", "slstm", "mlstm")
    assert block_kinds(2, "all") == ("slstm", "slstm")
    with pytest.raises(ValueError, match=r"^slstm_at must lie in 0\.\.2; received 3$"):
        block_kinds(3, [3])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (MLSTMOptions, {"heads": 0}, "heads must be at least 1; received 0"),
        (MLSTMOptions, {"conv_kernel": -1}, "conv_kernel must be at least 0; received -1"),
        (MLSTMOptions, {"proj_factor": math.nan}, "proj_factor must be positive; received nan"),
        (MLSTMOptions, {"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        (
            MLSTMOptions,
            {"form": "paralel"},
            "unknown form of the mLSTM 'paralel' (did you mean 'parallel'?); "
            "known: chunkwise, parallel, recurrent",
        ),
        (
            FeedForwardOptions,
            {"dropot": 0.1},
            "unknown option of FeedForwardOptions 'dropot' (did you mean 'dropout'?); known: activation, "
            "dropout, inner, proj_factor, round_to, round_up, use_bias",
        ),
        (
            SLSTMOptions,
            {"bias_init": "zero"},
            "unknown bias_init 'zero' (did you mean 'zeros'?); known: powerlaw_blockdependent, small_init, "
            "standard, zeros",
        ),
        (SLSTMOptions, {"recurrent_init": "one"}, "unknown recurrent_init 'one'; known: standard, zeros"),
        (
            FeedForwardOptions,
            {"activation": "silu"},
            "unknown activation 'silu' (did you mean 'selu'?); "
            "known: gelu, relu, relu^2, selu, sigmoid, swish",
        ),
        (LargeOptions, {"gate_cap": 0.0}, "gate_cap must be positive; received 0.0"),
        (StackOptions, {"blocks": []}, "blocks must hold at least one name; received none"),
        (StackOptions, {"blocks": "mlstm"}, "blocks must be a list of names; received 'mlstm'"),
        (StackOptions, {"final_norm": "batch"}, "unknown final_norm 'batch'; known: layer, rms"),
    ],
)
def test_options_that_cannot_work_are_refused(kind, options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        options_from(kind, options)
    assert str(error.value) == message


WHOLE, NUMBER, FLAG = "a whole number", "a number", "true or false"


@pytest.mark.parametrize(
    ("kind", "name", "value", "needed"),
    [
        (MLSTMOptions, "heads", 2.0, WHOLE),
        (MLSTMOptions, "heads", True, WHOLE),
        (MLSTMOptions, "heads", None, WHOLE),
        (MLSTMOptions, "conv_kernel", 4.0, WHOLE),
        (MLSTMOptions, "inner", 64.0, WHOLE),
        (MLSTMOptions, "proj_factor", "2", NUMBER),
        (MLSTMOptions, "dropout", False, NUMBER),
        (MLSTMOptions, "round_up", "no", FLAG),
        (SLSTMOptions, "heads", "4", WHOLE),
        (SLSTMOptions, "group_norm_weight", 1, FLAG),
        (FeedForwardOptions, "round_to", 64.0, WHOLE),
        (LargeOptions, "chunk_size", True, WHOLE),
        (LargeOptions, "input_gate_bias", "-10", NUMBER),
        (ClassifierOptions, "embedding", 16.0, WHOLE),
        (ClassifierOptions, "conv_kernel", True, WHOLE),
        (ClassifierOptions, "recurrent_dropout", None, NUMBER),
        (ClassifierOptions, "stateful", "yes", FLAG),
    ],
)
def test_options_of_another_type_are_refused(kind, name, value, needed):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        kind(**{name: value})
    assert str(error.value) == f"{name} must be {needed}; received {value!r}"


def test_numbers_of_numpy_none_and_whole_numbers_for_others_are_options_too():
    assert MLSTMOptions(heads=np.int64(2), proj_factor=np.float32(2), inner=None, dropout=0).heads == 2
    assert not ClassifierOptions(use_bias=np.False_).use_bias
    # Longer than any sequence: the steps before it count as zeros.
    assert SLSTMOptions(conv_kernel=1000).conv_kernel == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 3}, "blocks must be a list of names; received 3"),
        ({"blocks": None}, "blocks must be a list of names; received None"),
        ({"blocks": {"mlstm": 1}}, "blocks must be a list of names; received {'mlstm': 1}"),
        ({"head_bias": "abc"}, "head_bias must be 3 finite numbers; received abc"),
        ({"ffn_factor": 0}, "ffn_factor must be positive; received 0"),
    ],
)
def test_options_of_the_classifier_are_called_by_their_own_names(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        ClassifierOptions(**options)
    assert str(error.value) == message


def test_other_whole_numbers_are_checked_too():
    with pytest.raises(ValueError, match=r"^n_features must be a whole number; received 5\.0$"):
        XLSTMClassifier(5.0, 12)
    with pytest.raises(ValueError, match=r"^length must be a whole number; received True$"):
        XLSTMClassifier(5, True)
    with pytest.raises(ValueError, match=r"^kernel_size must be a whole number; received 4\.0$"):
        CausalConv1D(4.0)
    with pytest.raises(ValueError, match=r"^num_blocks must be a whole number; received 2\.0$"):
        block_kinds(2.0)
    with pytest.raises(ValueError, match=r"^slstm_at must be 'all' or a list of places; received 1$"):
        block_kinds(2, 1)
    with pytest.raises(ValueError, match=r"^slstm_at must lie in 0\.\.1; received 0\.5$"):
        block_kinds(2, [0.5])
    with pytest.raises(ValueError, match=r"^input_gate_bias must be finite; received nan$"):
        LargeOptions(input_gate_bias=math.nan)
