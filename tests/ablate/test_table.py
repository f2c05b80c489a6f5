import json
import re

import numpy as np
import pytest

from simengine.ablate.measure import FIGURES, SECONDS
from simengine.ablate.plan import Cell
from simengine.ablate.sums import METRICS
from simengine.ablate.table import Row, replicates_for, table_of
from simengine.ablate.verdict import verdicts
from simengine.errors import RunError
from simengine.evaluate.logproba import log_softmax
from simengine.rundir import plain
from tests.ablate.conftest import changed, make_outcome

BASE, BETTER, SAME = Cell("base", (), "argmax"), Cell("better", (1,), "argmax"), Cell("same", (2,), "argmax")
STRATA = [(0, 0), (1, 0)]


def outcomes(cell, stratum):
    """The base answers without knowledge and says BUY; the better cell knows what can be known."""
    outcome = make_outcome(seed=stratum[0], bars=600)
    if cell.name == "better":
        return outcome
    blind = log_softmax(np.tile([0.0, 0.0, 0.3], (len(outcome.labels), 1)))
    return changed(outcome, log_proba=blind, raw_log_proba=blind, signals=np.full(len(blind), 2, np.int8))


def table(cells, reader=outcomes, strata=STRATA, seconds=lambda cell, stratum: 1.0):
    def result(cell, stratum):
        return reader(cell, stratum), seconds(cell, stratum)

    return table_of(cells, strata, result, block=12, seed=3, replicates=299)


def said(row):
    """The words of its verdict, without the sizes."""
    return words(verdicts([table([BASE])[0], row])[0])


def words(verdict):
    return re.sub(r" \([^)]*\)", "", verdict.text)


def test_a_real_improvement_is_told_from_none():
    base, better, same = table([BASE, BETTER, SAME])
    assert base.to_base is None
    assert base.to_same is None
    assert better.to_same is None
    assert better.to_base.other == "base"
    assert set(better.to_base.intervals) == set(FIGURES)
    assert better.to_base.intervals["nll"].high < 0
    assert better.to_base.differs("nll")
    assert better.to_base.differs("share_gap")
    assert better.figures["share_gap"] <= 0.05
    assert not better.to_base.differs("net_return")
    assert said(better) == "cures the shares, improves the probabilities"
    assert {found.difference for found in same.to_base.intervals.values()} == {0.0}
    assert all(found.contains_zero for found in same.to_base.intervals.values())
    assert said(same) == "no effect seen"
    assert same.to_base.adjusted["nll"] == 1.0


def test_figures_are_means_over_seeds():
    (base,) = table([BASE])
    buys = [np.mean(outcomes(BASE, stratum).labels == 2) for stratum in STRATA]
    assert base.figures["share_gap"] == pytest.approx(1 - np.mean(buys))
    assert base.spread["share_gap"] == pytest.approx(np.std(buys, ddof=1))
    assert base.figures["buy"] == 1.0
    (alone,) = table([BASE], strata=[(0, 0)])
    assert np.isnan(alone.spread["share_gap"])


def test_the_spread_is_that_of_seeds_and_not_of_folds():
    def drifting(cell, stratum):
        seed, fold = stratum
        outcome = make_outcome(seed=0, bars=600)
        return changed(outcome, net=np.full(600, np.log1p(0.1 * fold + 0.02 * seed) / 600))

    strata = [(0, 0), (0, 1), (1, 0), (1, 1)]
    (base,) = table([BASE], drifting, strata)
    assert base.figures["net_return"] == pytest.approx(0.06)
    assert base.spread["net_return"] == pytest.approx(np.std([0.05, 0.07], ddof=1))
    assert table([BASE], drifting, [(0, 0), (1, 0)])[0].figures["net_return"] == pytest.approx(0.01)


def test_seeds_of_a_fold_are_no_further_test_data():
    """Two trainings that say the same know no more than one; a second fold does."""

    def alike(cell, stratum):
        return outcomes(cell, (0, 0))

    def width(strata):
        found = table([BASE, BETTER], alike, strata=strata)[1].to_base.intervals["nll"]
        return found.high - found.low

    assert width([(0, 0), (1, 0)]) == pytest.approx(width([(0, 0)]), rel=1e-9)
    assert width([(0, 0), (0, 1)]) < 0.9 * width([(0, 0)])


def test_replicates_grow_with_the_cells():
    assert [replicates_for(cells) for cells in (1, 42, 50, 100)] == [1999, 1999, 1999, 3999]
    assert 100 / (replicates_for(100) + 1) < 0.05


def test_money_is_judged_on_the_same_bars():
    def richer(cell, stratum):
        outcome = outcomes(BASE, stratum)
        return changed(outcome, net=outcome.net + (0.002 if cell.name == "better" else 0.0))

    winner = table([BASE, BETTER], richer)[1]
    assert winner.figures["net_return"] > 0
    assert said(winner) == "earns money"
    assert said(table([BETTER, BASE], richer)[1]) == "costs money"

    def poorer(cell, stratum):
        outcome = richer(cell, stratum)
        return changed(outcome, net=outcome.net - 0.01)

    loser = table([BASE, BETTER], poorer)[1]
    assert loser.figures["net_return"] < 0
    assert said(loser) == "loses less money"


