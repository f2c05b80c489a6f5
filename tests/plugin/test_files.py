import sys

import pytest

from simengine.errors import PluginError
from simengine.plugin.files import load_plugin
from simengine.plugin.manager import build_registry


def refused(name, folder):
    with pytest.raises(PluginError) as caught:
        load_plugin(name, folder)
    return str(caught.value)


def test_paths_are_relative_to_the_folder_and_sys_path_is_left_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.py").write_text("VALUE = 1\n")
    before = list(sys.path)
    assert load_plugin("sub/mine.py", tmp_path).VALUE == 1
    assert sys.path == before
    assert load_plugin(str(tmp_path / "sub" / "mine.py"), tmp_path / "elsewhere").VALUE == 1
    assert not (tmp_path / "sub" / "__pycache__").exists()


def test_an_edit_is_seen_at_once(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("VALUE = 1\n")
    assert load_plugin("mine.py", tmp_path).VALUE == 1
    path.write_text("VALUE = 2\n")
    assert load_plugin("mine.py", tmp_path).VALUE == 2


def test_two_files_of_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"VALUE = {folder!r}\n")
    assert [load_plugin(f"{folder}/mine.py", tmp_path).VALUE for folder in "ab"] == ["a", "b"]


def test_dataclasses_with_text_annotations_work_in_a_file(tmp_path):
    lines = ["from __future__ import annotations", "from dataclasses import dataclass", "@dataclass"]
    text = "\n".join([*lines, "class A:", "    x: int = 1"])
    (tmp_path / "mine.py").write_text(text)
    assert load_plugin("mine.py", tmp_path).A().x == 1


def test_an_importable_module():
    import json.decoder

    assert load_plugin("json.decoder", None) is json.decoder


def test_missing_files(tmp_path):
    (tmp_path / "mine.py").write_text("")
    assert refused("mime.py", tmp_path) == (
        f"plugin 'mime.py': no such file: {tmp_path}/mime.py (did you mean 'mine.py'?)"
    )
    assert refused("gone/x.py", tmp_path) == f"plugin 'gone/x.py': no such file: {tmp_path}/gone/x.py"


@pytest.mark.parametrize("name", ["not_installed_anywhere", "json.nothing", "not_there.inner", "a-b"])
def test_missing_modules(name, tmp_path):
    assert refused(name, tmp_path) == f"plugin {name!r}: no module of this name is installed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit\n", "SystemExit: "),
        ("import not_there_either\n", "ModuleNotFoundError: No module named 'not_there_either'"),
    ],
)
def test_an_installed_module_that_fails(text, reason, tmp_path, monkeypatch):
    (tmp_path / "a_failing_module").mkdir()
    (tmp_path / "a_failing_module" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("a_failing_module", "a_failing_module.inner"):
        message = refused(name, None)
        assert message.startswith(f"plugin {name!r}: import failed: {reason}")
        assert message.endswith(f"({tmp_path}/a_failing_module/__init__.py:1)")


def test_a_path_without_its_ending(tmp_path):
    assert refused("./mine", tmp_path) == (
        "plugin './mine': no module of this name is installed; a file's name ends in .py"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "{path}:1: '(' was never closed"),
        (
            "import json\n\nx = nothing\n",
            "import failed: NameError: name 'nothing' is not defined ({path}:3)",
        ),
        ("import sys\nsys.exit(0)\n", "import failed: SystemExit: 0 ({path}:2)"),
        ("import not_there\n", "import failed: ModuleNotFoundError: No module named 'not_there' ({path}:1)"),
    ],
)
def test_files_that_fail(text, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    before = set(sys.modules)
    assert refused("mine.py", tmp_path) == "plugin 'mine.py': " + message.format(path=path)
    assert set(sys.modules) == before


def test_the_place_in_the_config_is_named(tmp_path):
    with pytest.raises(PluginError) as caught:
        build_registry(
            ["x.py"], tmp_path, builtins=(), discover=False, locate={"plugins.0": "config.yaml:3"}.get
        )
    assert str(caught.value) == (f"config.yaml:3: plugins.0: plugin 'x.py': no such file: {tmp_path}/x.py")
