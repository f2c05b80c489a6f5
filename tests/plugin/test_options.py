from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import pytest
from pydantic import Field

from simengine import PerClass
from simengine.errors import ConfigError, PluginError


class Base:
    def fit(self, log_proba, labels):
        return self

    def transform(self, log_proba):
        return log_proba


SHIPPED = PerClass(1, 2, 3)


class Full(Base):
    def __init__(
        self,
        power: Annotated[float, Field(gt=0, description="exponent")] = 2.0,
        *,
        copy: int = 3,
        gamma: PerClass = SHIPPED,
        mixed: float | PerClass | None = None,
        blocks: tuple[Literal["a", "b"], ...] = ("a",),
        mode: Literal["fast", "slow"] = "fast",
        on: bool = True,
    ) -> "NotThere":  # noqa: F821
        vars(self).update(
            power=power, copy=copy, gamma=gamma, mixed=mixed, blocks=blocks, mode=mode, on=on
        )  # fmt: skip
        if power == 13:
            raise ValueError("power 13\nis unlucky")


def test_defaults_are_those_of_the_signature(registry_with):
    registry = registry_with(Full)
    assert registry.resolve("calibrator", "mine").options == {
        "power": 2.0,
        "copy": 3,
        "gamma": {"sell": 1.0, "hold": 2.0, "buy": 3.0},
        "mixed": None,
        "blocks": ["a"],
        "mode": "fast",
        "on": True,
    }
    assert registry.create("calibrator", "mine").gamma == PerClass(1, 2, 3)


def test_options_arrive_as_python_values(registry_with):
    given = {"type": "mine", "power": 3, "copy": 1, "gamma": [4, 5, 6], "blocks": ["b", "a"],
             "mixed": {"sell": 1, "hold": 2, "buy": 0.5}}  # fmt: skip
    made = registry_with(Full).create("calibrator", given)
    assert made.power == 3.0
    assert type(made.power) is float
    assert made.gamma == PerClass(4, 5, 6)
    assert isinstance(made.gamma, PerClass)
    assert made.blocks == ("b", "a")
    assert made.mixed == PerClass(1, 2, 0.5)
    assert made.copy == 1


def test_resolving_twice_changes_nothing(registry_with):
    registry = registry_with(Full)
    once = registry.resolve("calibrator", {"type": "mine", "gamma": [1, 2, 3]})
    assert registry.resolve("calibrator", once) == once


PER_CLASS = "expected sell, hold and buy (a mapping, or a list in that order)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": "3"}, "inference.calibrator.power: expected a number, received '3'"),
        ({"power": -1}, "inference.calibrator.power: must be > 0, received -1"),
        ({"power": None}, "inference.calibrator.power: expected a number, received null"),
        ({"power": float("nan")}, "inference.calibrator.power: expected a finite number, received nan"),
        ({"copy": 1.5}, "inference.calibrator.copy: expected an integer, received 1.5"),
        ({"copy": True}, "inference.calibrator.copy: expected an integer, received true"),
        ({"on": 1}, "inference.calibrator.on: expected true or false, received 1"),
        (
            {"pwer": 3},
            "inference.calibrator: unknown option 'pwer' (did you mean 'power'?); "
            "known: blocks, copy, gamma, mixed, mode, on, power",
        ),
        ({"gamma": {"sell": 1}}, f"inference.calibrator.gamma: {PER_CLASS}, received {{'sell': 1}}"),
        ({"gamma": [1, 2]}, f"inference.calibrator.gamma: {PER_CLASS}, received [1, 2]"),
        ({"gamma": [1, 2, "3"]}, f"inference.calibrator.gamma: {PER_CLASS}, received [1, 2, '3']"),
        ({"gamma": 2}, f"inference.calibrator.gamma: {PER_CLASS}, received 2"),
        ({"mixed": "x"}, f"inference.calibrator.mixed: expected a number or {PER_CLASS[9:]}, received 'x'"),
        ({"blocks": "a"}, "inference.calibrator.blocks: expected a list, received 'a'"),
        ({"blocks": ["a", "c"]}, "inference.calibrator.blocks.1: expected 'a' or 'b', received 'c'"),
        (
            {"mode": "fsat"},
            "inference.calibrator.mode: expected 'fast' or 'slow', received 'fsat' (did you mean 'fast'?)",
        ),
        ({"power": 13}, "inference.calibrator: mine: power 13 is unlucky"),
        (
            {"power": -1, "copy": "x"},
            "inference.calibrator.power: must be > 0, received -1\n"
            "inference.calibrator.copy: expected an integer, received 'x'",
        ),
    ],
)
def test_bad_options(registry_with, options, message):
    with pytest.raises(ConfigError) as caught:
        registry_with(Full).create("calibrator", {"type": "mine", **options})
    assert str(caught.value) == message


