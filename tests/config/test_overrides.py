import pytest

from simengine.config.load import load_config
from simengine.errors import ConfigError

BASE = {
    "training": {
        "epochs": 3,
        "loss": {"type": "focal", "gamma": {"sell": 1, "hold": 2, "buy": 3}, "alpha": 1},
    },
    "inference": {"tta": ["identity", {"type": "jitter", "scale": 0.1}]},
}


def load(*overrides):
    return load_config(BASE, overrides)


def test_values_are_yaml():
    config = load("training.epochs=5", "training.learning_rate=1e-4", "name=no", "backtest.stop_loss=0.02")
    assert config.training.epochs == 5
    assert config.training.learning_rate == 1e-4
    assert config.name == "no"
    assert config.backtest.stop_loss == 0.02
    assert load("plugins=[a.py, b]").plugins == ("a.py", "b")


def test_an_option_of_the_component_in_the_file():
    assert load("training.loss.alpha=2").training.loss.options["alpha"] == 2
    assert load("training.loss.gamma.buy=9").training.loss.options["gamma"] == {
        "sell": 1,
        "hold": 2,
        "buy": 9,
    }


def test_an_option_of_a_default_component():
    source = load("data.source.bars=100").data.source
    assert source.options == {"market": "realistic", "symbols": 2, "bars": 100}
    assert load("features.lags=3").features.options == {"lags": 3}
    assert load("model.blocks.1=mlstm").model.options["blocks"] == ["mlstm", "mlstm"]


def test_types_come_first_and_drop_other_options():
    config = load("training.loss.alpha=2", "training.loss.type=asymmetric")
    assert config.training.loss.type == "asymmetric"
    assert config.training.loss.options == {"alpha": 2}
    assert load("training.loss=cross_entropy").training.loss.options == {}


def test_the_same_type_keeps_the_options():
    assert load("training.loss.type=focal") == load()
    assert load("training.loss=focal") == load()


def test_whole_components():
    assert load("training.loss={type: focal, alpha: 3}").training.loss.options == {"alpha": 3}
    assert load("inference.calibrator=null").inference.calibrator is None
    assert load(
        "training.reweighter.type=static", "training.reweighter.sell=2"
    ).training.reweighter.options == {"sell": 2}


def test_list_items():
    assert load("inference.tta.0.type=gaussian_smooth").inference.tta[0].type == "gaussian_smooth"
    assert load("inference.tta.1.scale=0.3").inference.tta[1].options == {"scale": 0.3}
    assert [view.type for view in load("inference.tta.2=zscore_window").inference.tta] == [
        "identity",
        "jitter",
        "zscore_window",
    ]
    assert [view.type for view in load("inference.tta=[jitter]").inference.tta] == ["jitter"]


def test_a_mapping_in_place_of_a_word():
    assert load("backtest.rebalance.band=0.05").backtest.rebalance.band == 0.05


def test_the_given_mapping_is_not_changed():
    load("training.loss.gamma.buy=9", "training.epochs=1")
    assert BASE["training"]["epochs"] == 3
    assert BASE["training"]["loss"]["gamma"]["buy"] == 3


def test_errors_name_the_override(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("training:\n  epochs: 3\n  loss: {type: focal, alpha: 1}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["training.epochs=0"])
    assert str(caught.value) == "--set training.epochs=0: training.epochs: must be >= 1, received 0"
    config = load_config(path, ["training.loss.type=other"])
    assert config.locate("training.loss.type") == "--set training.loss.type=other"
    assert config.locate("training.loss") == "--set training.loss.type=other"
    assert config.locate("training.loss.alpha") == "--set training.loss.type=other"
    assert config.locate("training.epochs") == f"{path}:2"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training", "expected KEY=VALUE, for example training.epochs=5"),
        ("training..epochs=1", "expected KEY=VALUE, for example training.epochs=5"),
        ("=1", "expected KEY=VALUE, for example training.epochs=5"),
        ("inference.calibrator=", "no value; write null to switch a part off"),
        (
            "window.lenght=3",
            "in window: unknown key 'lenght' (did you mean 'length'?); known: length, train_stride",
        ),
        (
            "windo.length=3",
            "in the config: unknown key 'windo' (did you mean 'window'?); known: backtest, data, features, "
            "inference, labels, model, name, plugins, seed, split, strategy, sweep, training, window",
        ),
        ("training.reweighter.sell=2",
         "training.reweighter is null; choose a component with training.reweighter.type first"),
        ("inference.tta.3=jitter", "expected the number of a list item, 0 to 2, received '3'"),
        ("inference.tta.x=jitter", "expected the number of a list item, 0 to 2, received 'x'"),
        ("training.loss.alpha.buy=1", "training.loss.alpha is 1, which has no parts"),
    ],
)  # fmt: skip
def test_bad_overrides(override, message):
    with pytest.raises(ConfigError) as caught:
        load(override)
    assert str(caught.value) == f"--set {override}: {message}"


def test_a_value_that_is_no_yaml():
    with pytest.raises(ConfigError, match=r"^--set plugins=\[a:1: invalid YAML: "):
        load("plugins=[a")
