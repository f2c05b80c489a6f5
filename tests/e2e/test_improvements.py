"""One line of YAML switches each improvement on, and the run directory shows what it did."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simengine import api, hookimpl
from simengine.log import NoProgress
from simengine.plugin.state import read_state

BASE = """\
name: tiny
seed: 3
data:
  source: {type: oracle_market, market: easy, symbols: 1, bars: 2600}
labels:
  labeler: {type: volatility_quantile, horizon_bars: 4, sell: 0.283, buy: 0.378}
  optimizer: null
split: {train: 0.7, val: 0.2, test: 0.1}
window: {length: 20, train_stride: 1}
model: {type: lstm, units: 8, dropout: 0.0}
training:
  epochs: 2
  batch_size: 64
  learning_rate: 0.01
  balancer: natural
  reweighter: null
  loss: cross_entropy
  smoother: null
  miner: null
  penalties: []
  augment: []
  smote: null
inference:
  tta: [identity]
  calibrator: null
  decision: argmax
"""
TREES = {"model": "{type: hist_gradient_boosting, lags: 2, max_iter: 40}"}
RAW, MADE = (["raw_sell", "raw_hold", "raw_buy"], ["p_sell", "p_hold", "p_buy"])


def yaml_with(changes):
    """Return the base file with the lines of some keys changed."""
    lines = BASE.splitlines()
    for key, value in changes.items():
        (place,) = (n for n, line in enumerate(lines) if line.split(":")[0].strip() == key)
        indent = lines[place][: -len(lines[place].lstrip())]
        lines[place] = f"{indent}{key}: {value}"
    return "\n".join(lines) + "\n"


class Run:
    """A run of a config file, read from its directory alone."""

    def __init__(self, folder, changes, **options):
        config = folder / "config.yaml"
        config.write_text(yaml_with(changes))
        self.dir = api.train(config, out=folder, **options).run_dir

    def read(self, name):
        return json.loads((self.dir / name).read_text())

    @property
    def history(self):
        return self.read("history.json")

    def log(self, name=None):
        lines = map(json.loads, (self.dir / "log.jsonl").read_text().splitlines())
        return [line for line in lines if name is None or line.get("event") == name]

    @property
    def tilt(self):
        (line,) = self.log("prior_tilt")
        assert line["by_part"] == self.read("metrics.json")["prior_tilt"]["by_part"]
        return line["by_part"]

    def stages(self, segment="test"):
        """What each step of inference did, by its name."""
        stages = self.read("metrics.json")["inference"][segment]
        assert all({"nll", "ece", "ace", "brier", "argmax_share"} <= set(stage) for stage in stages)
        return {stage["name"] or stage["stage"]: stage for stage in stages}

    def table(self, segment="val"):
        table = pd.read_parquet(self.dir / "predictions.parquet")
        return table[table["segment"] == segment]

    def raw(self, segment="val"):
        return self.table(segment)[RAW].to_numpy()

    def made(self, segment="val"):
        return self.table(segment)[MADE].to_numpy()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The network with everything off."""
    return Run(tmp_path_factory.mktemp("base"), {})


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Boosted trees with everything off."""
    return Run(tmp_path_factory.mktemp("trees"), TREES)


@pytest.fixture
def run(tmp_path):
    """Return a function of changed lines to a run."""
    return lambda **changes: Run(tmp_path, changes)


def test_class_quota(tmp_path, base):
    class Steps(NoProgress):
        def start(self, label, total):
            self.total = total

    steps = Steps()
    quotas = "{type: class_quota, by_symbol: true, quotas: {sell: 0.7, hold: 0.15, buy: 0.15}}"
    made = Run(tmp_path, {"balancer": quotas}, progress=steps)
    manifest = made.read("manifest.json")
    assert steps.total == 2 * (manifest["windows"]["ORACLE1"]["train"] // 64)  # an epoch stays n / batch
    tilt = np.log(np.array([0.7, 0.15, 0.15]) / manifest["train_share"])
    assert made.tilt["training.balancer"] == pytest.approx(tilt)
    assert base.tilt == {}
    assert made.raw().mean(axis=0)[0] > base.raw().mean(axis=0)[0] + 0.2


def test_prediction_aware(run, base):
    made = run(reweighter="prediction_aware", epochs="3")
    lines = made.log("reweighted")
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert sum(line["share"].values()) == pytest.approx(1)
        assert set(line["error"]) == set(line["target"]) == {"sell", "hold", "buy"}
    weights = [epoch["class_weights"] for epoch in made.history]
    assert weights[0] == pytest.approx([1, 1, 1])
    assert weights[1:] == [list(line["weights"].values()) for line in lines[:-1]]
    assert weights[1] != pytest.approx([1, 1, 1], abs=1e-4)
    assert base.log("reweighted") == []


def test_asymmetric_focal(run, base):
    made = run(loss="{type: asymmetric_focal, warmup_epochs: 1, alpha: {sell: 1, hold: 1, buy: 1}}")
    before, after = made.history
    for name in ("train_loss", "val_nll"):
        assert before[name] == pytest.approx(base.history[0][name], rel=1e-5)  # cross-entropy still
    assert after["train_loss"] < 0.6 * base.history[1]["train_loss"]
    assert made.tilt == {"training.loss": [0.0, 0.0, 0.0]}


def test_class_conditional(run, base):
    made = run(smoother="{type: class_conditional, smoothing: {sell: 0.0, hold: 0.0, buy: 0.4}}")
    assert made.tilt["training.smoother"][2] == pytest.approx(np.log(0.6))
    assert made.raw().mean(axis=0)[2] < base.raw().mean(axis=0)[2] - 0.05


@pytest.mark.parametrize(
    ("miner", "classes"), [("top_loss", (0, 1)), ("{type: confident_errors, classes: [buy], end: 0.5}", (2,))]
)
def test_miners(run, base, miner, classes):
    made = run(miner=miner)
    (line,) = made.log("mined")
    rows = list(line["rows"].values())
    assert line["epoch"] == 1
    assert [label for label in range(3) if rows[label]] == list(classes)
    if miner == "top_loss":
        manifest = made.read("manifest.json")
        counts = np.array(manifest["train_share"]) * manifest["windows"]["ORACLE1"]["train"]
        assert rows[:2] == np.ceil(np.round(0.2 * counts[:2], 6)).tolist()
    # Nothing is mixed in before the first selection.
    assert made.history[0] == base.history[0]
    assert made.history[1]["train_loss"] > base.history[1]["train_loss"] + 0.03
    assert base.log("mined") == []


@pytest.mark.parametrize(
    ("optimizer", "tried"),
    [("grid", 5 * 9 * 9), ("{type: bayesian, n_trials: 12, space: {horizon_bars: [4]}}", 12)],
)
def test_threshold_optimizers(run, trees, optimizer, tried):
    made = run(**TREES, optimizer=optimizer)
    search = made.read("thresholds.json")["search"]
    assert {len(column) for column in search["table"].values()} == {tried}
    assert search["configured"] == {"sell": 0.283, "buy": 0.378, "horizon_bars": 4}
    assert search["objective"] > 1.09  # nats; the configured shares reach 1.07
    share = made.read("manifest.json")["train_share"]
    assert share == pytest.approx(list(search["shares"].values()), abs=0.03)
    assert "search" not in trees.read("thresholds.json")
    assert made.table()["label"].value_counts().to_dict() != trees.table()["label"].value_counts().to_dict()


def test_threshold_optimizer_that_looks_at_skill_and_pnl(run):
    optimizer = "{type: grid, skill_weight: 1.0, pnl_weight: 1.0, finalists: 3, space: {horizon_bars: [8]}}"
    search = run(**TREES, optimizer=optimizer).read("thresholds.json")["search"]
    for name in ("skill", "net_return"):
        assert sum(value is not None for value in search["table"][name]) == 3


def test_raised_label_thresholds(run):
    labeler = "{{type: adaptive_threshold, multiplier: {}, adaptive_min: 0.0005}}"
    low, high = (run(**TREES, labeler=labeler.format(by)) for by in (0.3, 0.8))
    holds = [made.read("manifest.json")["train_share"][1] for made in (low, high)]
    assert holds[0] + 0.2 < holds[1]


@pytest.mark.parametrize(
    "penalty", ["{type: confidence, weight: 2.0}", "{type: share_kl, weight: 5.0, target: [0.8, 0.1, 0.1]}"]
)
def test_penalties(run, base, penalty):
    made = run(penalties=f"[{penalty}]")
    entropy = [-(found.raw() * np.log(found.raw())).sum(axis=1).mean() for found in (base, made)]
    if "confidence" in penalty:
        assert made.history[0]["train_loss"] < base.history[0]["train_loss"] - 0.5
        assert entropy[1] > entropy[0] + 0.03
    else:
        assert made.raw().mean(axis=0)[0] > base.raw().mean(axis=0)[0] + 0.2


def test_views_are_averaged_before_the_temperature(run, trees):
    views = ("zscore_window", "gaussian_smooth", "{type: jitter, scale: 0.5}")
    alone = [run(**TREES, tta=f"[{view}]") for view in views]
    mixed = run(
        **TREES, calibrator="temperature",
        tta="[identity, zscore_window, {type: gaussian_smooth, weight: 2.0}, {type: jitter, scale: 0.5}]",
    )  # fmt: skip
    temperature = mixed.read("calibration.json")["state"]["temperature_"]
    for segment in ("val", "test"):
        raw = trees.raw(segment)
        np.testing.assert_allclose(trees.made(segment), raw, atol=1e-12)
        for made in alone:
            np.testing.assert_array_equal(made.raw(segment), raw)
            assert np.abs(made.made(segment) - raw).max() > 0.01
        pooled = np.average([raw, *(made.made(segment) for made in alone)], axis=0, weights=[1, 1, 2, 1])
        sharpened = pooled ** (1 / temperature)
        expected = sharpened / sharpened.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(mixed.made(segment), expected, rtol=1e-6)
    assert list(mixed.stages()) == [
        *("plain", "identity", "zscore_window", "gaussian_smooth", "jitter", "mean of views", "temperature")
    ]
    assert mixed.stages()["jitter"]["nll"] == pytest.approx(alone[2].stages()["jitter"]["nll"])
    assert list(trees.stages()) == ["plain"]


@pytest.mark.parametrize(
    ("calibrator", "fitted"),
    [("temperature", "temperature_"), ("{type: temperature, objective: ace}", "temperature_"),
     ("vector", "scale_"), ("bias_corrected_temperature", "bias_"), ("isotonic", "inputs_"),
     ("dirichlet", "weights_")],
)  # fmt: skip
def test_calibrators(run, trees, calibrator, fitted):
    made = run(**TREES, calibrator=calibrator)
    assert fitted in made.read("calibration.json")["state"]
    assert not (trees.dir / "calibration.json").exists()
    for segment in ("val", "test"):
        np.testing.assert_array_equal(made.raw(segment), trees.raw(segment))
        assert np.abs(made.made(segment) - made.raw(segment)).max() > 1e-4
    before, after = made.stages("val").values()
    assert before == trees.stages("val")["plain"]
    assert after["name"] in calibrator
    if "objective: ace" in calibrator:
        assert after["ace"] <= before["ace"]
    else:
        assert after["nll"] <= before["nll"]


@pytest.fixture(scope="module")
def smoted(tmp_path_factory):
    """The network with synthetic rows."""
    return Run(tmp_path_factory.mktemp("smoted"), {"smote": "chunked_smote"})


def check_smote(made):
    (line,) = made.log("smote")
    rows, added = (np.array(list(line[name].values())) for name in ("rows", "made"))
    assert rows.sum() == made.read("manifest.json")["windows"]["ORACLE1"]["train"]
    assert (rows + added).tolist() == [rows.max()] * 3
    assert line["message"] == f"{added.sum()} synthetic rows beside {rows.sum():,}"
    assert 0 < line["memory_peak_mb"] <= line["memory_estimate_mb"] <= 512
    share = np.array(made.read("manifest.json")["train_share"])
    np.testing.assert_allclose(made.tilt["training.smote"], np.log(1 / 3 / share))
    return line


def test_chunked_smote(smoted, base):
    assert "border" not in check_smote(smoted)
    assert smoted.history != base.history
    assert base.log("smote") == []


def test_smote_of_a_killed_run_is_not_made_again(smoted, tmp_path):
    class PowerCut:
        @hookimpl
        def simengine_epoch_end(self, run_dir):
            self.run_dir = run_dir
            raise KeyboardInterrupt

    cut = PowerCut()
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, {"smote": "chunked_smote"}, plugins=[cut])
    api.run(resume=cut.run_dir)
    log = (Path(cut.run_dir) / "log.jsonl").read_text()
    assert "smote chunked_smote: its rows are made already" in log
    for name in ("history.json", "metrics.json", "predictions.parquet"):
        assert (Path(cut.run_dir) / name).read_bytes() == (smoted.dir / name).read_bytes()


def test_smote_for_a_model_that_needs_arrays(run, trees):
    made = run(**TREES, smote="borderline")
    assert set(check_smote(made)["border"]) == {"sell", "hold"}
    assert np.abs(made.raw() - trees.raw()).max() > 0.01


@pytest.mark.parametrize(
    ("key", "value"),
    [("augment", "[{type: noise, scale: 20.0}]"), ("augment", "[{type: time_shift, max_bars: 19}]"),
     ("augment", "[{type: time_mask, spans: 4, max_bars: 20}]"),
     ("model", "{type: lstm, units: 8, dropout: 0.9}")],
)  # fmt: skip
def test_what_makes_training_harder(run, base, key, value):
    made = run(**{key: value})
    assert made.history[1]["train_loss"] > base.history[1]["train_loss"] + 0.02


def test_head_bias_starts_from_the_class_shares(run):
    made = run(model="{type: lstm, units: 8, head_bias: class_prior}", epochs="1", learning_rate="1e-9")
    share = made.read("manifest.json")["train_share"]
    bias = read_state(made.dir / "model" / "model.json")["weights"]["logits/bias"]
    np.testing.assert_allclose(bias, np.log(share), atol=1e-5)


def test_decisions(run, trees):
    label = trees.table()["label"].to_numpy()
    flips = {}
    for name in ("prior_matched", "hysteresis", "logit_adjusted", "cost_aware"):
        made = run(**TREES, decision=name)
        state, signal = read_state(made.dir / "decision.json"), made.table()["signal"].to_numpy()
        assert (signal != trees.table()["signal"]).any(), name
        flips[name] = np.count_nonzero(np.diff(signal))
        if name == "prior_matched":
            np.testing.assert_allclose(np.bincount(signal), np.bincount(label), atol=1)
        if name == "logit_adjusted":
            share = made.read("manifest.json")["train_share"]
            np.testing.assert_allclose(state["offsets_"], -np.log(share))
        if name == "cost_aware":
            assert state["overfitting_"]["trials"] == 36
            assert (made.log(name)[0]["message"]).endswith(state["verdict_"])
    assert flips["hysteresis"] <= 0.5 * flips["prior_matched"]


def test_static_weights_the_collapse_watch_and_the_total_tilt(run, base):
    made = run(reweighter="{type: static, weights: {sell: 0.1, hold: 0.1, buy: 5.0}}")
    assert [epoch["class_weights"] for epoch in made.history] == [[0.1, 0.1, 5.0]] * 2
    assert made.tilt["training.reweighter"] == pytest.approx(np.log([0.1, 0.1, 5.0]))
    warnings = [line["message"] for line in made.log() if line["level"] == "warning"]
    assert warnings[0].startswith(
        "prior tilt: training.reweighter leans from SELL to BUY by a factor of 50.00"
    )
    assert warnings[1].startswith("epoch 1: ")
    assert "collapse: BUY is said for 100% of the validation rows" in warnings[1]
    assert all(epoch["collapse"] in ("model", "decision") for epoch in made.history)
    assert [epoch["collapse"] for epoch in base.history] == [None, None]


def test_all_ten_at_once(run):
    made = run(
        optimizer="grid", balancer="class_quota", reweighter="prediction_aware", loss="asymmetric_focal",
        smoother="class_conditional", miner="top_loss", penalties="[confidence]", smote="chunked_smote",
        tta="[identity, zscore_window, gaussian_smooth, jitter]", calibrator="temperature",
    )  # fmt: skip
    events = [line.get("event") for line in made.log()]
    assert {"labels_optimised", "smote", "mined", "reweighted"} <= set(events)
    parts = {f"training.{part}" for part in ("smote", "balancer", "reweighter", "loss", "smoother")}
    assert parts <= set(made.tilt)
    assert "temperature_" in made.read("calibration.json")["state"]
    assert np.abs(made.made() - made.raw()).max() > 1e-3
