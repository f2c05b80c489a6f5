"""The manifest of a run: what it was made from, with what, and what came out."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simengine.config.load import config_hash
from simengine.errors import RunError
from simengine.plugin.check import refs_at
from simengine.plugin.kinds import KINDS
from simengine.rundir import DONE, sha256_file, write_json
from simengine.steps.origin import read_origin
from simengine.steps.session import DATA

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry
    from simengine.rundir import RunDir
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared
    from simengine.steps.session import Session

MANIFEST = "manifest.json"
REPORT = "report.html"
_LIBRARIES = (
    "simengine-xlstm",
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "scikit-learn",
    "numba",
    "shap",
    "pluggy",
)
# The log goes on growing after the manifest is written, and the manifest cannot hold its own hash.
_NOT_HASHED = (MANIFEST, DONE, "log.jsonl")


def library_versions() -> dict[str, str | None]:
    """Return the versions of Python and of the libraries that results depend on."""
    found: dict[str, str | None] = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def git_commit(folder: Path) -> str | None:
    """Return the commit that ``folder`` is at, with ``-dirty`` after it for changed files, or None."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def source_files(source: object) -> dict[str, str]:
    """Return the sha256 of the files that a source reads, by path."""
    return {str(path): sha256_file(Path(path)) for path in getattr(source, "files", ())}


def write_manifest(
    config: Config, registry: Registry, parts: Parts, prepared: Prepared, session: Session
) -> None:
    """Write ``manifest.json``, with the hash of every artefact that lies in the directory now."""
    run_dir = session.run_dir
    content = {
        "name": config.name,
        "seed": config.seed,
        "config_sha256": config_hash(config),
        "data_sha256": run_dir.read_value(DATA, "sha256", str),
        "input_files": source_files(parts.source),
        "git_commit": git_commit(Path(__file__).parent),
        "versions": library_versions(),
        "plugins": selected_plugins(config, registry),
        "plugin_files": read_origin(run_dir)["plugin_files"],
        "bars": {symbol: len(bars) for symbol, bars in prepared.bars.items()},
        "repairs": {symbol: dict(bars.repairs) for symbol, bars in prepared.bars.items() if bars.repairs},
        "ignored_columns": {
            symbol: list(bars.ignored_columns)
            for symbol, bars in prepared.bars.items()
            if bars.ignored_columns
        },
        "holes": dict(prepared.dataset.counts),
        "split": {
            name: str(np.datetime64(value, "ns"))
            for name, value in (
                ("start", prepared.times.start),
                ("train_end", prepared.times.train_end),
                ("val_end", prepared.times.val_end),
                ("end", prepared.times.end),
            )
        },
        "windows": {
            symbol: {
                name: int((windows.groups == index).sum())
                for name, windows in (
                    ("train", prepared.train),
                    ("val", prepared.val),
                    ("test", prepared.test),
                )
            }
            for index, symbol in enumerate(prepared.bars)
        },
        "not_traded": [
            symbol
            for symbol, ranges in zip(prepared.bars, prepared.dataset.segments, strict=True)
            if ranges.test[1] - ranges.test[0] < 2
        ],
        "horizon_bars": prepared.horizon_bars,
        "train_share": prepared.train_share.tolist(),
        "seconds": session.seconds,
    }
    artefacts = {
        str(path.relative_to(run_dir.path)): sha256_file(path)
        for path in sorted(run_dir.path.rglob("*"))
        if path.is_file() and path.name not in _NOT_HASHED
    }
    write_json(run_dir / MANIFEST, {**content, "artefacts": artefacts})


def selected_plugins(config: Config, registry: Registry) -> dict[str, str]:
    """Return ``type from plugin`` for every place of the config that selects a component."""
    found = {}
    for kind in KINDS.values():
        for place, ref in refs_at(config, kind.where):
            found[place] = f"{ref.type} from {registry.provenance(kind.name, ref.type)}"
    return found


def check_artefacts(run_dir: RunDir) -> None:
    """Check that the files of a finished run are those it was finished with.

    Raises
    ------
    RunError
        Naming the first file that is missing or was changed since.
    """
    for name, digest in run_dir.read_value(MANIFEST, "artefacts", dict).items():
        if name == REPORT:
            continue  # `simengine report` writes it again
        path = run_dir / name
        if not path.is_file():
            raise RunError(f"{path}: missing: the run was finished with it; restore it or run again")
        if sha256_file(path) != digest:
            raise RunError(f"{path}: changed since the run was finished; restore it or run again")
