"""Options: widths as the official ones, and one line for each that cannot work."""

import math

import pytest

from simengine.model.option_checks import options_from
from simengine.model.options import (
    FeedForwardOptions,
    LargeOptions,
    MLSTMOptions,
    SLSTMOptions,
    StackOptions,
    block_kinds,
)


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
        (StackOptions, {"blocks": []}, "blocks must name at least one block; received none"),
        (StackOptions, {"blocks": "mlstm"}, "blocks must be a list of names; received 'mlstm'"),
        (StackOptions, {"final_norm": "batch"}, "unknown final_norm 'batch'; known: layer, rms"),
    ],
)
def test_options_that_cannot_work_are_refused(kind, options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        options_from(kind, options)
    assert str(error.value) == message
