import sys
from types import ModuleType

import pytest

from simengine import Component, hookimpl
from simengine.errors import ConfigError, PluginError
from simengine.plugin import manager
from simengine.plugin.manager import build_registry


class Point:
    """An installed entry point."""

    def __init__(self, name, load):
        self.name = name
        self.load = load


@pytest.fixture
def installed(monkeypatch):
    """Pretend that plugins are installed: name to module or exception."""

    def install(**found):
        def loader(value):
            def load():
                if isinstance(value, BaseException):
                    raise value
                return value

            return load

        points = [Point(name, loader(value)) for name, value in found.items()]
        monkeypatch.setattr(manager, "entry_points", lambda group: points if group == "simengine" else [])

    return install


@pytest.fixture
def builtin_package(monkeypatch, plugin, sharpen):
    """A package of one built-in plugin."""
    package = ModuleType("a_package")
    package.MODULES = ("a_package.sharpen",)
    monkeypatch.setitem(sys.modules, "a_package", package)
    monkeypatch.setitem(sys.modules, "a_package.sharpen", plugin("a_package.sharpen", components=[sharpen]))
    return "a_package"


def named(name, sharpen):
    return Component(name, sharpen.factory)


def test_loading_order(builtin_package, installed, plugin, sharpen, tmp_path):
    installed(beta=plugin(components=[named("b", sharpen)]), alpha=plugin(components=[named("a", sharpen)]))
    (tmp_path / "local.py").write_text(PLUGIN.replace("sharpen", "c"))
    registry = build_registry(
        ["local.py"], tmp_path, [plugin("obj", components=[named("d", sharpen)])], builtins=[builtin_package]
    )
    assert registry.names("calibrator") == ["sharpen", "a", "b", "c", "d"]
    assert registry.plugins == ("a_package.sharpen", "alpha", "beta", "local.py", "obj")
    assert registry.provenance("calibrator", "c") == "local.py"


def test_without_discovery_nothing_installed_is_seen(installed):
    installed(broken=ImportError("no"))
    assert build_registry(builtins=(), discover=False).broken == {}


def test_an_installed_plugin_that_ends_the_program_is_a_broken_one(installed, caplog):
    installed(leaving=SystemExit(0))
    assert build_registry(builtins=()).broken == {"leaving": "SystemExit: 0"}
    assert caplog.messages == ["installed plugin 'leaving' could not be loaded: SystemExit: 0"]


def test_a_hook_that_ends_the_program(plugin):
    @hookimpl
    def leave():
        raise SystemExit(0)

    mine = plugin(simengine_register_calibrators=leave)
    with pytest.raises(PluginError) as caught:
        build_registry(objects=[mine], builtins=(), discover=False)
    assert str(caught.value) == "plugin 'mine': simengine_register_calibrators failed: SystemExit: 0"


PLUGIN = """
from simengine import Component, hookimpl

class Sharpen:
    def __init__(self, power: float = 2.0) -> None:
        self.power = power
    def fit(self, log_proba, labels): return self
    def transform(self, log_proba): return self.power * log_proba

@hookimpl
def simengine_register_calibrators():
    return [Component("sharpen", Sharpen)]
"""


def test_a_plugin_file_of_ten_lines(tmp_path):
    assert len([text for text in PLUGIN.splitlines() if text]) <= 10
    (tmp_path / "mine.py").write_text(PLUGIN)
    registry = build_registry(["mine.py"], tmp_path, builtins=(), discover=False)
    assert registry.create("calibrator", {"type": "sharpen", "power": 3}).power == 3.0


def test_an_object_with_methods(sharpen):
    class Mine:
        @hookimpl
        def simengine_register_calibrators(self):
            return [sharpen]

    registry = build_registry(objects=[Mine()], builtins=(), discover=False)
    assert registry.provenance("calibrator", "sharpen") == "Mine"


def test_the_same_plugin_twice_counts_once(plugin, sharpen):
    mine = plugin(components=[sharpen])
    assert build_registry(objects=[mine, mine], builtins=(), discover=False).names("calibrator") == [
        "sharpen"
    ]


def test_two_plugins_of_one_name(plugin, sharpen):
    objects = [plugin(components=[sharpen]), plugin(components=[named("other", sharpen)])]
    with pytest.raises(PluginError, match=r"^two different plugins are called 'mine'; rename one of them$"):
        build_registry(objects=objects, builtins=(), discover=False)


def test_duplicate_components_name_both_plugins(registry_of, plugin, sharpen):
    with pytest.raises(PluginError) as caught:
        registry_of(plugin("one", components=[sharpen]), plugin("two", components=[sharpen]))
    assert str(caught.value) == (
        "calibrator 'sharpen' is registered twice, by plugin 'one' and by plugin 'two'; rename one of them"
    )


