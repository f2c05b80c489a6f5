from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.config.load import config_hash, dump_yaml, load_config, to_tree
from simengine.config.schema import Config
from simengine.config.strict_yaml import parse
from simengine.errors import ConfigError
from simengine.types import PerClass

TRAINING = (
    "augment, balancer, batch_size, clip_norm, epochs, learning_rate, loss, miner, patience, penalties, "
    "reweighter, smoother, smote, warmup"
)
COMPONENT = "expected a component's name or a mapping with 'type'"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("config.yaml").write_text(text)
        return Path("config.yaml")

    return write


def test_a_file_and_its_folder(write, tmp_path):
    config = load_config(write("seed: 3\nplugins: [mine.py]\nbacktest: {cash: 5000}\n"))
    assert (config.seed, config.plugins, config.backtest.cash) == (3, ("mine.py",), 5000.0)
    assert config.base_dir == tmp_path
    assert config.locate("backtest.cash") == "config.yaml:3"
    assert config.locate("backtest.cash.deeper") == "config.yaml:3"
    assert config.locate("training.epochs") == "config.yaml"


def test_a_mapping():
    config = load_config(
        {"seed": 3, "plugins": ("a.py",), "data": {"source": {"type": "csv", "path": Path("x.csv")}}}
    )
    assert config.base_dir == Path.cwd()
    assert config.locate("seed") is None
    assert config.data.source.options == {"path": "x.csv"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  epochs: 0\n", "config.yaml:2: training.epochs: must be >= 1, received 0"),
        ("training:\n  epochs: '3'\n", "config.yaml:2: training.epochs: expected an integer, received '3'"),
        ("training:\n  epochs: 1.5\n", "config.yaml:2: training.epochs: expected an integer, received 1.5"),
        ("training:\n  epochs: true\n", "config.yaml:2: training.epochs: expected an integer, received true"),
        ("training: 3\n", "config.yaml:1: training: expected a mapping, received 3"),
        ("training:\n", "config.yaml:1: training: expected a mapping, received null"),
        (
            "training:\n  epochs: 1\n  los: focal\n",
            f"config.yaml:3: training: unknown key 'los' (did you mean 'loss'?); known: {TRAINING}",
        ),
        (
            "seeds: 1\n",
            "config.yaml:1: unknown key 'seeds' (did you mean 'seed'?); known: backtest, data, features, "
            "inference, labels, model, name, plugins, seed, split, strategy, sweep, training, window",
        ),
        (
            "training:\n  loss: 3\n",
            f"config.yaml:2: training.loss: {COMPONENT}, received 3",
        ),
        (
            "training:\n  loss: null\n",
            f"config.yaml:2: training.loss: {COMPONENT}, received null",
        ),
        (
            "model: {embedding: 3}\n",
            f"config.yaml:1: model: {COMPONENT}, received {{'embedding': 3}}",
        ),
        (
            "inference: {tta: identity}\n",
            "config.yaml:1: inference.tta: expected a list, received 'identity'",
        ),
        ("inference: {tta: []}\n", "config.yaml:1: inference.tta: needs at least 1 items, received []"),
        (
            "inference:\n  tta:\n  - identity\n  - 4\n",
            f"config.yaml:4: inference.tta.1: {COMPONENT}, received 4",
        ),
        (
            "split: {train: 0.9}\n",
            "config.yaml:1: split: train, val and test must sum to 1, received a sum of 1.3",
        ),
        (
            "split: {train: 0.8, val: 0.2, test: 0}\n",
            "config.yaml:1: split.test: must be > 0, received 0",
        ),
        ("window: {length: 1}\n", "config.yaml:1: window.length: must be >= 2, received 1"),
        ("backtest: {cash: -1}\n", "config.yaml:1: backtest.cash: must be > 0, received -1"),
        ("backtest: {cash: .inf}\n", "config.yaml:1: backtest.cash: expected a finite number, received inf"),
        ("backtest: {stop_loss: 1}\n", "config.yaml:1: backtest.stop_loss: must be < 1, received 1"),
        ("backtest: {take_profit: 0}\n", "config.yaml:1: backtest.take_profit: must be > 0, received 0"),
        (
            "backtest: {rebalance: on_chnge}\n",
            "config.yaml:1: backtest.rebalance: expected 'on_change' or 'every_bar' or a mapping, "
            "received 'on_chnge' (did you mean 'on_change'?)",
        ),
        (
            "backtest: {rebalance: {band: 0}}\n",
            "config.yaml:1: backtest.rebalance.band: must be > 0, received 0",
        ),
        (
            "backtest: {fill_convention: open_frst}\n",
            "config.yaml:1: backtest.fill_convention: expected 'open_first', 'stop_first_drop' or "
            "'open_first_skip_entry', received 'open_frst' (did you mean 'open_first'?)",
        ),
        (
            "backtest:\n  cash: 1\n  capital: share\n",
            "config.yaml:3: backtest.capital: expected 'sleeves' or 'shared', received 'share' "
            "(did you mean 'shared'?)",
        ),
        ("backtest: {leverage: 0}\n", "config.yaml:1: backtest.leverage: must be > 0, received 0"),
        (
            "backtest: {initial_margin: 2}\n",
            "config.yaml:1: backtest.initial_margin: must be <= 1, received 2",
        ),
        (
            "backtest:\n  leverage: 4\n  maintenance_margin: 0.5\n",
            "config.yaml:1: backtest: maintenance_margin 0.5 is above the initial margin 0.25",
        ),
        (
            "backtest: {size: 2}\n",
            "config.yaml:1: backtest: size 2 is above leverage 1; raise leverage or lower size",
        ),
        (
            "backtest: {leverage: 0.5}\n",
            "config.yaml:1: backtest: size 1 is above leverage 0.5; raise leverage or lower size",
        ),
        (
            "backtest: {size_unit: cash}\n",
            "config.yaml:1: backtest: size_unit cash needs a size, received null",
        ),
        (
            "backtest: {size: 1, size_unit: units, rebalance: {band: 0.1}}\n",
            "config.yaml:1: backtest: a band needs size_unit fraction, received units",
        ),
        ("backtest: {funding: 8h}\n", "config.yaml:1: backtest.funding: expected a mapping, received '8h'"),
        (
            "backtest:\n  funding:\n    rate: 0.0001\n    every: 8 hours\n",
            "config.yaml:4: backtest.funding.every: expected a duration like '3h', '90m', '2d' or '30s', "
            "received '8 hours'",
        ),
        ("backtest: {limit_offset: 1}\n", "config.yaml:1: backtest.limit_offset: must be < 1, received 1"),
        ("backtest: {limit_bars: 0}\n", "config.yaml:1: backtest.limit_bars: must be >= 1, received 0"),
        ("backtest: {trailing_stop: 1}\n", "config.yaml:1: backtest.trailing_stop: must be < 1, received 1"),
        (
            "backtest: {max_bars: 1.5}\n",
            "config.yaml:1: backtest.max_bars: expected an integer, received 1.5",
        ),
        ("backtest: {tick_size: -1}\n", "config.yaml:1: backtest.tick_size: must be >= 0, received -1"),
        (
            "backtest: {lot_size: a}\n",
            "config.yaml:1: backtest.lot_size: expected a number or a mapping, received 'a'",
        ),
        (
            "backtest:\n  min_notional:\n    A: 10\n    B: -1\n",
            "config.yaml:4: backtest.min_notional.B: must be >= 0, received -1",
        ),
        (
            "data: {max_gap: 3 weeks}\n",
            "config.yaml:1: data.max_gap: expected a duration like '3h', '90m', '2d' or '30s', "
            "received '3 weeks'",
        ),
        ("data: {max_gap: 3}\n", "config.yaml:1: data.max_gap: expected text, received 3"),
        ("seed: -1\n", "config.yaml:1: seed: must be >= 0, received -1"),
        ("name: ''\n", "config.yaml:1: name: must not be empty, received ''"),
        ("plugins: [3]\n", "config.yaml:1: plugins.0: expected text, received 3"),
        ("plugins: mine.py\n", "config.yaml:1: plugins: expected a list, received 'mine.py'"),
        ("- 1\n", "config.yaml:1: expected a mapping of sections, received [1]"),
        ("", "config.yaml: the file is empty; write {} for a run of all defaults"),
        ("# nothing\n", "config.yaml: the file is empty; write {} for a run of all defaults"),
    ],
)
def test_bad_content_is_one_line(write, text, message):
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert str(caught.value) == message