def test_other_labels_are_said_and_judged_by_skill():
    def relabelled(cell, stratum):
        outcome = outcomes(cell, stratum)
        return outcome if cell is BASE else changed(outcome, labels=np.roll(outcome.labels, 1))

    base, other = table([BASE, BETTER], relabelled)
    assert (base.other_labels, other.other_labels) == (False, True)
    assert "worsens the probabilities" in said(other)
    assert other.to_dict()["other_labels"]


def test_other_bars_are_refused():
    def shifted(cell, stratum):
        outcome = outcomes(cell, stratum)
        if cell is BASE:
            return outcome
        return changed(outcome, times=outcome.times + 1, row_time=outcome.row_time + 1)

    with pytest.raises(RunError, match=r"^ablate: a cell was traded on other bars than the base"):
        table([BASE, BETTER], shifted)


def test_seeds_tested_on_other_bars_are_refused():
    def shifted(cell, stratum):
        outcome = outcomes(cell, stratum)
        seed = stratum[0]
        return changed(outcome, times=outcome.times + seed, row_time=outcome.row_time + seed)

    with pytest.raises(RunError, match=r"^ablate: a cell was traded on other bars than the base"):
        table([BASE], shifted)


CURED = Cell("base + matched", (), "matched")
CURED_BETTER = Cell("better + matched", (1,), "matched")


def matched(cell, stratum):
    """The decision alone takes the labels' shares; the improvement adds knowledge to it."""
    outcome = outcomes(Cell(cell.group, (), "argmax"), stratum)
    if cell.decision == "matched":
        shuffled = np.random.default_rng(stratum[0]).permutation(outcome.labels)
        return changed(outcome, signals=shuffled)
    return outcome


def test_cells_of_another_decision_are_held_against_both_bases():
    rows = table([BASE, CURED, BETTER, CURED_BETTER], matched)
    assert [row.to_same and row.to_same.other for row in rows] == [None, None, None, "base + matched"]
    both = rows[3]
    assert both.to_base.differs("share_gap")
    assert both.to_same.intervals["share_gap"].difference == 0
    assert both.to_same.intervals["nll"].difference == both.to_base.intervals["nll"].difference
    found = {(verdict.group, verdict.decision): words(verdict) for verdict in verdicts(rows)}
    assert found == {
        ("base", "matched"): "cures the shares",
        ("better", None): "cures the shares, improves the probabilities",
        ("better", "matched"): "cures the shares, improves the probabilities; against base + matched: "
        "improves the probabilities",
    }


def test_each_comparison_is_corrected_for_its_own_cells():
    rows = table([BASE, CURED, BETTER, CURED_BETTER], matched)
    both = rows[3]
    raw = both.to_base.intervals["nll"].p_value
    assert both.to_base.adjusted["nll"] == pytest.approx(3 * raw)  # of three cells; two of them are tied
    assert both.to_same.adjusted["nll"] == pytest.approx(both.to_same.intervals["nll"].p_value)


def test_training_time_has_an_interval_over_seeds():
    times = {"base": [10.0, 12.0], "better": [15.0, 18.0], "same": [10.0, float("nan")]}
    rows = table([BASE, BETTER, SAME], seconds=lambda cell, stratum: times[cell.name][stratum[0]])
    assert [row.figures[SECONDS] for row in rows] == [11.0, 16.5, 10.0]
    found = rows[1].to_base.intervals[SECONDS]
    assert found.difference == 5.5
    assert found.by_seed == (5.0, 6.0)
    unknown = rows[2].to_base.intervals[SECONDS]
    assert unknown.difference == 0.0
    assert np.isnan(unknown.low)
    assert unknown.contains_zero
    assert rows[2].to_base.intervals["nll"].difference == 0.0


def test_many_cells_get_replicates_enough_for_their_correction():
    cells = [BASE, BETTER, *(Cell(f"same {n}", (n,), "argmax") for n in range(18))]
    rows = table(cells, strata=STRATA[:1])  # 299 replicates would leave 19 / 300 = .063
    assert rows[1].to_base.differs("nll")


def test_rows_come_back_from_json():
    rows = table([BASE, CURED, BETTER, CURED_BETTER], matched, seconds=lambda cell, stratum: float("nan"))
    for row in rows:
        content = json.loads(json.dumps(plain(row.to_dict()), allow_nan=False))
        again = Row.from_dict(content)
        assert json.dumps(plain(again.to_dict())) == json.dumps(plain(row.to_dict()))
        assert np.isnan(again.figures[SECONDS])
        assert again.cell == row.cell
    assert set(METRICS) < set(rows[0].figures)
