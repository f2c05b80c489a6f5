"""A model trains with what the config says, and beside a checkpoint that a resumed run finds."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.log import NoProgress
from simengine.plugin.manager import build_registry
from simengine.steps.learn import learn
from simengine.steps.session import Session


class Interrupted:
    """A model that leaves a checkpoint and stops; in the next attempt it must find it."""

    def fit(self, train, val, context):
        self.context, self.found = context, context.checkpoint.is_dir()
        if not self.found:
            context.checkpoint.mkdir()
            raise KeyboardInterrupt
        return []

    def get_state(self):
        return {"weights": np.ones(2)}


def test_a_resumed_training_finds_its_checkpoint_and_leaves_none(make_config, parts, prepared, run_dir):
    config = make_config(seed=11, training={"epochs": 5, "patience": 2, "clip_norm": 0.5})
    parts = replace(parts, model=Interrupted())
    session = Session(build_registry(discover=False), run_dir)
    with pytest.raises(KeyboardInterrupt):
        learn(config, parts, prepared, session, NoProgress())
    assert parts.model.context.checkpoint.parent == run_dir.path
    learn(config, parts, prepared, session, NoProgress())
    assert parts.model.found
    assert not parts.model.context.checkpoint.exists()
    given = parts.model.context
    assert (given.seed, given.epochs, given.patience, given.clip_norm) == (11, 5, 2, 0.5)
