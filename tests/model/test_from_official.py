"""Official configs become layers with every option, or are refused by name."""

import copy
import json
from pathlib import Path

import pytest

from simengine.model.from_official import layer_from_official_config
from simengine.model.official_options import (
    ffn_options,
    large_options,
    large_stack_options,
    mlstm_options,
    slstm_options,
    stack_options,
)
from simengine.model.options import FeedForwardOptions, LargeOptions, MLSTMOptions, SLSTMOptions

CONFIG = json.loads((Path(__file__).parents[1] / "data" / "golden" / "config.json").read_text())


def config_of(name):
    return copy.deepcopy(CONFIG[name]["config"])


def test_options_left_out_have_the_official_defaults():
    assert mlstm_options({}, 64) == MLSTMOptions()
    assert slstm_options({}) == SLSTMOptions()
    assert ffn_options({}) == FeedForwardOptions()
    assert ffn_options(None) is None
    assert large_options({}) == LargeOptions(heads=4)


def test_every_option_of_the_mlstm_is_honoured():
    config = {"num_heads": 2, "conv1d_kernel_size": 3, "qkv_proj_blocksize": 8, "bias": True, "dropout": 0.1}
    config |= {"proj_factor": 1.6, "round_proj_up_dim_up": False, "round_proj_up_to_multiple_of": 16}
    expected = MLSTMOptions(
        heads=2,
        conv_kernel=3,
        qkv_block=8,
        use_bias=True,
        dropout=0.1,
        proj_factor=1.6,
        round_up=False,
        round_to=16,
    )
    assert mlstm_options(config, 32) == expected
    assert mlstm_options({"proj_factor": None, "_proj_up_dim": 96}, 32).inner_width(32) == 96


def test_blocks_of_channels_widen_until_they_fit_as_in_the_official_layer():
    assert mlstm_options({"qkv_proj_blocksize": 24}, 32).qkv_block == 32
    with pytest.raises(ValueError, match=r"qkv_proj_blocksize must divide the inner width 64; received 96$"):
        mlstm_options({"qkv_proj_blocksize": 96}, 32)


def test_every_option_of_the_slstm_is_honoured():
    config = {"num_heads": 0, "conv1d_kernel_size": 0, "group_norm_weight": False, "dropout": 0.2}
    config |= {"bias_init": "small_init", "recurrent_weight_init": "standard"}
    expected = SLSTMOptions(
        heads=1,
        conv_kernel=0,
        group_norm_weight=False,
        dropout=0.2,
        bias_init="small_init",
        recurrent_init="standard",
    )
    assert slstm_options(config) == expected


def test_a_stack_overrides_bias_and_dropout_of_its_memories_alone():
    config = config_of("stack_ms") | {"bias": True, "dropout": 0.3, "num_blocks": 3, "slstm_at": [0]}
    config["slstm_block"]["feedforward"] |= {"dropout": 0.1, "act_fn": "swish"}
    options = stack_options(config, 32)
    assert options.blocks == ("slstm", "mlstm", "mlstm")
    assert (options.mlstm.use_bias, options.mlstm.dropout, options.slstm.dropout) == (True, 0.3, 0.3)
    assert (options.ffn.dropout, options.ffn.use_bias, options.ffn.activation) == (0.1, False, "swish")


def test_a_stack_without_mlstm_block_is_all_slstm_and_may_lack_the_norm():
    config = config_of("stack_ms") | {"mlstm_block": None, "add_post_blocks_norm": False}
    options = stack_options(config, 32)
    assert (options.blocks, options.final_norm) == (("slstm", "slstm"), None)


def test_a_stack_that_needs_a_missing_block_is_refused():
    config = config_of("stack_ms") | {"slstm_block": None}
    with pytest.raises(ValueError, match="need an slstm_block; received none"):
        stack_options(config, 32)


def test_the_place_in_the_stack_sets_the_initial_weights():
    first, second = ({**config_of("slstm_layer"), "_num_blocks": 2, "_block_idx": i} for i in (0, 1))
    layers = [layer_from_official_config(config) for config in (first, second)]
    assert [layer.depth for layer in layers] == [0.0, 1.0]
    block = layer_from_official_config(config_of("slstm_block"))
    assert (block.index, block.num_blocks, block.memory.depth) == (1, 2, 1.0)


