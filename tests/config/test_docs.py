"""docs/configuration.md names every key with its default, and what it shows of YAML and --set is true."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from simengine.cli import app
from simengine.config import strict_yaml
from simengine.config.load import load_config, to_tree
from simengine.config.schema import Config
from simengine.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^\| `(\w+)` \| (.*(?:\n\| \| .*)*) \|$", PAGE.split("## Strict YAML")[0], re.M))


def plainly(value):
    """A default as the page writes it: components by name."""
    if isinstance(value, dict):
        return value["type"]
    if isinstance(value, list):
        return f"[{', '.join(map(plainly, value))}]"
    return "null" if value is None else str(value)


def test_every_section_is_there_in_the_order_of_the_schema():
    assert list(SECTIONS) == list(Config.model_fields)


@pytest.mark.parametrize("section", Config.model_fields)
def test_every_key_is_there_with_its_default(section):
    value, text = to_tree(Config())[section], SECTIONS[section]
    if isinstance(value, dict) and "type" not in value:
        for key, default in value.items():
            assert re.search(rf"`{key}` {re.escape(plainly(default))}(?=[,;: ]|$)", text), key
    else:
        assert text.replace("`", "").partition(";")[0] == plainly(value)


def test_limits_of_yaml_are_the_real_ones():
    assert f"{strict_yaml.MAX_BYTES:,} bytes, {strict_yaml.MAX_DEPTH} levels" in PAGE
    assert f"{strict_yaml.MAX_NODES:,} values" in PAGE


def test_the_error_is_the_real_one(tmp_path):
    (tmp_path / "config.yaml").write_text("training:\n  epochs: '3'\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "config.yaml")
    assert f"`{str(caught.value).removeprefix(f'{tmp_path}/')}`" in PAGE


@pytest.mark.parametrize(
    ("text", "value"), [("'3'", "3"), ("1_0", "1_0"), ("no", "no"), ("010", 10), ("1e-3", 0.001)]
)
def test_scalars_are_read_as_stated(text, value):
    assert f"`{text}`" in PAGE
    assert strict_yaml.parse(text, "page").value == value


def test_overrides_do_what_is_stated():
    def overridden(*sets):
        assert all(f"--set {each}" in " ".join(PAGE.split()) or f"--set '{each}'" in PAGE for each in sets)
        return to_tree(load_config(ROOT / "config.yaml", sets))

    assert overridden("model=lstm")["model"] == overridden("model.type=lstm")["model"] == "lstm"
    assert overridden("model.layers=2", "model=lstm")["model"] == {"type": "lstm", "layers": 2}
    assert overridden("inference.tta.1=zscore_window")["inference"]["tta"] == ["identity", "zscore_window"]
    loss = overridden("training.loss={type: focal, gamma: 1}")["training"]["loss"]
    assert loss == {"type": "focal", "gamma": 1}


@pytest.mark.parametrize("name", re.findall(r"^\| `([\w/]+\.yaml)` \|", PAGE.split("## Presets")[1], re.M))
def test_presets_are_there(name):
    load_config(ROOT / name)


def test_every_shipped_preset_is_named():
    assert all(f"`examples/{path.name}`" in PAGE for path in (ROOT / "examples").glob("*.yaml"))


def test_every_verb_is_there():
    table = PAGE.split("## Verbs")[1].split("\n## ")[0]
    told = dict.fromkeys(re.findall(r"^\| `(\w+)", table, re.M))
    assert set(told) == set(get_command(app.app).commands)


def test_exit_codes_are_the_real_ones():
    codes = set(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.M)))
    assert codes == {0, 1, app.EXIT_USAGE, app.EXIT_INTERNAL, app.EXIT_INTERRUPTED}
