import numpy as np
import pytest

from simengine.ablate.plan import Cell
from simengine.ablate.sums import METRICS
from simengine.ablate.table import table_of
from simengine.ablate.verdict import verdict
from simengine.errors import RunError
from simengine.evaluate.logproba import log_softmax
from tests.ablate.conftest import make_outcome

BASE, BETTER, SAME = Cell("base", (), "argmax"), Cell("better", (1,), "argmax"), Cell("same", (2,), "argmax")
STRATA = [(0, 0), (1, 0)]


def outcomes(cell, stratum):
    """The base answers without knowledge and says BUY; the better cell knows what can be known."""
    outcome = make_outcome(seed=stratum[0], bars=600)
    if cell.name == "better":
        return outcome
    blind = log_softmax(np.tile([0.0, 0.0, 0.3], (len(outcome.labels), 1)))
    changes = {"log_proba": blind, "raw_log_proba": blind, "signals": np.full(len(blind), 2, np.int8)}
    return type(outcome)(**{**outcome.to_arrays(), **changes})


def table(cells, reader=outcomes):
    seconds = {cell.name: 1.0 for cell in cells}
    return table_of(cells, STRATA, reader, seconds, block=12, seed=3, replicates=299)


def test_a_real_improvement_is_told_from_none():
    base, better, same = table([BASE, BETTER, SAME])
    assert base.intervals == {}
    assert set(better.intervals) == set(METRICS)
    assert better.intervals["nll"].high < 0
    assert better.differs("nll")
    assert better.differs("share_gap")
    assert better.figures["share_gap"] <= 0.05
    assert not better.differs("net_return")
    assert verdict(better) == "cures the shares, improves the probabilities"
    assert {found.difference for found in same.intervals.values()} == {0.0}
    assert all(found.contains_zero for found in same.intervals.values())
    assert verdict(same) == "no effect seen"
    assert same.adjusted["nll"] == 1.0


def test_figures_are_means_over_seeds():
    (base,) = table([BASE])
    buys = [np.mean(outcomes(BASE, stratum).labels == 2) for stratum in STRATA]
    assert base.figures["share_gap"] == pytest.approx(1 - np.mean(buys))
    assert base.spread["share_gap"] == pytest.approx(np.std(buys, ddof=1))
    assert base.figures["buy"] == 1.0


def test_money_is_judged_on_the_same_bars():
    def richer(cell, stratum):
        outcome = outcomes(BASE, stratum)
        gain = 0.002 if cell.name == "better" else 0.0
        return type(outcome)(**{**outcome.to_arrays(), "net": outcome.net + gain})

    assert verdict(table([BASE, BETTER], richer)[1]) == "earns money"
    assert verdict(table([BETTER, BASE], richer)[1]) == "costs money"


def test_other_labels_are_said_and_judged_by_skill():
    def relabelled(cell, stratum):
        outcome = outcomes(cell, stratum)
        if cell is BASE:
            return outcome
        changes = {"labels": np.roll(outcome.labels, 1)}
        return type(outcome)(**{**outcome.to_arrays(), **changes})

    base, other = table([BASE, BETTER], relabelled)
    assert (base.other_labels, other.other_labels) == (False, True)
    assert "worsens the probabilities" in verdict(other)
    assert other.to_dict()["other_labels"]


def test_other_bars_are_refused():
    def shifted(cell, stratum):
        outcome = outcomes(cell, stratum)
        if cell is BASE:
            return outcome
        return type(outcome)(
            **{**outcome.to_arrays(), "times": outcome.times + 1, "row_time": outcome.row_time + 1}
        )

    with pytest.raises(RunError, match=r"^ablate: a cell was traded on other bars than the base"):
        table([BASE, BETTER], shifted)
