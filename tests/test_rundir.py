"""Run directories: what the system or a damaged file refuses is one line that says what to do."""

import json

import pytest

from simengine.errors import RunError
from simengine.rundir import CONFIG, RunDir, write_bytes_atomic, write_json

FIX = "choose a folder that can be written to"
DAMAGED = "restore the file or run again"


@pytest.fixture
def file(tmp_path):
    """A file where a folder is wanted."""
    path = tmp_path / "file"
    path.write_text("mine")
    return path


@pytest.fixture
def run(tmp_path):
    return RunDir.create(tmp_path / "runs", "a run", "0123456789")


def refused(function, *arguments):
    with pytest.raises(RunError) as caught:
        function(*arguments)
    return str(caught.value)


def test_two_runs_of_one_second_have_two_directories(run, tmp_path):
    others = [RunDir.create(tmp_path / "runs", "a run", "0123456789") for _ in range(3)]
    assert len({run.path, *(other.path for other in others)}) == 4
    assert all("-a-run-01234567" in other.path.name for other in others)


def test_a_folder_for_runs_that_is_a_file(file):
    message = refused(RunDir.create, file, "a", "b" * 8)
    assert message == f"{file}: cannot be written ({file} is a file); {FIX}"
    message = refused(RunDir.create, file / "x", "a", "b" * 8)
    assert message == f"{file / 'x'}: cannot be written (Not a directory); {FIX}"
    assert file.read_text() == "mine"


def test_a_folder_that_takes_no_directory(tmp_path, monkeypatch):
    def full(self, *_args, **_kwargs):
        if self != tmp_path:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    message = refused(RunDir.create, tmp_path, "a", "b" * 8)
    assert message == f"{tmp_path}: cannot be written (No space left on device); {FIX}"


def test_a_file_that_cannot_be_written(file, tmp_path):
    path = file / "x.csv"
    assert refused(write_bytes_atomic, path, b"") == f"{path}: cannot be written ({file} is a file); {FIX}"
    path = file / "x" / "y.csv"
    assert refused(write_bytes_atomic, path, b"") == f"{path}: cannot be written (Not a directory); {FIX}"
    (tmp_path / "folder").mkdir()
    message = refused(write_bytes_atomic, tmp_path / "folder", b"")
    assert message == f"{tmp_path / 'folder'}: cannot be written (Is a directory); {FIX}"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


def test_a_name_that_the_system_refuses():
    name = "x" * 300
    assert refused(RunDir.open, name) == f"{name}: no run directory ({CONFIG} is missing)"


def test_json_of_a_run(run):
    write_json(run / "a.json", {"b": [1.5, float("nan")]})
    assert run.read_json("a.json") == {"b": [1.5, None]}
    assert run.read_value("a.json", "b", list) == [1.5, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', "no valid JSON (Expecting value: line 1 column 7 (char 6)); " + DAMAGED),
        (b"", "no valid JSON (Expecting value: line 1 column 1 (char 0)); " + DAMAGED),
        (
            b"\xff",
            "no valid JSON ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte); "
            + DAMAGED,
        ),
        (b"[]", "expected a JSON dict, received list"),
    ],
)
def test_damaged_json(run, content, message):
    (run / "a.json").write_bytes(content)
    assert refused(run.read_json, "a.json") == f"{run / 'a.json'}: {message}"


def test_missing_json(run):
    assert refused(run.read_json, "a.json") == f"{run.path}: a.json is missing"


@pytest.mark.parametrize(
    ("content", "received"), [({}, "nothing"), ({"base_dir": 5}, "int"), ({"base_dir": None}, "NoneType")]
)
def test_a_value_that_is_missing_or_of_another_kind(run, content, received):
    (run / "a.json").write_text(json.dumps(content))
    message = refused(run.read_value, "a.json", "base_dir", str)
    assert message == f"{run / 'a.json'}: base_dir: expected a str, received {received}; {DAMAGED}"
