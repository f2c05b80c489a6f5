import pytest
from pydantic import ValidationError

from simengine.config.duration import parse_duration
from simengine.config.load import load_config
from simengine.config.schema import ComponentRef, Config
from simengine.types import PerClass


def test_the_default_is_the_plain_base():
    config = load_config({})
    assert config == Config()
    assert (config.seed, config.split.train, config.window.length) == (7, 0.6, 60)
    assert (config.training.warmup, config.training.clip_norm, config.training.patience) == (0.05, 1.0, None)
    assert config.data.source == ComponentRef(
        type="oracle_market", options={"market": "realistic", "symbols": 2, "bars": 30000}
    )
    assert config.training.reweighter is None
    assert config.training.penalties == ()
    assert [view.type for view in config.inference.tta] == ["identity"]
    assert config.backtest.fees == ComponentRef(type="proportional", options={"fee_bps": 10})
    assert config.backtest.fill_convention == "open_first"


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_config({}).seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        load_config({}).training.epochs = 3


def test_a_component_is_a_name_or_a_mapping():
    assert ComponentRef.parse("focal") == ComponentRef.parse({"type": "focal"})
    given = {"type": "focal", "gamma": PerClass(1, 2, 3), "blocks": ("a", "b")}
    assert ComponentRef.parse(given).options == {
        "gamma": {"sell": 1, "hold": 2, "buy": 3},
        "blocks": ["a", "b"],
    }


def test_choosing_a_component_drops_the_default_options():
    config = load_config({"strategy": "reversal", "data": {"source": {"type": "csv", "path": "x.csv"}}})
    assert config.strategy.options == {}
    assert config.data.source.options == {"path": "x.csv"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3h", 10800), ("90m", 5400), ("5min", 300), ("2d", 172800), ("30s", 30), ("1 h", 3600)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds * 10**9
    assert load_config({"data": {"max_gap": text}}).data.max_gap_ns == seconds * 10**9


@pytest.mark.parametrize("text", ["3", "h", "-3h", "0h", "1.5h", "3w", "", "999999999999d"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="expected a duration like '3h', '90m', '2d' or '30s'"):
        parse_duration(text)


def test_sizes_of_an_exchange_are_for_all_symbols_or_by_symbol():
    config = load_config({"backtest": {"tick_size": 1, "lot_size": {"A": 1, "B": 0.5}}})
    assert (config.backtest.tick_size, config.backtest.lot_size) == (1.0, {"A": 1.0, "B": 0.5})


def test_the_leverage_bounds_sizes_in_fractions_only():
    assert load_config({"backtest": {"size": 3, "leverage": 3}}).backtest.size == 3.0
    assert load_config({"backtest": {"size": 500, "size_unit": "cash"}}).backtest.size == 500.0


def test_no_gap_limit():
    assert load_config({}).data.max_gap_ns is None
