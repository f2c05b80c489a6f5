"""What a config selects and the chosen model would ignore is refused before anything is trained."""

import pytest

from simengine.errors import ConfigError
from simengine.plugin.manager import build_registry
from simengine.steps.parts import build_parts

REGISTRY = build_registry(discover=False)


def built(make_config, model, **sections):
    return build_parts(make_config(model=model, **sections), REGISTRY)


def test_a_training_part_that_the_model_does_not_use_is_refused(make_config):
    with pytest.raises(ConfigError) as error:
        built(make_config, "prior", training={"loss": "focal"})
    assert str(error.value) == (
        "training.loss: model 'prior' does not use a loss, received 'focal'; set it to cross_entropy or "
        "choose another model"
    )


def test_a_stateful_model_refuses_a_balancer_and_views_of_windows(make_config):
    stateful = {"type": "xlstm", "embedding": 8, "heads": 2, "stateful": True}
    parts = built(make_config, stateful, inference={"tta": ["identity"]}, training={"loss": "focal"})
    assert parts.model.uses == {"reweighter", "loss", "smoother", "penalties", "optimizer"}
    with pytest.raises(ConfigError) as error:
        built(make_config, stateful, training={"balancer": "class_quota"})
    assert str(error.value).startswith(
        "training.balancer: model 'xlstm' does not use a balancer, received 'class_quota'; set it to natural"
    )
    with pytest.raises(ConfigError) as error:
        built(make_config, stateful, inference={"tta": ["identity", "jitter"]})
    assert str(error.value) == (
        "inference.tta: 'jitter' changes single windows, which the stateful model 'xlstm' does not see; "
        "set it to [identity]"
    )
    assert built(make_config, {**stateful, "stateful": False}, inference={"tta": ["jitter"]}).tta
