import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.ablate.sums import METRICS, RANKS, bar_sums, metrics_of
from simengine.evaluate import scores
from tests.ablate.conftest import make_outcome


def measured(outcome):
    sums, columns = bar_sums(outcome)
    return dict(zip(METRICS, metrics_of(sums.sum(0), columns), strict=True))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), tilt=st.floats(-3, 3), sharpness=st.floats(0.1, 3))
def test_metrics_of_sums_are_those_of_the_rows(seed, tilt, sharpness):
    outcome = make_outcome(seed, tilt=tilt, sharpness=sharpness)
    found, labels, log_p = measured(outcome), outcome.labels, outcome.log_proba
    decided = scores.class_shares(outcome.signals)
    expected = {
        "raw_buy": (outcome.raw_log_proba.argmax(1) == 2).mean(),
        "sell": decided[0],
        "hold": decided[1],
        "buy": decided[2],
        "share_gap": np.abs(decided - scores.class_shares(labels)).sum() / 2,
        "macro_f1": scores.macro_f1(labels, outcome.signals),
        "ece": scores.top_label_ece(log_p, labels),
        "ace": scores.classwise_ace(log_p, labels),
        "nll": scores.nll(log_p, labels),
        "skill": scores.skill(log_p, labels, outcome.train_share),
        "turnover": outcome.turnover.sum(),
        "net_return": np.exp(outcome.net.sum()) - 1,
        "gross_return": np.exp(outcome.gross.sum()) - 1,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    # Scores in one of many bins count as ties.
    assert found["sign_auc"] == pytest.approx(scores.sign_auc(log_p, outcome.forward_return), abs=1 / RANKS)


def test_sums_of_a_part_are_the_metrics_of_its_rows(outcome):
    whole = outcome(seed=3)
    sums, columns = bar_sums(whole)
    found = dict(zip(METRICS, metrics_of(sums[100:250].sum(0), columns), strict=True))
    rows = (whole.row_time >= whole.times[100]) & (whole.row_time < whole.times[250])
    assert found["nll"] == pytest.approx(scores.nll(whole.log_proba[rows], whole.labels[rows]))
    assert found["ece"] == pytest.approx(scores.top_label_ece(whole.log_proba[rows], whole.labels[rows]))
    assert found["macro_f1"] == pytest.approx(scores.macro_f1(whole.labels[rows], whole.signals[rows]))


def test_a_class_that_never_occurs_has_an_f1_of_0(outcome):
    collapsed = outcome(tilt=50.0)
    assert (collapsed.signals == 2).all()
    found = measured(collapsed)
    share = (collapsed.labels == 2).mean()
    assert found["macro_f1"] == pytest.approx(2 * share / (1 + share) / 3)
    assert found["share_gap"] == pytest.approx(1 - share)
