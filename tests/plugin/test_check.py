import pytest

from simengine.config.load import config_hash, dump_yaml, load_config
from simengine.config.strict_yaml import parse
from simengine.errors import ConfigError
from simengine.plugin.check import check_config


@pytest.fixture
def check(simengine_registry, tmp_path, monkeypatch):
    """Check the text of a config file, called c.yaml in errors."""
    monkeypatch.chdir(tmp_path)

    def check(text, *overrides):
        (tmp_path / "c.yaml").write_text(text)
        return check_config(load_config("c.yaml", overrides), simengine_registry)

    return check


def test_the_default_config_is_valid_and_every_default_is_filled_in(simengine_registry):
    config = load_config({})
    resolved = check_config(config, simengine_registry)
    assert resolved.model.options.items() >= config.model.options.items()
    assert config.inference.tta[0].options == {}
    assert resolved.inference.tta[0].options == {"weight": 1.0}
    assert resolved.split == config.split


def test_checking_twice_changes_nothing(check, simengine_registry):
    resolved = check("training: {reweighter: {type: static, weights: [1, 2, 3]}}")
    assert resolved.training.reweighter.options["weights"] == {"sell": 1.0, "hold": 2.0, "buy": 3.0}
    assert check_config(resolved, simengine_registry) == resolved
    again = load_config(parse(dump_yaml(resolved), "dump").value)
    assert check_config(again, simengine_registry) == resolved
    assert config_hash(again) == config_hash(resolved)


def test_a_misspelled_component(check):
    with pytest.raises(ConfigError) as caught:
        check("training:\n  loss: focl\n")
    assert str(caught.value) == (
        "c.yaml:2: training.loss: unknown loss 'focl' (did you mean 'focal'?); "
        "known: asymmetric_focal, cross_entropy, focal, logit_adjusted"
    )


def test_every_problem_is_named_with_its_line(check):
    with pytest.raises(ConfigError) as caught:
        check(
            "training:\n  loss: {type: focal,\n    gama: 2}\ninference:\n  tta:\n  - identity\n"
            "  - type: jitter\n    scale: x\n",
            "strategy=follow_sgnal",
        )
    lines = str(caught.value).split("\n")
    assert lines[0].startswith(
        "c.yaml:3: training.loss: unknown option 'gama' (did you mean 'gamma'?); known: "
    )
    assert lines[1] == "c.yaml:8: inference.tta.1.scale: expected a number, received 'x'"
    assert lines[2].startswith(
        "--set strategy=follow_sgnal: strategy: unknown strategy 'follow_sgnal' (did you"
    )
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "labels: {optimizer: grd}",
            "labels.optimizer: unknown threshold_optimizer 'grd' (did you mean 'grid'?); known: "
            "bayesian, grid",
        ),
    ],
)
def test_kinds_without_components(check, text, message):
    with pytest.raises(ConfigError) as caught:
        check(text)
    assert str(caught.value) == f"c.yaml:1: {message}"


def test_costs_and_calibrator_can_be_switched_off(check):
    config = check("backtest: {fees: null, slippage: null}\ninference: {calibrator: null}\n")
    assert (config.backtest.fees, config.backtest.slippage, config.inference.calibrator) == (None, None, None)


def test_where_things_were_written_is_kept(check, tmp_path):
    config = check("seed: 3\n")
    assert config.locate("seed") == "c.yaml:1"
    assert config.base_dir == tmp_path