def test_the_place_and_its_line_are_named(registry_with):
    lines = {"inference.tta.1.power": "c.yaml:7"}
    with pytest.raises(ConfigError) as caught:
        registry_with(Full).create("calibrator", {"type": "mine", "power": 0}, "inference.tta.1", lines.get)
    assert str(caught.value) == "c.yaml:7: inference.tta.1.power: must be > 0, received 0"


def test_a_required_option(registry_with):
    class Needs(Base):
        def __init__(self, path: str) -> None:
            self.path = path

    with pytest.raises(ConfigError) as caught:
        registry_with(Needs).create("calibrator", "mine")
    assert str(caught.value) == "inference.calibrator.path: is required and was not given"


def test_a_class_without_options_a_function_and_a_dataclass(registry_with):
    @dataclass
    class Data(Base):
        power: Annotated[float, Field(gt=0)] = 1.0

    def function(power: float = 3.0) -> Full:
        return Full(power)

    assert isinstance(registry_with(Base).create("calibrator", "mine"), Base)
    assert registry_with(Data).create("calibrator", {"type": "mine", "power": 4}).power == 4
    assert registry_with(function).create("calibrator", "mine").power == 3
    assert registry_with(partial(function, power=5.0)).create("calibrator", "mine").power == 5
    with pytest.raises(ConfigError, match=r"unknown option 'x'; known: none$"):
        registry_with(Base).create("calibrator", {"type": "mine", "x": 1})


def with_init(init):
    return type("Factory", (Base,), {"__init__": init})


def swallow(self, **options: float) -> None: ...
def star(self, *options: float) -> None: ...
def typed(self, type: str = "x") -> None: ...
def bare(self, power=2.0) -> None: ...
def hidden(self, _power: float = 2.0) -> None: ...
def positional(self, power: float = 2.0, /) -> None: ...
def wrong_default(self, power: Annotated[float, Field(gt=0)] = 0.0) -> None: ...
def text_default(self, power: float = "2") -> None: ...
def unknown_type(self, power: "Nowhere" = 2.0) -> None: ...  # noqa: F821
def odd_type(self, power: object() = 2.0) -> None: ...


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (swallow, "**options would swallow misspelled options; name every option"),
        (star, "*options would swallow misspelled options; name every option"),
        (typed, "an option cannot be called 'type', the key that selects the component"),
        (bare, "option 'power' has no annotation, so it cannot be validated"),
        (hidden, "option '_power' begins with an underscore; rename it"),
        (positional, "option 'power' is positional-only; options are given by name"),
        (
            wrong_default,
            "option 'power' has the default 0.0, which it would refuse: Input should be greater than 0",
        ),
        (
            text_default,
            "option 'power' has the default '2', which it would refuse: Input should be a valid number",
        ),
        (unknown_type, "the annotation of option 'power' is not usable: name 'Nowhere' is not defined"),
    ],
)
def test_signatures_that_are_refused(registry_with, init, message):
    with pytest.raises(PluginError) as caught:
        registry_with(with_init(init))
    assert str(caught.value) == f"plugin 'mine': calibrator 'mine': {message}"


def test_an_annotation_that_is_no_type(registry_with):
    with pytest.raises(
        PluginError, match=r"^plugin 'mine': calibrator 'mine': .*option 'power'.* not usable: "
    ):
        registry_with(with_init(odd_type))
