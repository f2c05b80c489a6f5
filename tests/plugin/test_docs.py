"""docs/plugins.md says what is true."""

import re
from pathlib import Path

import pytest

from simengine.config.load import load_config
from simengine.plugin import hookspecs
from simengine.plugin.audit import HOOKS
from simengine.plugin.kinds import KINDS
from simengine.plugin.manager import build_registry
from simengine.plugin.registry import members
from simengine.plugin.testing import check_component

TEXT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells
    for cells in re.findall(r"^\| `(\w+)` \| `(\w+)` \| `([\w.]+)`.*? \| (.*) \|$", TEXT, re.M)
}
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.S)


def test_every_kind_is_documented_with_its_hook_and_place():
    documented = {name: (hook, where) for name, hook, where, _ in ROWS.values()}
    assert documented == {kind.name: (kind.hook, kind.where) for kind in KINDS.values()}
    assert list(ROWS) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_member_of_a_contract_is_documented(kind):
    names = [name for name in members(KINDS[kind].contract) if name != "__call__"]
    assert [name for name in names if not re.search(rf"`{name}\b", ROWS[kind][3])] == []


def test_every_lifecycle_hook_is_documented_with_its_arguments():
    documented = dict(re.findall(r"^\| `(simengine_\w+)\(([\w, ]*)\)` \|", TEXT, re.M))
    registration = {kind.hook for kind in KINDS.values()}
    assert documented == {
        name: ", ".join(arguments) for name, arguments in HOOKS.items() if name not in registration
    }


def test_every_hook_has_a_docstring_and_every_kind_a_hook():
    assert {kind.hook for kind in KINDS.values()} <= set(HOOKS)
    assert all(getattr(hookspecs, name).__doc__ for name in HOOKS)


def test_the_ten_lines_work(tmp_path):
    blocks = [(language, body) for language, body in FENCE.findall(TEXT) if language in ("python", "yaml")]
    plugin, config = blocks[0][1], blocks[1][1]
    assert len(plugin.strip().splitlines()) <= 10
    (tmp_path / "sharpen.py").write_text(plugin)
    (tmp_path / "config.yaml").write_text(config)
    loaded = load_config(tmp_path / "config.yaml")
    registry = build_registry(loaded.plugins, loaded.base_dir, builtins=(), discover=False)
    assert registry.create("calibrator", loaded.inference.calibrator).power == 3
    check_component("calibrator", lambda: registry.create("calibrator", "sharpen"))
