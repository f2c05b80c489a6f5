import numpy as np
import pytest

from simengine.errors import DataError
from simengine.evaluate.calibration_report import calibration_figures, calibration_report
from simengine.evaluate.logproba import floor_log_proba, log_softmax
from simengine.evaluate.scores import brier, classwise_ace, nll, top_label_ece


class Times:
    """A fitted calibrator that sharpens and leaves normalising to others."""

    def __init__(self, factor):
        self.factor = factor

    def fit(self, log_proba, labels):
        raise AssertionError("the report fits nothing")

    def transform(self, log_proba):
        return self.factor * log_proba


def rows(seed, n=300):
    rng = np.random.default_rng(seed)
    return log_softmax(rng.normal(size=(n, 3))), rng.integers(0, 3, n).astype(np.int8)


def test_figures_by_hand():
    scores = np.log([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    figures = calibration_figures(scores, np.array([0, 2], np.int8))
    assert figures["nll"] == pytest.approx(-(np.log(0.5) + np.log(0.3)) / 2)
    assert figures["ece"] == pytest.approx(0.0)  # half of the rows of confidence 1/2 are right
    # SELL: one bin of 2 rows at .5, share .5. HOLD: .2 and .3 without a label. BUY: .2 without, .3 with one.
    assert figures["ace"] == pytest.approx((0.0 + 0.5 / 2 + 0.9 / 2) / 3)
    assert figures["brier"] == pytest.approx((0.38 + 0.78) / 2)


def test_every_calibrator_stands_beside_the_figures_before_on_every_segment():
    val, test = rows(1), rows(2)
    report = calibration_report({"half": Times(0.5), "double": Times(2.0)}, val, {"test": test})
    assert list(report) == ["val_in_sample", "test"]
    for name, (scores, labels) in (("val_in_sample", val), ("test", test)):
        assert list(report[name]) == ["before", "half", "double"]
        for column, factor in (("before", 1.0), ("half", 0.5), ("double", 2.0)):
            made = floor_log_proba(log_softmax(factor * scores))
            assert report[name][column] == pytest.approx({
                "nll": nll(made, labels),
                "ece": top_label_ece(made, labels),
                "ace": classwise_ace(made, labels),
                "brier": brier(made, labels),
            })  # fmt: skip


def test_certain_and_wrong_rows_stay_finite():
    scores = np.log(np.maximum(np.eye(3)[[0, 0, 0]], 1e-300))
    report = calibration_report({"double": Times(2.0)}, (scores, np.array([1, 1, 2], np.int8)), {})
    assert report["val_in_sample"]["double"]["nll"] == pytest.approx(-np.log(1e-7), rel=1e-3)


@pytest.mark.parametrize(("calibrators", "measured", "name"), [
    ({"before": Times(1.0)}, {}, "before"), ({}, {"val_in_sample": rows(3)}, "val_in_sample"),
])  # fmt: skip
def test_names_with_a_meaning_are_refused(calibrators, measured, name):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        calibration_report(calibrators, rows(1), measured)
    message = f"calibration report: {name!r} has a meaning of its own here; use another name"
    assert str(error.value) == message


def test_rows_without_a_label_are_refused():
    scores, labels = rows(1, 3)
    labels[1] = -1
    with pytest.raises(DataError, match="received -1 in row 1; leave rows without a label out"):
        calibration_report({}, (scores, labels), {})
