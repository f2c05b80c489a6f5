import numpy as np
import pytest

from simengine.ablate.folds import check_folds, folds_of
from simengine.ablate.plan import changed
from simengine.config.load import load_config
from simengine.errors import ConfigError, DataError
from simengine.plugin.check import check_config
from simengine.steps.parts import build_parts
from simengine.steps.prepare import load_bars, prepare, run_bars


@pytest.fixture
def market(simengine_registry):
    """Return a function: bars and a split to the base, its parts and its bars."""

    def build(bars, **split):
        source = {"type": "oracle_market", "bars": bars, "symbols": 2}
        base = load_config({"model": "prior", "data": {"source": source}, "split": split})
        base = check_config(base, simengine_registry)
        parts = build_parts(base, simengine_registry)
        return base, parts, load_bars(parts.source)

    return build


def prepared_folds(market, registry, folds, bars, **split):
    base, _, loaded = market(bars, **split)
    for section in folds_of(base, loaded, folds):
        config = changed(base, {"split": section})
        parts = build_parts(config, registry)
        yield prepare(config, parts, run_bars(config, parts.source))


# Borders that fall on a bar, beside it, and between bars of an odd number.
@pytest.mark.parametrize(
    ("bars", "split"),
    [
        (4000, {}),
        (4001, {}),
        (4011, {"train": 0.5, "val": 0.3, "test": 0.2}),
        (4999, {"train": 0.7, "val": 0.15, "test": 0.15, "embargo_bars": 5}),
        (5003, {"train": 0.6, "val": 0.2, "test": 0.2, "until": 0.93}),
    ],
)
def test_folds_walk_forward_without_overlap(market, simengine_registry, bars, split):
    embargo = split.get("embargo_bars", 0)
    purge = 60 + 12 - 1
    earlier = None
    for found in prepared_folds(market, simengine_registry, 3, bars, **split):
        (segment, _), (_, times) = found.dataset.segments, next(iter(found.bars.items()))
        tested = segment.test[1] - segment.test[0] + embargo
        span = bars * split.get("until", 1.0)
        assert tested == pytest.approx(span * split.get("test", 0.2), abs=1)
        assert segment.val[1] - segment.val[0] + purge + embargo == pytest.approx(
            span * split.get("val", 0.2), abs=1
        )
        # Nothing of val is seen by the last train window and its label, nothing of test by val's.
        assert segment.val[0] - embargo - segment.train[1] == purge
        assert segment.test[0] - embargo - segment.val[1] == purge
        assert segment.test[1] == len(times)
        assert segment.train[0] == 0
        if earlier is not None:
            assert segment.train[1] > earlier.train[1]
            assert segment.test[0] - embargo == earlier.test[1]  # the very next bar
        earlier = segment
    whole = round(bars * split.get("until", 1.0))
    assert earlier.test[1] == pytest.approx(whole, abs=1)


def test_one_fold_is_the_configs_own_split(market):
    base, _, bars = market(3000, train=0.5, val=0.25, test=0.25, until=0.9)
    assert folds_of(base, bars, 1) == [base.split.model_dump()]


def test_the_last_fold_has_the_rows_of_the_configs_own_split(market, simengine_registry):
    (own,) = prepared_folds(market, simengine_registry, 1, 4001)
    *_, last = prepared_folds(market, simengine_registry, 2, 4001)
    assert last.dataset.segments == own.dataset.segments


def test_symbols_that_begin_later_have_the_same_borders(market):
    base, _, bars = market(4000)
    first, second = bars.items()
    short = {first[0]: first[1], second[0]: second[1].slice(1000, 4000)}
    assert folds_of(base, short, 2) == folds_of(base, bars, 2)


def test_too_many_folds_say_how_many_there_can_be(market):
    base, _, bars = market(6000)
    with pytest.raises(ConfigError) as caught:
        folds_of(base, bars, 4)
    assert str(caught.value) == (
        "ablate: 4 folds of a test share of 0.2 leave the first one no train span; use at most 3"
    )
    assert len(folds_of(base, bars, 3)) == 3


def test_bars_too_few_for_a_fold_name_it(market):
    base, parts, bars = market(1500)
    check_folds(base, parts, bars, folds_of(base, bars, 1))
    with pytest.raises(DataError, match=r"^ablate: fold 1 of 3: too few bars: .* train needs 323 "):
        check_folds(base, parts, bars, folds_of(base, bars, 3))


def test_a_test_span_too_short_for_the_bootstrap_is_refused_before_training(market):
    base, parts, bars = market(1500, train=0.87, val=0.1, test=0.03)
    assert np.ceil(0.03 * 1500) == 45
    with pytest.raises(DataError) as caught:
        check_folds(base, parts, bars, folds_of(base, bars, 1))
    assert str(caught.value) == (
        "ablate: the test span has 45 bars, too few for intervals from blocks of 24; use more bars, a larger "
        "split.test or fewer folds"
    )
