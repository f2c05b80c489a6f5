"""Files of arrays are read whole or refused in one line; pickles never."""

import json
import pickle
import struct

import numpy as np
import pytest

from simengine.model.checkpoint import PICKLED, CheckpointError, read_arrays, write_arrays

SUFFIXES = (".safetensors", ".npz")


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "a.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=5),
        "steps": np.array(7),
        "half": rng.normal(size=(2, 0)).astype(np.float16),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_arrays_make_the_round_trip(tmp_path, arrays, suffix):
    path = tmp_path / f"x{suffix}"
    write_arrays(path, {**arrays, "view": arrays["a.weight"].T})
    read = read_arrays(str(path))
    for name, array in {**arrays, "view": arrays["a.weight"].T}.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_arrays_give_equal_bytes_and_no_other_file(tmp_path, arrays, suffix):
    for name in ("x", "y"):
        write_arrays(tmp_path / f"{name}{suffix}", arrays)
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first == second


def safetensors(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_bfloat16_comes_as_float32_of_the_same_values(tmp_path):
    path = tmp_path / "x.safetensors"
    # 1, -2 and the smallest step above 1: the upper halves of 0x3f800000, 0xc0000000 and 0x3f810000.
    data = struct.pack("<3H", 0x3F80, 0xC000, 0x3F81)
    safetensors(path, {"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}, data)
    values = read_arrays(path)["w"]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [1.0, -2.0, 1.0078125])


def test_a_number_type_that_numpy_lacks_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors(path, {"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"\0")
    with pytest.raises(CheckpointError, match=rf"^{path}: w has the dtype F8_E4M3; save it as F32$"):
        read_arrays(path)


@pytest.mark.parametrize("suffix", PICKLED)
def test_pickles_are_refused_with_the_way_to_convert_them(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"not looked at")
    with pytest.raises(
        CheckpointError, match="a pickle can run code, so it is not read; convert it"
    ) as error:
        read_arrays(path)
    assert f"torch.load('model{suffix}', weights_only=True), 'model.safetensors')" in str(error.value)


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_inside_or_instead_of_an_npz_is_never_run(tmp_path):
    trap, sprung = Trap(tmp_path / "sprung"), tmp_path / "sprung"
    np.savez(tmp_path / "inside.npz", w=np.array([trap], dtype=object))
    (tmp_path / "instead.npz").write_bytes(pickle.dumps(trap))
    messages = {"inside": "holds Python objects, which is not read; save plain arrays"}
    messages["instead"] = "not an npz file, or a part of one; save it with numpy.savez"
    for name, message in messages.items():
        path = tmp_path / f"{name}.npz"
        with pytest.raises(CheckpointError, match=rf"^{path}: {message}$"):
            read_arrays(path)
    assert not sprung.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused_in_one_line(tmp_path, arrays, suffix):
    path = tmp_path / f"x{suffix}"
    write_arrays(path, arrays)
    whole = path.read_bytes()
    for size in (0, 7, 60, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=rf"^{path}: ") as error:
            read_arrays(path)
        assert "\n" not in str(error.value)


def test_bytes_changed_within_an_npz_are_noticed(tmp_path, arrays):
    path = tmp_path / "x.npz"
    write_arrays(path, arrays)
    data = bytearray(path.read_bytes())
    data[data.index(arrays["b"].tobytes()) + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"^{path}: damaged npz file \(Bad CRC-32 for file 'b.npy'\)"):
        read_arrays(path)


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"none\.npz: no such file; give the path of a \.safetensors or"
    ):
        read_arrays(tmp_path / "none.npz")
    with pytest.raises(
        CheckpointError, match=r"x\.npy: expected a \.safetensors or \.npz file; received \.npy$"
    ):
        read_arrays(tmp_path / "x.npy")
    with pytest.raises(CheckpointError, match=r"expected a name in \.safetensors or \.npz; received none$"):
        write_arrays(tmp_path / "x", {})
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(CheckpointError, match=r"empty\.npz: holds no arrays; write it anew$"):
        read_arrays(tmp_path / "empty.npz")
