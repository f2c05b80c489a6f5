"""The collapse to BUY that simengine exists for, and its cure by the decision rule."""

import pytest

from simengine import api

SMALLER = ("data.source.bars=10000", "training.epochs=1", "training.learning_rate=0.002")


@pytest.mark.slow
def test_collapsed_yaml_says_buy_and_the_decision_rule_cures_it(root, tmp_path):
    collapsed = api.run(root / "examples" / "collapsed.yaml", overrides=SMALLER, out=tmp_path)
    test = collapsed.metrics["classification"]["test"]
    assert test["raw_argmax_share"][2] > 0.80
    assert test["decided_share"] == test["argmax_share"] == test["raw_argmax_share"]

    cure = ("inference.calibrator=vector", "inference.decision=prior_matched")
    cured = api.run(root / "examples" / "collapsed.yaml", overrides=(*SMALLER, *cure), out=tmp_path)
    test = cured.metrics["classification"]["test"]
    assert test["raw_argmax_share"][2] > 0.80
    assert test["decided_share"] == pytest.approx(test["label_share"], abs=0.05)
    assert test["nll"] < test["raw_nll"]
