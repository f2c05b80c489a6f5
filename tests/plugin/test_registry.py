import pytest

from simengine.errors import ConfigError, PluginError
from simengine.plugin.component import Component
from simengine.plugin.kinds import KINDS, Calibrator, Model, TestTimeTransform
from simengine.plugin.registry import members


def test_what_a_registry_knows(registry_of, plugin, sharpen):
    registry = registry_of(plugin("first", components=[sharpen]))
    assert registry.names("calibrator") == ["sharpen"]
    assert registry.names("loss") == []
    assert registry.get("calibrator", "sharpen") is sharpen
    assert registry.provenance("calibrator", "sharpen") == "first"
    assert registry.summary("calibrator", "sharpen") == "Raise the probabilities to a power."
    assert list(registry.kinds) == list(KINDS)
    assert registry.plugins == ("first",)


def test_unknown_names(registry_of, plugin, sharpen):
    registry = registry_of(plugin(components=[sharpen]))
    with pytest.raises(ConfigError) as caught:
        registry.create("calibrator", "sharpn", locate={"inference.calibrator.type": "c.yaml:3"}.get)
    assert str(caught.value) == (
        "c.yaml:3: inference.calibrator: unknown calibrator 'sharpn' (did you mean 'sharpen'?); "
        "known: sharpen"
    )
    with pytest.raises(PluginError, match=r"^unknown calibrator 'x'; known: sharpen$"):
        registry.get("calibrator", "x")
    with pytest.raises(
        PluginError, match=r"^unknown kind 'calibrater' \(did you mean 'calibrator'\?\); known: "
    ):
        registry.names("calibrater")


def test_each_call_makes_a_new_component(registry_of, plugin, sharpen):
    registry = registry_of(plugin(components=[sharpen]))
    assert registry.create("calibrator", "sharpen") is not registry.create("calibrator", "sharpen")


def test_what_a_factory_returns_must_keep_the_contract(registry_of, plugin):
    def factory() -> object:
        return object()

    registry = registry_of(plugin(components=[Component("odd", factory)]))
    with pytest.raises(PluginError) as caught:
        registry.create("calibrator", "odd")
    assert str(caught.value) == (
        "plugin 'mine': calibrator 'odd' lacks fit, transform, which every calibrator has"
    )


def test_a_class_without_a_method_is_refused_at_once(registry_of, plugin):
    class Half:
        def fit(self, log_proba, labels):
            return self

    with pytest.raises(PluginError) as caught:
        registry_of(plugin(components=[Component("half", Half)]))
    assert str(caught.value) == "plugin 'mine': calibrator 'half' lacks the method transform"


def test_members_of_a_contract():
    assert members(Calibrator) == ["fit", "transform"]
    assert members(TestTimeTransform) == ["weight", "__call__"]
    assert members(Model) == ["uses", "fit", "predict_logits", "get_state", "set_state"]


def test_a_fault_in_a_factory_is_not_hidden(registry_of, plugin):
    def factory() -> object:
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        registry_of(plugin(components=[Component("odd", factory)])).create("calibrator", "odd")
