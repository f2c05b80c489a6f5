"""Start a new plugin: a small component that works, and its test."""

from __future__ import annotations

import keyword
import os
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from simengine.errors import PluginError, unknown_name
from simengine.plugin.component import NAME_RULE, is_component_name
from simengine.plugin.kinds import KINDS
from simengine.rundir import writing


def new_plugin(kind: str, name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``folder/<name>.py`` and ``folder/test_<name>.py``; return both paths.

    The component does something simple and real, and its test runs the kind's contract battery, so the
    author starts from a passing test. Nothing is ever overwritten.

    Parameters
    ----------
    kind : str
        A key of `simengine.plugin.kinds.KINDS`.
    name : str
        Lower-case letters, digits and underscores, but not none, null or off; the name in YAML.
    folder : Path
        Made when it is not there.

    Raises
    ------
    PluginError
        When the kind is unknown, the name is not usable, or a file is there already.
    RunError
        When nothing can be written to ``folder``.
    """
    if kind not in KINDS:
        raise PluginError(unknown_name("kind", kind, KINDS))
    if not is_component_name(name):
        raise PluginError(f"a component's name is {NAME_RULE}; received {name!r}")
    if keyword.iskeyword(name):
        raise PluginError(f"{name!r} is a keyword of Python; choose another name")
    paths = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in paths:
        if os.path.lexists(path):
            raise PluginError(f"{path} is there already; choose another name or folder")
    if find_spec(name) is not None:
        raise PluginError(f"{name!r} is the name of an importable module, which {paths[0]} would hide")
    cls = "".join(part.capitalize() for part in f"{name}_{kind}".split("_"))
    for path, template in zip(paths, (kind, "test"), strict=True):
        text = (files("simengine.plugin") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(Template(text).substitute(name=name, cls=cls, kind=kind))
    return paths
