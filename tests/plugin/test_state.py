import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from simengine.errors import PluginError, RunError
from simengine.plugin.state import INLINE_LIMIT, get_state, read_state, set_state, write_state


class Fitted:
    def __init__(self):
        self.option = 1
        self.scale_ = 0.1
        self.weights_ = np.arange(3.0)
        self._cache_ = "not state"
        self.__hidden__ = "not state"


def equal(first, second):
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and (first.dtype, first.shape, first.tobytes()) == (
            second.dtype,
            second.shape,
            second.tobytes(),
        )
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(equal, first, second))
    return type(first) is type(second) and repr(first) == repr(second)


def test_fitted_attributes_are_the_state():
    state = get_state(Fitted())
    assert list(state) == ["scale_", "weights_"]
    other = Fitted()
    set_state(other, {"scale_": 7.0, "weights_": np.zeros(2)})
    assert other.scale_ == 7.0
    assert other.weights_.tolist() == [0, 0]


def test_slots_are_seen():
    class Slotted:
        __slots__ = ("gone_", "option", "scale_")

    component = Slotted()
    component.scale_ = 2.0
    assert get_state(component) == {"scale_": 2.0}


def test_a_component_may_do_it_itself():
    class Own:
        def get_state(self):
            return {"layers": {"a": [1, 2]}}

        def set_state(self, state):
            self.got = state

    state = get_state(Own())
    own = Own()
    set_state(own, state)
    assert own.got == {"layers": {"a": [1, 2]}}


NUMPY = arrays.arrays(
    st.sampled_from(["<f4", "<f8", "<i8", "|i1", "|b1", "<u8", ">f8"]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NUMPY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4).filter(lambda key: not key.startswith("$")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4).filter(lambda key: not key.startswith("$")), VALUES, max_size=4))
def test_any_state_survives_a_file_to_the_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "state.json"
    write_state(path, state)
    assert equal(read_state(path), state)


def test_small_arrays_are_text_and_large_ones_lie_beside(tmp_path):
    path = tmp_path / "state.json"
    write_state(
        path, {"a_": np.arange(3, dtype=np.float32), "b_": np.zeros(INLINE_LIMIT + 1), "c_": [np.nan]}
    )
    document = json.loads(path.read_text())
    assert document["state"]["a_"] == {"$array": [0.0, 1.0, 2.0], "dtype": "<f4", "shape": [3]}
    assert document["state"]["b_"] == {"$npz": "state.b_"}
    assert document["state"]["c_"] == [{"$float": "nan"}]
    assert (tmp_path / "state.npz").exists()


def test_equal_states_give_equal_bytes(tmp_path):
    state = {"b_": np.linspace(0, 1, 1000), "a_": (1, 2.5, "x")}
    for name in ("one", "two"):
        write_state(tmp_path / f"{name}.json", state)
    for suffix in (".json", ".npz"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_a_smaller_state_leaves_no_old_arrays(tmp_path):
    path = tmp_path / "state.json"
    write_state(path, {"a_": np.zeros(1000)})
    write_state(path, {"a_": 1})
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "Thing.x_: a state holds numbers, text, lists and arrays, received object"),
        (np.array([None]), "Thing.x_: arrays hold numbers, booleans or text, received dtype object"),
        (np.array([1j]), "Thing.x_: arrays hold numbers, booleans or text, received dtype complex128"),
        ({1: 2}, "Thing.x_: keys of a state are text that does not begin with $, received 1"),
        ({"$npz": "x"}, "Thing.x_: keys of a state are text that does not begin with $, received '$npz'"),
        ([1, {2}], "Thing.x_.1: a state holds numbers, text, lists and arrays, received set"),
    ],
)
def test_what_cannot_be_stored(value, message):
    class Thing:
        pass

    thing = Thing()
    thing.x_ = value
    with pytest.raises(PluginError) as caught:
        get_state(thing)
    assert str(caught.value) == message


def test_a_name_that_is_no_fitted_attribute():
    with pytest.raises(PluginError, match=r"^Fitted: 'option' is no fitted attribute \(they end in _\)$"):
        set_state(Fitted(), {"option": 3})


def test_damaged_files(tmp_path):
    path = tmp_path / "state.json"
    with pytest.raises(RunError, match=r"state\.json: cannot be read: No such file or directory$"):
        read_state(path)
    for text in ("{", "[]", "{}", '{"format": 99, "state": {}}', '{"format": 1, "state": []}'):
        path.write_text(text)
        with pytest.raises(RunError, match=r"state\.json: not a state file of this version; train again$"):
            read_state(path)
    write_state(path, {"a_": np.zeros(1000)})
    beside = tmp_path / "state.npz"
    beside.write_bytes(beside.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"state\.npz: does not belong to the JSON beside it; train again$"):
        read_state(path)
    beside.unlink()
    with pytest.raises(RunError, match=r"state\.npz: cannot be read: No such file or directory$"):
        read_state(path)