def test_every_problem_is_named_at_once(write):
    with pytest.raises(ConfigError) as caught:
        load_config(write("seed: -1\ntraining:\n  epochs: 0\n"))
    assert str(caught.value).split("\n") == [
        "config.yaml:1: seed: must be >= 0, received -1",
        "config.yaml:3: training.epochs: must be >= 1, received 0",
    ]


def test_files_that_cannot_be_read(write, tmp_path):
    write("seed: 1")
    with pytest.raises(ConfigError) as caught:
        load_config("confg.yaml")
    assert str(caught.value) == "confg.yaml: no such config file (did you mean 'config.yaml'?)"
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^latin.yaml: not UTF-8 text \(byte 9\); save the file as UTF-8$"):
        load_config("latin.yaml")


def test_a_byte_order_mark_is_harmless(write):
    assert load_config(write("\ufeffseed: 5\n")).seed == 5


def test_a_mapping_with_something_that_yaml_cannot_hold():
    with pytest.raises(ConfigError, match="expected text, numbers, lists or mappings, received <object"):
        load_config({"model": {"type": "xlstm", "x": object()}})


WORDS = (
    "training epochs loss type data model tta inference backtest rebalance band plugins split train max_gap "
    ": - [ ] { } , ' \" &a *a !!int null 1 -1 1e-3 .nan true 3h # | > ? << \\"
)
PIECES = st.sampled_from([*WORDS.split(), ": ", "- ", "? ", "&a ", "\t", "\n", "\n  ", "\n    "])


@given(st.lists(PIECES | st.text(max_size=2), max_size=25).map("".join))
def test_no_text_whatever_gives_more_than_a_line_each(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    reported = ""
    try:
        load_config(path)
    except ConfigError as error:
        reported = str(error)
    assert all(problem.startswith(str(path)) for problem in reported.split("\n") if reported)


OPTIONS = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda key: key not in ("type", "<<")),
    st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.none()
    | st.builds(PerClass, st.floats(0, 9), st.floats(0, 9), st.floats(0, 9))
    | st.lists(st.booleans(), max_size=3),
    max_size=4,
)


@given(st.text(min_size=1, max_size=10), st.floats(1e-12, 1e12), OPTIONS)
def test_dump_and_load_is_a_round_trip(name, cash, options):
    config = load_config({"name": name, "backtest": {"cash": cash}, "model": {"type": "x", **options}})
    text = dump_yaml(config)
    again = load_config(parse(text, "dump").value)
    assert again == config
    assert config_hash(again) == config_hash(config)
    assert dump_yaml(again) == text


def test_the_hash_is_of_the_content(write):
    config = load_config(write("seed: 3\n"))
    assert config_hash(config) == config_hash(load_config({"seed": 3}))
    assert config_hash(config) != config_hash(load_config({"seed": 4}))
    assert config == load_config({"seed": 3})
    assert len(config_hash(config)) == 64


def test_the_default_tree_is_accepted_as_it_is():
    assert load_config(to_tree(Config())) == Config()
