import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine_plugins.miners.confident_errors import ConfidentErrors

PROBA = np.array(
    [
        [0.2, 0.1, 0.7],
        [0.5, 0.3, 0.2],
        [0.3, 0.3, 0.4],
        [0.1, 0.0999, 0.8001],
        [0.9, 0.05, 0.05],
        [0.3, 0.6, 0.1],
    ]
)
LABELS = np.array([0, 1, 2, 1, 0, 2], np.int8)
LOSSES = -np.log(PROBA[np.arange(6), LABELS])


def select(miner, proba=PROBA, labels=LABELS):
    return miner.select(labels, np.log(proba), LOSSES).tolist()


def test_the_surest_errors_come_first():
    # Rows 2 and 4 are right; the others are wrong with .7, .5, .8001 and .6.
    assert select(ConfidentErrors(fraction=1.0)) == [3, 0, 5, 1]
    assert select(ConfidentErrors(fraction=0.5)) == [3, 0]
    assert select(ConfidentErrors(fraction=0.01)) == [3]


def test_classes_are_chosen():
    assert select(ConfidentErrors(classes=("buy",), fraction=1.0)) == [5]
    assert select(ConfidentErrors(classes=("sell", "hold"), fraction=1.0)) == [3, 0, 1]


def test_without_an_error_there_is_nothing_to_select():
    rows = ConfidentErrors().select(PROBA.argmax(axis=1).astype(np.int8), np.log(PROBA), LOSSES)
    assert rows.shape == (0,)
    assert rows.dtype.kind == "i"


@given(seed=st.integers(0, 9999), n=st.integers(1, 80), fraction=st.floats(0.01, 1))
def test_no_error_left_out_is_surer(seed, n, fraction):
    rng = np.random.default_rng(seed)
    proba, labels = rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n).astype(np.int8)
    rows = ConfidentErrors(fraction=fraction).select(labels, np.log(proba), np.zeros(n))
    wrong = np.flatnonzero(proba.argmax(axis=1) != labels)
    assert set(rows) <= set(wrong)
    assert fraction * len(wrong) - 1e-6 <= len(rows) < fraction * len(wrong) + 1
    sure, left = proba.max(axis=1), np.setdiff1d(wrong, rows)
    assert (np.diff(sure[rows]) <= 0).all()
    assert len(left) == 0 or len(rows) == 0 or sure[left].max() <= sure[rows].min()


def test_the_share_ramps_as_that_of_top_loss():
    miner = ConfidentErrors(start=0.1, end=0.3)
    assert [miner.share(epoch, 3) for epoch in (1, 2, 3)] == pytest.approx([0.0, 0.2, 0.3])


def test_a_class_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"^classes: expected each class once, received \['buy', 'buy'\]$"):
        ConfidentErrors(classes=("buy", "buy"))
