"""The model of a finished run, loaded and streamed as docs/streaming.md says."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simengine import api
from simengine.errors import ConfigError, DataError, RunError

DOC = Path(__file__).parents[2] / "docs" / "streaming.md"
PROBABILITIES = ["p_sell", "p_hold", "p_buy"]


@pytest.fixture(scope="module")
def trained(small_run):
    return api.load_model(small_run.run_dir)


@pytest.fixture(scope="module")
def kept(small_run):
    """The test predictions that the run wrote for one symbol."""
    table = pd.read_parquet(small_run.run_dir / "predictions.parquet")
    return table[(table["segment"] == "test") & (table["symbol"] == "ORACLE1")]


def test_the_example_of_the_docs_gives_the_signal_of_the_run(small_run, kept):
    (section,) = re.findall(r"## From a finished run\n(.*?)\n## ", DOC.read_text(), re.DOTALL)
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names = {"run": small_run.run_dir}
    exec(compile(block, str(DOC), "exec"), names)
    last = kept.iloc[-1]
    assert names["signal"].tolist() == [last["signal"]]
    np.testing.assert_allclose(names["proba"][0], last[PROBABILITIES].astype(float), atol=1e-5)


def test_a_stream_over_all_bars_gives_the_predictions_of_the_run(trained, kept):
    rows = trained.inputs(trained.source.load()["ORACLE1"])
    assert np.isnan(rows[: trained.warmup]).any()
    live = trained.model.stream()
    logits = live.run(rows[trained.warmup :])
    proba, signals = trained.decide(logits[live.length - 1 :])
    np.testing.assert_allclose(proba[-len(kept) :], kept[PROBABILITIES], atol=1e-5)
    # A rounding error may turn a tie; none of these 800 rows is one.
    np.testing.assert_array_equal(signals[-len(kept) :], kept["signal"])


def test_the_built_in_features_need_no_more_than_their_warmup(trained):
    bars = trained.source.load()["ORACLE1"]
    few = bars.slice(len(bars) - trained.warmup - 1, len(bars))
    np.testing.assert_array_equal(trained.inputs(few)[-1], trained.inputs(bars)[-1])


def test_what_cannot_be_decided_is_refused(trained):
    logits = trained.model.stream().run(np.zeros((2, 25), np.float32))
    with pytest.raises(DataError) as error:
        trained.decide(logits)
    assert str(error.value) == (
        "logits of row 0 are [nan, nan, nan]; leave out the rows before the stream is ready"
    )
    with pytest.raises(DataError, match=r"^logits must have shape \(n, 3\); received \(3,\)$"):
        trained.decide(np.zeros(3))

    class Mirrored:
        weight = 1.0

    with pytest.raises(ConfigError) as refused:
        replace(trained, views=(*trained.views, Mirrored())).decide(np.zeros((1, 3)))
    assert str(refused.value) == (
        "inference.tta: this run averages the views Identity, Mirrored of each window, which one row of "
        "logits cannot stand for; train with [identity], or score windows with simengine.predict.score"
    )


def test_a_decision_on_series_needs_the_bars_before(trained):
    from simengine_plugins.decisions.hysteresis import Hysteresis

    rule = Hysteresis(enter=0.1, exit=-0.1)
    rule.offsets_, rule.enter_, rule.exit_ = np.zeros(3), 0.1, -0.1
    model = replace(trained, calibrator=None, decision=rule)
    logits = np.array([[0.0, 0, 2], [0, 0.05, 0], [0, 1, 0]])
    assert model.decide(logits, series=True)[1].tolist() == [2, 2, 1]
    np.testing.assert_array_equal(model.decide(logits, series=True)[0], trained_proba(model, logits))
    with pytest.raises(ConfigError) as refused:
        model.decide(logits[-1:])
    assert str(refused.value) == (
        "inference.decision: Hysteresis depends on the bars before; give the logits of all bars of the "
        "symbol so far, in the order of time, with series=True, and take the last signal"
    )
    plain = trained.decide(logits)[1]
    np.testing.assert_array_equal(trained.decide(logits, series=True)[1], plain)


def trained_proba(model, logits):
    """Probabilities of the same logits under a decision of single rows."""
    from simengine_plugins.decisions.argmax import Argmax

    return replace(model, decision=Argmax()).decide(logits)[0]


def test_bars_that_no_market_can_have_are_refused(trained):
    bars = trained.source.load()["ORACLE1"]
    with pytest.raises(DataError, match="high"):
        trained.inputs(replace(bars, high=bars.low, low=bars.high))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError):
        api.load_model(tmp_path)
