import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import ConfigError, DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import DecisionContext, PerClass, Signal
from simengine_plugins.decisions.hysteresis import Hysteresis
from simengine_plugins.decisions.prior_matched import PriorMatched

SELL, HOLD, BUY = Signal
SEEDS = st.integers(0, 10_000)


def context_of(groups, timestamp):
    share = np.full(3, 1 / 3)
    return DecisionContext(share, 12, groups=np.asarray(groups), timestamp=np.asarray(timestamp))


def draw(seed, n=400, symbols=2, memory=0.9):
    """Scores that move slowly, of symbols that take turns."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    for row in range(symbols, n):
        logits[row] = memory * logits[row - symbols] + np.sqrt(1 - memory**2) * logits[row]
    scores = log_softmax(0.3 * logits + [0, 0.1, 0.3])
    labels = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1).astype(np.int8)
    rows = np.arange(n)
    return scores, labels, rows % symbols, rows // symbols


def fixed(enter, exit):
    """A fitted decision without offsets."""
    rule = Hysteresis(enter=enter, exit=exit)
    rule.offsets_, rule.enter_, rule.exit_ = np.zeros(3), enter, exit
    return rule


def by_hand(scores, groups, timestamp, enter, exit):
    """The rule as a trader would write it down: bar by bar."""
    signals, last = np.empty(len(scores), np.int8), {}
    for row in np.argsort(timestamp, kind="stable"):
        margins = [scores[row, c] - np.delete(scores[row], c).max() for c in range(3)]
        now = last.get(groups[row], HOLD)
        if margins[SELL] > enter:
            now = SELL
        elif margins[BUY] > enter:
            now = BUY
        elif now != HOLD and margins[now] < exit:
            now = HOLD
        signals[row] = last[groups[row]] = now
    return signals


def series(rule, scores):
    return rule.decide_series(scores, np.zeros(len(scores), np.int64), np.arange(len(scores)))


def test_docstring_example():
    margins = np.array([0.1, 0.3, 0.0, -0.05, -0.15, 0.1])
    scores = np.stack([np.full(6, -5.0), np.zeros(6), margins], axis=1)
    np.testing.assert_array_equal(series(fixed(0.2, -0.1), scores), [HOLD, BUY, BUY, BUY, HOLD, HOLD])
    mirrored = series(fixed(0.2, -0.1), scores[:, ::-1])
    np.testing.assert_array_equal(mirrored, [HOLD, SELL, SELL, SELL, HOLD, HOLD])


def test_the_other_side_takes_over_at_once():
    scores = np.array([[0.0, -1.0, 1.0], [1.0, -1.0, 0.0], [0.1, -1.0, 0.0], [0.0, -1.0, 0.1]])
    np.testing.assert_array_equal(series(fixed(0.5, -0.5), scores), [BUY, SELL, SELL, SELL])


@settings(deadline=None)
@given(SEEDS, st.integers(1, 4), st.floats(0, 0.5), st.floats(0.001, 1.0))
def test_equal_to_the_rule_bar_by_bar(seed, symbols, enter, width):
    scores, _, groups, time = draw(seed, 120, symbols)
    exit = enter - width
    found = fixed(enter, exit).decide_series(scores, groups, time)
    np.testing.assert_array_equal(found, by_hand(scores, groups, time, enter, exit))
    assert found.dtype == np.int8


@settings(deadline=None)
@given(SEEDS, st.integers(1, 199))
def test_later_rows_never_change_earlier_signals(seed, cut):
    scores, labels, groups, time = draw(seed, 200)
    rule = Hysteresis().fit(scores, labels, context_of(groups, time))
    changed, whole = scores.copy(), rule.decide_series(scores, groups, time)
    changed[cut:] = changed[cut:][::-1, ::-1]
    np.testing.assert_array_equal(rule.decide_series(changed, groups, time)[:cut], whole[:cut])
    np.testing.assert_array_equal(rule.decide_series(scores[:cut], groups[:cut], time[:cut]), whole[:cut])


@settings(deadline=None)
@given(SEEDS)
def test_symbols_and_the_order_of_rows_do_not_matter_to_each_other(seed):
    scores, _, groups, time = draw(seed, 150, 3)
    rule = fixed(0.1, -0.2)
    whole = rule.decide_series(scores, groups, time)
    order = np.random.default_rng(seed).permutation(150)
    np.testing.assert_array_equal(rule.decide_series(scores[order], groups[order], time[order]), whole[order])
    alone = groups == 1
    np.testing.assert_array_equal(rule.decide_series(scores[alone], groups[alone], time[alone]), whole[alone])


def test_every_call_begins_with_hold():
    scores = np.array([[-1.0, 0.0, 1.0], [-1.0, 0.0, -0.05]])
    rule = fixed(0.2, -0.1)
    np.testing.assert_array_equal(series(rule, scores), [BUY, BUY])
    np.testing.assert_array_equal(series(rule, scores[1:]), [HOLD])


@pytest.mark.parametrize("flips", [0.7, 0.5, 0.1])
def test_signals_change_at_most_as_often_as_wanted(flips):
    scores, labels, groups, time = draw(1, 4000)
    rule = Hysteresis(flips=flips).fit(scores, labels, context_of(groups, time))
    signals = rule.decide_series(scores, groups, time)
    plain = PriorMatched().fit(scores, labels, context_of(groups, time)).decide(scores)
    changes = [sum(int((np.diff(s[groups == g]) != 0).sum()) for g in (0, 1)) for s in (plain, signals)]
    np.testing.assert_array_equal(rule.flips_ * 4000, changes)
    assert 0.5 * flips < changes[1] / changes[0] <= flips
    assert rule.exit_ == -rule.enter_ < 0
    np.testing.assert_array_equal(rule.reached_share_, np.bincount(signals, minlength=3) / 4000)


def test_the_default_halves_the_changes_and_starts_from_prior_matched():
    scores, labels, groups, time = draw(2, 1000)
    context = context_of(groups, time)
    rule = Hysteresis().fit(scores, labels, context)
    np.testing.assert_array_equal(rule.offsets_, PriorMatched().fit(scores, labels, context).offsets_)
    assert rule.enter_ == Hysteresis(flips=0.5).fit(scores, labels, context).enter_
    target = PerClass(0.1, 0.8, 0.1)
    np.testing.assert_array_equal(
        Hysteresis(target=target).fit(scores, labels, context).offsets_,
        PriorMatched(target=target).fit(scores, labels, context).offsets_,
    )


def test_without_a_band_it_is_prior_matched():
    scores, labels, groups, time = draw(3, 500)
    context = context_of(groups, time)
    rule = Hysteresis(enter=0.0, exit=-1e-12).fit(scores, labels, context)
    plain = PriorMatched().fit(scores, labels, context).decide(scores)
    np.testing.assert_array_equal(rule.decide_series(scores, groups, time), plain)


@settings(deadline=None)
@given(SEEDS, st.floats(0, 0.4), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_lower_exit_never_shortens_a_signal(seed, enter, width, more):
    scores, _, groups, time = draw(seed, 120)
    narrow = fixed(enter, enter - width).decide_series(scores, groups, time)
    wide = fixed(enter, enter - width - more).decide_series(scores, groups, time)
    assert (wide[narrow != HOLD] == narrow[narrow != HOLD]).all()


@pytest.mark.parametrize(("options", "message"), [
    ({"enter": 0.1}, "enter and exit: give both or neither, received enter=0.1, exit=None"),
    ({"enter": 0.1, "exit": 0.1}, "exit: expected less than enter (0.1), received 0.1"),
    ({"enter": 0.1, "exit": 0.0, "flips": 0.5},
     "flips: not used when enter and exit are given, received 0.5; leave it out"),
    ({"target": PerClass(0.5, 0.5, 0.5)},
     "target: expected three shares above 0 with sum 1, received [0.5, 0.5, 0.5]"),
])  # fmt: skip
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        Hysteresis(**options)
    assert str(error.value) == message


def test_rows_without_time_and_symbol_are_refused():
    scores, labels, groups, time = draw(4)
    with pytest.raises(ConfigError) as error:
        Hysteresis().fit(scores, labels, DecisionContext(np.full(3, 1 / 3), 12))
    assert str(error.value) == (
        "decision hysteresis: needs symbol and time of the validation rows (context.groups, "
        "context.timestamp), received none; use it in a run, or another decision"
    )
    with pytest.raises(ConfigError) as error:
        Hysteresis().fit(scores, labels, context_of(groups, time)).decide(scores)
    assert str(error.value) == (
        "decision hysteresis: a signal depends on the bars before it; use decide_series with the symbol and "
        "the time of each row"
    )


def test_one_bar_twice_and_an_unfitted_rule_are_refused():
    with pytest.raises(DataError) as error:
        fixed(0.1, 0.0).decide_series(np.zeros((4, 3)), np.array([0, 1, 0, 0]), np.array([1, 1, 2, 1]))
    assert str(error.value) == (
        "decision hysteresis: rows 0 and 3 are of the same symbol and time; give each bar once"
    )
    with pytest.raises(DataError, match=r"^decision hysteresis: decide_series was called before fit$"):
        series(Hysteresis(), np.zeros((1, 3)))


def test_a_class_without_a_row_is_refused():
    scores, _, groups, time = draw(6, 100)
    labels = np.repeat([0, 2], 50).astype(np.int8)
    with pytest.raises(DataError, match=r"^decision hysteresis: HOLD gets no row from the validation labels"):
        Hysteresis().fit(scores, labels, context_of(groups, time))


@pytest.mark.parametrize("seed", range(5))
def test_half_the_width_would_leave_more_changes(seed):
    scores, labels, groups, time = draw(seed, 200)
    rule = Hysteresis(flips=0.5).fit(scores, labels, context_of(groups, time))
    base = rule.flips_[0]
    assert rule.flips_[1] <= 0.5 * base
    narrower = fixed(rule.enter_ * 0.5, -rule.enter_ * 0.5)
    narrower.offsets_ = rule.offsets_
    changed = narrower.decide_series(scores, groups, time)
    changes = sum(int((np.diff(changed[groups == g]) != 0).sum()) for g in (0, 1))
    assert changes / 200 > 0.5 * base
