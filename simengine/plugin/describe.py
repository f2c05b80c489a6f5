"""Components in words: what `simengine plugins` lists and shows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from simengine.config.strict_yaml import dump_inline
from simengine.plugin.registry import Registry
from simengine.plugin.schema import component_json_schema


def describe_all(registry: Registry) -> dict[str, Any]:
    """Return every kind with its place in the config, its hook and its components."""
    return {
        kind.name: {
            "where": kind.where,
            "hook": kind.hook,
            "components": [
                {
                    "name": name,
                    "plugin": registry.provenance(kind.name, name),
                    "summary": registry.summary(kind.name, name),
                }
                for name in registry.names(kind.name)
            ],
        }
        for kind in registry.kinds.values()
    }


def describe(registry: Registry, kind: str, name: str) -> dict[str, Any]:
    """Return one component: its documentation and its options.

    Raises
    ------
    PluginError
        When the kind or the name is unknown.
    """
    component = registry.get(kind, name)
    return {
        "kind": kind,
        "name": name,
        "plugin": registry.provenance(kind, name),
        "doc": inspect.getdoc(component.factory) or "",
        "options": _option_rows(component_json_schema(registry, kind, name)),
    }


def _option_rows(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, type, default and description of every option of a component's JSON schema.

    A required option has the default None.
    """
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "type": _type_text(option),
            "required": name in required,
            "default": option.get("default"),
            "description": option.get("description", ""),
        }
        for name, option in schema.get("properties", {}).items()
        if name != "type"
    ]


def _type_text(option: Mapping[str, Any]) -> str:
    """Return the type of an option in words, from its JSON schema."""
    if "enum" in option:
        return " | ".join(map(dump_inline, option["enum"]))
    if "const" in option:
        return dump_inline(option["const"])
    if "anyOf" in option:
        return " | ".join(map(_type_text, option["anyOf"]))
    if option.get("type") == "array":
        return f"list of {_type_text(option.get('items', {}))}"
    if option.get("type") == "object" and "properties" in option:
        return "{" + ", ".join(option["properties"]) + "}"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {option[key]}" for key, sign in bounds.items() if key in option]
    return " ".join(filter(None, [str(option.get("type", "any")), ", ".join(limits)]))
