import re

import pytest

from simengine import Component, PerClass
from simengine.config.load import load_config, to_tree
from simengine.config.schema import Config
from simengine.plugin.check import check_config
from simengine.plugin.schema import component_json_schema, config_json_schema

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def valid(value, schema, root):
    """Judge ``value`` by the JSON-schema keywords that the config schema uses; unknown ones fail."""
    checks = {
        "$ref": lambda ref: valid(value, root["$defs"][ref.removeprefix("#/$defs/")], root),
        "type": lambda name: (
            isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        ),
        "enum": lambda known: value in known,
        "const": lambda known: value == known,
        "not": lambda inner: not valid(value, inner, root),
        "oneOf": lambda parts: sum(valid(value, part, root) for part in parts) == 1,
        "anyOf": lambda parts: any(valid(value, part, root) for part in parts),
        "properties": lambda parts: (
            not isinstance(value, dict)
            or all(valid(value[key], part, root) for key, part in parts.items() if key in value)
        ),
        "required": lambda names: not isinstance(value, dict) or set(names) <= set(value),
        "additionalProperties": lambda allowed: _extra(value, schema, allowed, root),
        "items": lambda part: not isinstance(value, list) or all(valid(item, part, root) for item in value),
        "minItems": lambda least: not isinstance(value, list) or len(value) >= least,
        "maxItems": lambda most: not isinstance(value, list) or len(value) <= most,
        "prefixItems": lambda parts: (
            not isinstance(value, list)
            or all(valid(item, part, root) for item, part in zip(value, parts, strict=False))
        ),
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "pattern": lambda text: not isinstance(value, str) or re.search(text, value),
        "minimum": lambda bound: not isinstance(value, int | float) or value >= bound,
        "maximum": lambda bound: not isinstance(value, int | float) or value <= bound,
        "exclusiveMinimum": lambda bound: not isinstance(value, int | float) or value > bound,
        "exclusiveMaximum": lambda bound: not isinstance(value, int | float) or value < bound,
    }
    ignored = {"$schema", "$defs", "title", "description", "default"}
    return all(checks[key](found) for key, found in schema.items() if key not in ignored)


def _extra(value, schema, allowed, root):
    extra = set(value) - set(schema.get("properties", ())) if isinstance(value, dict) else set()
    return not extra if allowed is False else all(valid(value[key], allowed, root) for key in extra)


@pytest.fixture
def accepts(simengine_registry):
    schema = config_json_schema(simengine_registry)
    return lambda value: valid(value, schema, schema)


def test_the_default_and_its_resolved_form_are_valid(accepts, simengine_registry):
    assert accepts(to_tree(Config()))
    assert accepts(to_tree(check_config(load_config({}), simengine_registry)))
    assert accepts({})


@pytest.mark.parametrize(
    "config",
    [
        {"training": {"loss": "focal"}},
        {"training": {"loss": {"type": "focal"}}},
        {"training": {"loss": {"type": "asymmetric_focal", "gamma": [1, 1, 2], "warmup_epochs": 2}}},
        {"training": {"smoother": "class_conditional", "miner": {"type": "top_loss", "classes": ["buy"]}}},
        {"training": {"penalties": ["confidence", {"type": "share_kl", "weight": 1}], "augment": ["noise"]}},
        {
            "training": {
                "balancer": {"type": "class_quota", "by_symbol": True},
                "reweighter": "prediction_aware",
            }
        },
        {"training": {"reweighter": {"type": "static", "weights": [1, 2, 3]}}},
        {"training": {"reweighter": {"type": "static", "weights": {"sell": 1, "hold": 2, "buy": 3}}}},
        {"inference": {"calibrator": None, "tta": ["identity", {"type": "jitter"}]}},
        {"backtest": {"rebalance": {"band": 0.1}, "fees": None}},
        {"backtest": {"lot_size": {"A": 1}, "tick_size": 0.5, "funding": {"rate": 0.0001, "every": "8h"}}},
        {"plugins": ["mine.py"], "data": {"source": {"type": "csv", "path": "x.csv"}}},
    ],
)
def test_valid_configs(accepts, config, simengine_registry):
    assert accepts(config)
    check_config(load_config(config), simengine_registry)


@pytest.mark.parametrize(
    "config",
    [
        {"trainin": {}},
        {"training": {"loss": "focl"}},
        {"training": {"loss": None}},
        {"training": {"loss": {"type": "focal", "gama": 1}}},
        {"training": {"reweighter": {"type": "static", "weights": [1, 2]}}},
        {"training": {"reweighter": {"type": "static", "weights": {"sell": 1}}}},
        {"training": {"smoother": "unifrm"}},
        {"training": {"penalties": "confidence"}},
        {"training": {"epochs": 0}},
        {"backtest": {"lot_size": {"A": -1}}},
        {"backtest": {"funding": {"rate": 0.0001}}},
        {"inference": {"tta": []}},
        {"inference": {"tta": "identity"}},
        {"data": {"source": "csv"}},
        {"split": {"train": 1}},
    ],
)
def test_invalid_configs(accepts, config):
    assert not accepts(config)


def test_a_component_of_a_plugin_is_in_the_schema(registry_of, plugin):
    class Mine:
        """Do it."""

        def __init__(self, title: str, copy: int = 1, gamma: PerClass | None = None) -> None: ...
        def fit(self, log_proba, labels): ...
        def transform(self, log_proba): ...

    registry = registry_of(plugin(components=[Component("mine", Mine)]))
    schema = config_json_schema(registry)
    bare, mapping = schema["$defs"]["kind.calibrator"]["oneOf"]
    assert bare["enum"] == []
    assert mapping["description"] == "Do it."
    assert list(mapping["properties"]) == ["type", "title", "copy", "gamma"]
    assert mapping["required"] == ["type", "title"]
    assert component_json_schema(registry, "calibrator", "mine")["title"] == "mine"
