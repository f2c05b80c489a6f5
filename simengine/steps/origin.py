"""What a run was started with beside its config: where its plugins lie and what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.config.load import config_hash
from simengine.errors import RunError
from simengine.rundir import CONFIG, ORIGIN, RunDir, sha256_file, write_json

if TYPE_CHECKING:
    from simengine.config.schema import Config


def plugin_hashes(plugins: tuple[str, ...], base_dir: Path) -> dict[str, str]:
    """Return the sha256 of the plugins that are ``.py`` files, by the name that the config gives them."""
    return {name: sha256_file(base_dir / name) for name in plugins if name.endswith(".py")}


def keep_origin(run_dir: RunDir, config: Config, *, backtest: bool) -> None:
    """Write ``origin.json`` at the start of a run."""
    content = {
        "base_dir": str(config.base_dir),
        "backtest": backtest,
        "config_sha256": config_hash(config),
        "plugin_files": plugin_hashes(config.plugins, config.base_dir),
    }
    write_json(run_dir / ORIGIN, content)


def read_origin(run_dir: RunDir) -> dict[str, Any]:
    """Return ``origin.json``: ``base_dir``, ``backtest``, ``config_sha256`` and ``plugin_files``.

    Raises
    ------
    RunError
        When it is missing or damaged.
    """
    content = run_dir.read_json(ORIGIN)
    if not isinstance(content, dict) or not {"base_dir", "backtest", "config_sha256", "plugin_files"} <= set(
        content
    ):
        raise RunError(f"{run_dir / ORIGIN}: made by another version of simengine, or damaged")
    return content


def check_unchanged(run_dir: RunDir, config: Config) -> None:
    """Check that a run to resume still has the config and the plugin files that it was started with.

    Raises
    ------
    RunError
        Naming what changed.
    """
    changed = changed_plugins(run_dir, config)
    if config_hash(config) != read_origin(run_dir)["config_sha256"]:
        changed = [CONFIG, *changed]
    if changed:
        raise RunError(
            f"{run_dir.path}: {', '.join(changed)} changed since the run was started; start a new one"
        )


def changed_plugins(run_dir: RunDir, config: Config) -> list[str]:
    """Return the plugin files that are no longer what the run was started with."""
    known = read_origin(run_dir)["plugin_files"]
    found = plugin_hashes(config.plugins, config.base_dir)
    return sorted(name for name in found if name in known and found[name] != known[name])
