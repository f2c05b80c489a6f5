"""The JSON schema of the whole config file, for editors: sections, components and their options."""

from __future__ import annotations

from typing import Any

from simengine.config.schema import Config
from simengine.plugin.kinds import KINDS
from simengine.plugin.options import option_names
from simengine.plugin.registry import Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def config_json_schema(registry: Registry) -> Schema:
    """Return the JSON schema (draft 2020-12) of ``config.yaml``.

    A component is its bare name (when no option is required) or a mapping whose ``type`` decides the
    options that are allowed. Bounds and descriptions are those of the factories' signatures.
    """
    schema: Schema = Config.model_json_schema()
    definitions: Schema = schema["$defs"]
    definitions.pop("ComponentRef")
    for kind in KINDS.values():
        definitions[f"kind.{kind.name}"] = _kind_schema(registry, kind.name, definitions)
        target = {"$ref": f"#/$defs/kind.{kind.name}"}
        _replace(schema, kind.where, target)
    return {"$schema": DIALECT, "title": "simengine configuration", **_without_titles(schema)}


def component_json_schema(registry: Registry, kind: str, name: str) -> Schema:
    """Return the JSON schema of one component's options."""
    schema: Schema = registry.options_model(kind, name).model_json_schema()
    return {**_without_titles(schema), "title": name}


def _kind_schema(registry: Registry, kind: str, definitions: Schema) -> Schema:
    bare, mappings = [], []
    for name in registry.names(kind):
        model = registry.options_model(kind, name)
        prefix = f"{kind}.{name}."
        options: Schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
        definitions |= {prefix + inner: found for inner, found in options.pop("$defs", {}).items()}
        required = options.get("required", [])
        if not required:
            bare.append(name)
        mappings.append(
            {
                "type": "object",
                "description": registry.summary(kind, name),
                "properties": {"type": {"const": name}, **_in_order(options, option_names(model))},
                "required": ["type", *required],
                "additionalProperties": False,
            }
        )
    return {"oneOf": [{"type": "string", "enum": bare}, *mappings]}


def _in_order(options: Schema, names: list[str]) -> Schema:
    properties = options.get("properties", {})
    return {name: properties[name] for name in names}


def _replace(schema: Schema, where: str, target: Schema) -> None:
    """Put ``target`` where the schema of the sections has a component, keeping null and lists."""
    *path, last = where.split(".")
    node = schema
    for key in path:
        node = schema["$defs"][node["properties"][key]["$ref"].rpartition("/")[2]]
    found = node["properties"][last]
    kept = {key: found[key] for key in ("description", "default") if key in found}
    if found.get("type") == "array":
        bounds = {key: found[key] for key in ("minItems",) if key in found}
        changed: Schema = {"type": "array", "items": target, **bounds}
    elif "anyOf" in found:
        changed = {"anyOf": [target, {"type": "null"}]}
    else:
        changed = dict(target)
    node["properties"][last] = {**changed, **kept}


def _without_titles(node: Any) -> Any:  # noqa: ANN401
    """Drop the titles pydantic makes of names; a property that is called title stays."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _without_titles(item) for name, item in value.items()}
        if key in ("properties", "$defs")
        else _without_titles(value)
        for key, value in node.items()
        if key != "title" or not isinstance(value, str)
    }
