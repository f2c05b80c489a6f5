import numpy as np
import pytest

from simengine.data.synthetic import Synthetic
from simengine.errors import PluginError
from simengine.train.samples import sample_table


class Between:
    """One row between the first two SELL windows."""

    def __init__(self, mix=0.25):
        self.mix = mix

    def synthesize(self, task):
        self.task = task
        first, second = np.flatnonzero(task.train.labels == 0)[:2]
        return Synthetic(np.array([first]), np.array([second]), np.array([self.mix], np.float32), {"made": 1})


def test_without_smote_the_table_is_the_windows(windows, context):
    train = windows(20)
    table = sample_table(train, context())
    assert not table.mixed
    np.testing.assert_array_equal(table.first, np.arange(20))
    np.testing.assert_array_equal(table.labels, train.labels)
    assert not table.mix.any()


def test_synthetic_rows_stand_behind_the_windows(windows, context, tmp_path):
    train, smote = windows(40), Between()
    table = sample_table(train, context(smote=smote, checkpoint=tmp_path))
    a, b = np.flatnonzero(train.labels == 0)[:2]
    assert table.mixed
    assert len(table) == 41
    assert (table.first[40], table.second[40], table.mix[40], table.labels[40]) == (a, b, 0.25, 0)
    ends, partners = table.ends(np.array([3, 40]))
    assert ends.tolist() == train.ends[[3, a]].tolist()
    assert partners.tolist() == train.ends[[3, b]].tolist()
    assert smote.task.scratch == tmp_path / "smote"


def pair(first, second, mix=0.5):
    return Synthetic(np.array([first]), np.array([second]), np.array([mix], np.float32), {})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (pair(0, 1), r"^smote Bad: pair 0 joins two classes \(1 such pairs\)$"),
        (pair(0, 9), r"^smote Bad: second must hold ids of train rows, 0 to 2$"),
        (pair(0.5, 2), r"^smote Bad: first must hold ids of train rows, 0 to 2$"),
        (pair(0, 2, 1.5), r"^smote Bad: mix must lie in \[0, 1\]$"),
        (
            Synthetic(np.array([0, 2]), np.array([2]), np.zeros(1, np.float32), {}),
            r"^smote Bad: first, second and mix must be of one length, received 2, 1 and 1$",
        ),
    ],
)
def test_rows_that_cannot_be_are_refused(made, message):
    with pytest.raises(PluginError, match=message):
        made.check(np.array([0, 1, 0], np.int8), "Bad")
