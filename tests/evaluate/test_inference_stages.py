import numpy as np
import pytest

from simengine.errors import DataError
from simengine.evaluate.inference_stages import inference_stages, stage_figures
from simengine.evaluate.logproba import log_softmax
from simengine.evaluate.scores import nll


def scores(seed, n=40):
    return log_softmax(np.random.default_rng(seed).normal(size=(n, 3)))


LABELS = np.random.default_rng(9).integers(0, 3, 40).astype(np.int8)


def test_figures_by_hand():
    given = np.log([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    figures = stage_figures(given, np.array([0, 2], np.int8))
    assert figures["nll"] == pytest.approx(-(np.log(0.5) + np.log(0.3)) / 2)
    assert figures["ece"] == pytest.approx(0.0)  # half of the rows of confidence 1/2 are right
    # SELL: one bin of 2 rows at .5, share .5. HOLD: .2 and .3 without a label. BUY: .2 without, .3 with one.
    assert figures["ace"] == pytest.approx((0.0 + 0.5 / 2 + 0.9 / 2) / 3)
    assert figures["brier"] == pytest.approx((0.38 + 0.78) / 2)
    assert figures["argmax_share"] == [1, 0, 0]


def test_every_step_stands_there_in_its_order():
    plain, other, pooled, calibrated = map(scores, range(4))
    found = inference_stages(
        LABELS,
        plain,
        np.stack([plain, other], axis=1),
        [("identity", 1.0), ("jitter", 0.5)],
        pooled=pooled,
        calibrated=calibrated,
        calibrator="temperature",
    )
    assert [(record["stage"], record["name"], record["weight"]) for record in found] == [
        ("plain", None, None),
        ("view", "identity", 1.0),
        ("view", "jitter", 0.5),
        ("mean of views", None, None),
        ("calibrated", "temperature", None),
    ]
    expected = [nll(given, LABELS) for given in (plain, plain, other, pooled, calibrated)]
    assert [record["nll"] for record in found] == expected


def test_steps_that_change_nothing_are_left_out():
    plain = scores(0)
    found = inference_stages(
        LABELS, plain, plain[:, None], [("identity", 1.0)], pooled=plain, calibrated=None, calibrator=None
    )
    assert [record["stage"] for record in found] == ["plain"]


def test_rows_without_a_label_are_refused():
    labels = LABELS.copy()
    labels[1] = -1
    with pytest.raises(DataError, match="received -1 in row 1; leave rows without a label out"):
        stage_figures(scores(0), labels)
