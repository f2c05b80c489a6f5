"""The source `oracle_market` as the core uses it."""

import inspect

import numpy as np
import pytest

from simengine.errors import DataError
from simengine_plugins.sources.oracle_market import OracleMarket, simengine_register_sources


def test_it_is_registered_under_its_name_with_the_shipped_defaults():
    (component,) = simengine_register_sources()
    assert component.name == "oracle_market"
    defaults = {name: p.default for name, p in inspect.signature(component.factory).parameters.items()}
    assert defaults == {"market": "realistic", "symbols": 2, "bars": 30_000, "seed": 1}


def test_symbols_are_named_and_as_long_as_asked():
    loaded = OracleMarket(symbols=3, bars=100).load()
    assert list(loaded) == ["ORACLE1", "ORACLE2", "ORACLE3"]
    assert [(bars.symbol, len(bars), dict(bars.repairs)) for bars in loaded.values()] == [
        (symbol, 100, {}) for symbol in loaded
    ]


def test_loading_is_deterministic_and_the_seed_moves_the_market():
    def close(**options):
        return OracleMarket(bars=200, **options).load()["ORACLE1"].close.tobytes()

    assert close() == close()
    assert close() == close(symbols=5)
    assert close() != close(seed=2)


def test_symbols_are_independent():
    loaded = OracleMarket(bars=20_000, market="null").load()
    returns = [np.log(bars.close / bars.open) for bars in loaded.values()]
    assert abs(np.corrcoef(returns)[0, 1]) < 4 / np.sqrt(20_000)


def test_a_bare_yaml_null_is_the_market_without_signal():
    bare, named = (OracleMarket(bars=50, market=market) for market in (None, "null"))
    assert bare.market == "null"
    assert bare.load()["ORACLE1"].close.tobytes() == named.load()["ORACLE1"].close.tobytes()


def test_probabilities_belong_to_the_symbol():
    source = OracleMarket(bars=500, market="easy")
    ends = np.array([200, 300])
    bound = np.full(2, 0.001)
    first = source.class_probabilities("ORACLE1", ends, -bound, bound, 4)
    second = source.class_probabilities("ORACLE2", ends, -bound, bound, 4)
    assert first.shape == (2, 3)
    np.testing.assert_allclose(first.sum(axis=1), 1.0)
    assert not np.allclose(first, second, atol=1e-4)
    windowed = source.class_probabilities("ORACLE1", ends, -bound, bound, 4, history=60)
    assert not np.array_equal(windowed, first)
    np.testing.assert_allclose(windowed, first, atol=0.2)


def test_the_null_market_has_nearly_no_direction():
    source = OracleMarket(bars=2000, symbols=1, market="null")
    ends = np.arange(100, 1900)
    zero = np.zeros(len(ends))
    sell, hold, buy = source.class_probabilities("ORACLE1", ends, zero, zero, 12).T
    assert (hold == 0).all()
    assert np.abs(buy - sell).max() < 0.01  # the log price falls by half its variance; no more


def test_an_unknown_symbol_is_named():
    source = OracleMarket(bars=10)
    message = (
        r"^oracle_market: unknown symbol 'ORACLE' \(did you mean 'ORACLE2'\?\); known: ORACLE1, ORACLE2$"
    )
    with pytest.raises(DataError, match=message):
        source.class_probabilities("ORACLE", np.array([5]), np.zeros(1), np.zeros(1), 4)
