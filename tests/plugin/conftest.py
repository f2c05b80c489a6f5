from types import ModuleType

import pytest

from simengine import Component, hookimpl
from simengine.plugin.manager import build_registry


class Sharpen:
    """Raise the probabilities to a power."""

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def fit(self, log_proba, labels):
        return self

    def transform(self, log_proba):
        return self.power * log_proba


def make_plugin(name="mine", *, kind="calibrators", components=(), **functions):
    """Return a module with a registration hook and other marked hook functions."""
    module = ModuleType(name)

    def register():
        return list(components)

    if components:
        hook = f"simengine_register_{kind}"
        register.__name__ = hook
        setattr(module, hook, hookimpl(register))
    for hook, function in functions.items():
        setattr(module, hook, function)
    return module


@pytest.fixture
def plugin():
    return make_plugin


@pytest.fixture
def sharpen():
    return Component("sharpen", Sharpen)


@pytest.fixture
def registry_of():
    """Build a registry of plugin objects alone."""

    def build(*objects, **options):
        return build_registry(objects=objects, builtins=(), discover=False, **options)

    return build


@pytest.fixture
def registry_with(registry_of, plugin):
    """Build a registry of one calibrator factory called "mine"."""

    def build(factory):
        return registry_of(plugin(components=[Component("mine", factory)]))

    return build