def test_a_large_config_is_a_block_or_by_its_names_a_stack():
    config = config_of("large_block_small") | {"num_blocks": 2}
    assert type(layer_from_official_config(config)).__name__ == "MLSTMLargeBlock"
    stack = layer_from_official_config(config, names=["blocks.0.norm_mlstm.weight"])
    assert [type(block).__name__ for block in stack.blocks] == ["MLSTMLargeBlock"] * 2
    assert large_stack_options({**config, "add_out_norm": False}).final_norm is None


def test_kernels_reach_all_memories():
    layer = layer_from_official_config(config_of("stack_ms"), kernels="native")
    assert [block.memory.options.kernels for block in layer.blocks] == ["native"] * 2


def change_of(name, **options):
    return config_of(name) | options


REFUSED = {
    "unknown": (
        change_of("mlstm_layer", num_head=2),
        r"^unknown option of the official mLSTM layer 'num_head' \(did you mean 'num_heads'\?\); known: ",
    ),
    "unknown in a stack": (
        change_of("stack_ms", slstmat=[1]),
        r"^unknown option of the official block stack",
    ),
    "unknown in a block": (change_of("mlstm_block", x=1), r"^unknown option of the official mLSTM block 'x'"),
    "function": (
        change_of("slstm_layer", function="lstm"),
        r"^official sLSTM layer: function is supported with 'slstm' only; received 'lstm'$",
    ),
    "cut gradient": (
        change_of("slstm_layer", gradient_recurrent_cut=True),
        "gradient_recurrent_cut is supported",
    ),
    "feed-forward after an mLSTM": (
        change_of("mlstm_block", feedforward={}),
        "feedforward is supported with None",
    ),
    "width": (
        change_of("mlstm_layer", embedding_dim=-1),
        "embedding_dim must be a positive integer; received -1",
    ),
    "eps": (change_of("large_block_small", eps=1e-5), r"eps is supported with 1e-06 only; received 1e-05$"),
    "sigmoid gate": (
        change_of("large_block_small", chunkwise_kernel="chunkwise--triton_xl_chunk_siging"),
        "sigmoid input gates, which are not supported; choose one without siging",
    ),
    "no inner width": (
        change_of("mlstm_layer", proj_factor=None, _proj_up_dim=0),
        "_proj_up_dim must be set",
    ),
    "range": (change_of("slstm_layer", dropout=1.5), "dropout must be at least 0 and below 1; received 1.5"),
    "nothing to tell by": ({"embedding_dim": 8}, "cannot tell what the official config describes: give kind"),
}


@pytest.mark.parametrize(("config", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused_by_name(config, message):
    with pytest.raises(ValueError, match=message) as error:
        layer_from_official_config(config)
    assert "\n" not in str(error.value)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind of official config 'mlstm' "):
        layer_from_official_config(config_of("mlstm_layer"), "mlstm")


@pytest.mark.parametrize("config", [None, 3, "stack", []])
def test_what_is_no_config_is_refused(config):
    message = (
        "official config: expected a mapping of options (dataclasses.asdict of a config); "
        f"received {type(config).__name__}"
    )
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        layer_from_official_config(config)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 2.0, "group_norm_weight": True}, "num_heads must be a whole number; received 2.0"),
        ({"num_blocks": 2.5, "mlstm_block": {}}, "num_blocks must be a whole number; received 2.5"),
        ({"num_blocks": 2.5, "vocab_size": 9}, "num_blocks must be a whole number; received 2.5"),
        (
            {"embedding_dim": True, "qkv_proj_blocksize": 4},
            "official mLSTM layer: embedding_dim must be a positive integer; received True",
        ),
    ],
)
def test_sizes_are_whole_numbers(config, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        layer_from_official_config({"embedding_dim": 8, **config}, names=["blocks.0.norm"])
    assert str(error.value) == message