def test_a_duplicate_of_an_installed_plugin_can_be_disabled(builtin_package, installed, plugin, sharpen):
    installed(extra=plugin(components=[sharpen]))
    with pytest.raises(PluginError) as caught:
        build_registry(builtins=[builtin_package])
    assert str(caught.value) == (
        "calibrator 'sharpen' is registered twice, by plugin 'a_package.sharpen' and by plugin 'extra'; "
        "set SIMENGINE_DISABLE_PLUGINS=extra"
    )


def test_disabled_plugins(installed, plugin, sharpen, monkeypatch, caplog):
    installed(extra=plugin(components=[sharpen]), other=plugin(components=[named("b", sharpen)]))
    monkeypatch.setenv("SIMENGINE_DISABLE_PLUGINS", "extra, gone")
    registry = build_registry(builtins=())
    assert registry.names("calibrator") == ["b"]
    assert registry.disabled == ("extra",)
    assert caplog.messages == ["SIMENGINE_DISABLE_PLUGINS names no installed plugin: gone"]
    with pytest.raises(ConfigError) as caught:
        registry.create("calibrator", "sharpen")
    assert str(caught.value) == (
        "inference.calibrator: unknown calibrator 'sharpen'; known: b; "
        "disabled by SIMENGINE_DISABLE_PLUGINS: extra"
    )


def test_a_broken_installed_plugin_is_fatal_only_when_selected(installed, plugin, sharpen, caplog):
    installed(bad=ImportError("no module named torch"), good=plugin(components=[sharpen]))
    registry = build_registry(builtins=())
    assert registry.create("calibrator", "sharpen").power == 2.0
    assert dict(registry.broken) == {"bad": "ImportError: no module named torch"}
    assert caplog.messages == [
        "installed plugin 'bad' could not be loaded: ImportError: no module named torch"
    ]
    with pytest.raises(ConfigError) as caught:
        registry.create("calibrator", "deep")
    assert str(caught.value) == (
        "inference.calibrator: unknown calibrator 'deep'; known: sharpen; "
        "installed plugin 'bad' could not be loaded: ImportError: no module named torch"
    )


def test_an_installed_plugin_that_breaks_later_leaves_nothing_behind(installed, plugin, sharpen):
    calls = []

    @hookimpl
    def simengine_run_end(metrics):
        calls.append(metrics)

    @hookimpl
    def simengine_register_losses():
        raise RuntimeError("boom")

    def unmarked():
        return []

    installed(
        bad=plugin(
            components=[sharpen],
            simengine_register_losses=simengine_register_losses,
            simengine_run_end=simengine_run_end,
        ),
        unmarked=plugin(simengine_register_losses=unmarked),
    )
    registry = build_registry(builtins=())
    assert registry.names("calibrator") == []
    registry.hook.simengine_run_end(metrics={}, run_dir=None)
    assert calls == []
    assert dict(registry.broken) == {
        "bad": "simengine_register_losses failed: RuntimeError: boom",
        "unmarked": "simengine_register_losses is not marked with @hookimpl",
    }


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "simengine_register_losses must return a list of Component, received None"),
        (["x"], "simengine_register_losses must return a list of Component, received ['x']"),
        (
            [Component("None", object)],
            "loss 'None': a name is lower-case letters, digits and _, and not one of none, null, off",
        ),
        (
            [Component("none", object)],
            "loss 'none': a name is lower-case letters, digits and _, and not one of none, null, off",
        ),
        ([Component("x", 3)], "loss 'x': its factory must be a class or a function, received 3"),
    ],
)
def test_what_a_hook_returns_is_checked(registry_of, plugin, returned, message):
    @hookimpl
    def simengine_register_losses():
        return returned

    with pytest.raises(PluginError) as caught:
        registry_of(plugin(simengine_register_losses=simengine_register_losses))
    assert str(caught.value) == f"plugin 'mine': {message}"


def test_lifecycle_hooks_are_called_with_what_they_ask_for(registry_of, plugin):
    seen = []

    @hookimpl
    def simengine_stage_end(stage):
        seen.append(stage)

    registry = registry_of(plugin(simengine_stage_end=simengine_stage_end))
    registry.hook.simengine_stage_end(stage="train", run_dir=None)
    assert seen == ["train"]


def test_registries_are_independent(registry_of, plugin, sharpen):
    registry_of(plugin(components=[sharpen]))
    assert registry_of().names("calibrator") == []
