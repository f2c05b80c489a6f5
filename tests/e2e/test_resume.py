"""A run that is killed goes on where it was, and ends in the same bytes."""

import pytest

from simengine import api, hookimpl
from simengine.rundir import sha256_file


class PowerCut:
    """A plugin that ends the run after the first epoch."""

    def __init__(self):
        self.run_dir = None

    @hookimpl
    def simengine_epoch_end(self, run_dir):
        self.run_dir = run_dir
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_bytes_of_an_uninterrupted_one(root, small, tmp_path):
    two_epochs = (*small, "training.epochs=2", "data.source.bars=3000")
    cut = PowerCut()
    with pytest.raises(KeyboardInterrupt):
        api.run(root / "config.yaml", overrides=two_epochs, out=tmp_path, plugins=[cut])
    with pytest.raises(
        api.RunError, match="this run is not finished; continue it with: simengine run --resume"
    ):
        api.backtest(cut.run_dir)

    resumed = api.run(resume=cut.run_dir)
    whole = api.run(root / "config.yaml", overrides=two_epochs, out=tmp_path)

    assert resumed.run_dir == cut.run_dir
    for name in ("model/model.npz", "predictions.parquet", "trades.csv", "metrics.json", "history.json"):
        assert sha256_file(resumed.run_dir / name) == sha256_file(whole.run_dir / name), name
