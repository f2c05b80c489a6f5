"""Load, dump and hash configurations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from simengine.config import strict_yaml
from simengine.config.messages import Place, problems, shown
from simengine.config.overrides import apply_overrides, section_in
from simengine.config.schema import ComponentRef, Config, Origin, plain_data
from simengine.errors import ConfigError, did_you_mean


def load_config(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Return the validated configuration.

    Component names and options are checked later, by `simengine.plugin.check.check_config`, when
    plugins are loaded.

    Parameters
    ----------
    source : str, Path or mapping
        A YAML file, or the same content as a mapping.
    overrides : sequence of str
        ``"training.epochs=5"`` and the like, as ``--set`` takes them.

    Raises
    ------
    ConfigError
        One line per problem: ``config.yaml:12: training.epochs: must be >= 1, received 0``.
    """
    if isinstance(source, Mapping):
        try:
            tree = plain_data(source)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        locations: dict[str, str] = {}
        base_dir = Path.cwd()
    else:
        tree, locations = _read(Path(source))
        base_dir = Path(source).resolve().parent
    tree = apply_overrides(tree, overrides, locations)
    return _validate(tree, Origin(base_dir, locations))


def to_tree(config: Config) -> dict[str, Any]:
    """Return the configuration as plain data, components as YAML shows them."""
    return config.model_dump(mode="json")


def from_tree(tree: Mapping[str, Any], origin: Origin) -> Config:
    """Return the configuration of plain data that was written at ``origin``."""
    return _validate(dict(tree), origin)


def dump_yaml(config: Config) -> str:
    """Return YAML that `load_config` reads back equal."""
    return strict_yaml.dump(to_tree(config))


def config_hash(config: Config) -> str:
    """Return the hex sha256 of the canonical JSON of the configuration.

    File locations and formatting play no part; the hash of a resolved configuration also covers
    every default of its components.
    """
    text = json.dumps(to_tree(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        folder = path.parent
        names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
        raise ConfigError(f"{path}: no such config file{did_you_mean(path.name, names)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    document = strict_yaml.parse(text, str(path))
    if document.value is None:
        raise ConfigError(f"{path}: the file is empty; write {{}} for a run of all defaults")
    if not isinstance(document.value, dict):
        raise ConfigError(f"{path}:1: expected a mapping of sections, received {shown(document.value)}")
    locations = {place: f"{path}:{number}" for place, number in document.lines.items()}
    return document.value, {"": str(path), **locations}


def _validate(tree: dict[str, Any], origin: Origin) -> Config:
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        found = problems(error, tree, _known)
        raise ConfigError("\n".join(problem.line(origin.locate) for problem in found)) from None
    return config.with_origin(origin)


def _known(place: Place) -> Iterable[str]:
    section: type[BaseModel] | None = Config
    for name in place:
        field = section.model_fields.get(name) if section else None
        section = section_in(field.annotation) if field else None
    return section.model_fields if section and section is not ComponentRef else ()
