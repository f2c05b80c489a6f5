"""Plugins named in a config: ``.py`` files and importable modules."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType

from simengine.errors import PluginError, SimengineError, did_you_mean


class _FreshLoader(SourceFileLoader):
    """Compile the file every time: a cached byte code may miss an edit within the same second."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def load_plugin(name: str, base_dir: Path) -> ModuleType:
    """Import a plugin named in a config; ``sys.path`` is not changed.

    Parameters
    ----------
    name : str
        A path ending in ``.py``, relative to ``base_dir``, or an importable module name.

    Raises
    ------
    PluginError
        When it is not there or its import fails; the line names the file and line of the failure.
    """
    return _from_file(name, base_dir) if name.endswith(".py") else _from_name(name)


def _from_file(name: str, base_dir: Path) -> ModuleType:
    path = (base_dir / Path(name).expanduser()).resolve()
    if not os.path.isfile(path):
        siblings = [item.name for item in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise PluginError(f"plugin {name!r}: no such file: {path}{did_you_mean(path.name, siblings)}")
    # A module must be in sys.modules while it runs (dataclasses look there); the digest keeps
    # two files of one name apart.
    unique = f"simengine_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = module_from_spec(ModuleSpec(unique, loader := _FreshLoader(unique, str(path)), origin=str(path)))
    module.__file__ = str(path)
    sys.modules[unique] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that ends itself must not end the program
        del sys.modules[unique]
        raise PluginError(f"plugin {name!r}: {_failure(error, path)}") from error
    return module


def _from_name(name: str) -> ModuleType:
    hint = "; a file's name ends in .py" if "/" in name or "\\" in name else ""
    absent = PluginError(f"plugin {name!r}: no module of this name is installed{hint}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise absent
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise absent from None
        raise PluginError(f"plugin {name!r}: {_failure(error, None)}") from error


def _failure(error: BaseException, path: Path | None) -> str:
    if isinstance(error, SimengineError):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if path is None or frame.filename == str(path)]
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"import failed: {type(error).__name__}: {text}{where}"
