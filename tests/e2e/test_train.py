"""`train` stops before the backtest; its run can be traded later, and resumed as what it was."""

import pytest

from simengine import api, hookimpl
from simengine.errors import RunError, SimengineError

QUICK = (
    "data.source.symbols=1",
    "data.source.bars=4000",
    "model={type: hist_gradient_boosting, max_iter: 10}",
)


class StopAfterTraining:
    """A plugin that ends the run when its model is trained."""

    def __init__(self):
        self.run_dir = None

    @hookimpl
    def simengine_stage_end(self, stage, run_dir):
        if stage == "train":
            self.run_dir = run_dir
            raise KeyboardInterrupt


def test_train_leaves_no_trades_and_backtest_trades_later(root, tmp_path):
    trained = api.train(root / "config.yaml", overrides=QUICK, out=tmp_path)
    assert set(trained.metrics) == {"classification", "class_prior", "oracle", "inference", "prior_tilt"}
    assert not (trained.run_dir / "trades.csv").exists()
    later = api.backtest(trained.run_dir).metrics["backtest"]
    whole = api.run(root / "config.yaml", overrides=QUICK, out=tmp_path).metrics["backtest"]
    assert later["net_return"] == pytest.approx(whole["net_return"])
    with pytest.raises(RunError, match="trained without a backtest"):
        api.report(trained.run_dir)


def test_a_resumed_train_is_still_a_train(root, tmp_path, simengine):
    stop = StopAfterTraining()
    with pytest.raises(KeyboardInterrupt):
        api.train(root / "config.yaml", overrides=QUICK, out=tmp_path, plugins=[stop])
    code, out, _ = simengine("run", "--resume", stop.run_dir, "-q")
    assert code == 0
    assert out.startswith("Signals on test")
    assert out.endswith(f"run: {stop.run_dir}\n")
    assert "Backtest" not in out
    assert not (stop.run_dir / "trades.csv").exists()


def test_resume_refuses_a_plugin_file_that_changed(root, tmp_path):
    plugin = tmp_path / "mine.py"
    text = (
        "from simengine import Component, hookimpl\n"
        "class Free:\n"
        "    '''Nothing.'''\n"
        "    def schedule(self):\n"
        "        from simengine.backtest.costs import FeeSchedule\n"
        "        return FeeSchedule(((0.0, 0.0),))\n"
        "@hookimpl\n"
        "def simengine_register_fees():\n"
        "    return [Component('free', Free)]\n"
    )
    plugin.write_text(text)
    stop = StopAfterTraining()
    overrides = (*QUICK, f"plugins=['{plugin}']", "backtest.fees=free")
    with pytest.raises(KeyboardInterrupt):
        api.run(root / "config.yaml", overrides=overrides, out=tmp_path, plugins=[stop])
    plugin.write_text(text.replace("(0.0, 0.0)", "(0.0, 0.5)"))
    with pytest.raises(RunError, match=r"mine\.py changed since the run was started; start a new one"):
        api.run(resume=stop.run_dir)


def test_resume_refuses_a_config_that_changed(root, tmp_path):
    stop = StopAfterTraining()
    with pytest.raises(KeyboardInterrupt):
        api.run(root / "config.yaml", overrides=QUICK, out=tmp_path, plugins=[stop])
    resolved = stop.run_dir / "config.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("fee_bps: 10", "fee_bps: 0"))
    with pytest.raises(RunError, match=r"config\.resolved\.yaml changed since the run was started"):
        api.run(resume=stop.run_dir)


def test_bad_bars_leave_no_run_directory(root, tmp_path):
    with pytest.raises(SimengineError, match="too few bars"):
        api.run(root / "config.yaml", overrides=["data.source.bars=30"], out=tmp_path / "runs")
    assert not list((tmp_path / "runs").iterdir())


def test_a_model_without_any_opinion_runs_too(root, tmp_path, caplog):
    overrides = ("data.source.symbols=1", "data.source.bars=3000", "model=prior")
    metrics = api.run(root / "config.yaml", overrides=overrides, out=tmp_path).metrics
    assert "decision prior_matched: on validation it cannot reach the shares" in caplog.text
    assert metrics["classification"]["test"]["sign_auc"] == 0.5
