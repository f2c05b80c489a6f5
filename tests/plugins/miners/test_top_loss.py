import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine_plugins.miners.top_loss import TopLoss

LABELS = np.array([0, 2, 0, 1, 0, 1, 0, 2, 0, 1], np.int8)
LOSSES = np.array([0.1, 9.0, 0.5, 0.7, 0.3, 0.9, 0.4, 8.0, 0.2, 0.6])
NO_SCORES = np.full((10, 3), np.log(1 / 3))


def select(miner, labels=LABELS, losses=LOSSES):
    return miner.select(labels, NO_SCORES, losses).tolist()


def test_the_top_of_each_class_by_hand():
    # SELL rows 0 2 4 6 8: two of five, 2 (.5) and 6 (.4). HOLD rows 3 5 9: 1.2 rounded up, 5 (.9) and 3 (.7).
    assert select(TopLoss(fraction=0.4)) == [5, 3, 2, 6]
    assert select(TopLoss(fraction=0.2)) == [5, 2]


def test_classes_are_chosen():
    assert select(TopLoss(classes=("buy",), fraction=1.0)) == [1, 7]
    assert select(TopLoss(classes=("sell", "hold", "buy"), fraction=0.01)) == [1, 5, 2]


def test_equal_losses_keep_the_order_of_rows():
    assert select(TopLoss(fraction=0.5), losses=np.ones(10)) == [0, 2, 3, 4, 5]


@given(
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 999),
)
def test_no_row_left_out_is_harder(labels, fraction, seed):
    labels = np.array([0, 1, *labels], np.int8)
    losses = np.random.default_rng(seed).exponential(size=len(labels)).round(1)
    rows = TopLoss(fraction=fraction).select(labels, np.zeros((len(labels), 3)), losses)
    assert (np.diff(losses[rows]) <= 0).all()
    assert len(set(rows)) == len(rows)
    assert 2 not in labels[rows]
    for label in (0, 1):
        kept, all_of_it = rows[labels[rows] == label], np.flatnonzero(labels == label)
        assert fraction * len(all_of_it) - 1e-6 <= len(kept) < fraction * len(all_of_it) + 1
        left = np.setdiff1d(all_of_it, kept)
        assert len(left) == 0 or losses[left].max() <= losses[kept].min()


def test_the_share_ramps_over_the_epochs():
    miner = TopLoss(start=0.0, end=0.2)
    shares = [miner.share(epoch, 5) for epoch in range(1, 6)]
    assert shares == pytest.approx([0.0, 0.05, 0.10, 0.15, 0.20])
    # Nothing is selected before epoch 1 is over, whatever the ramp begins with.
    assert [TopLoss(start=0.4, end=0.2).share(epoch, 3) for epoch in (1, 2, 3)] == pytest.approx(
        [0, 0.3, 0.2]
    )
    assert miner.share(1, 1) == 0


def test_a_class_without_rows_is_an_error():
    with pytest.raises(DataError) as caught:
        select(TopLoss(), labels=np.where(LABELS == 1, 2, LABELS))
    assert str(caught.value) == (
        "miner top_loss: none of the 10 train rows is HOLD: change its classes or labels.labeler"
    )


def test_a_class_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"^classes: expected each class once, received \['sell', 'sell'\]$"):
        TopLoss(classes=("sell", "sell"))
