import subprocess
import sys

import pytest

from simengine.errors import PluginError, RunError
from simengine.plugin.kinds import KINDS
from simengine.plugin.manager import build_registry
from simengine.plugin.scaffold import new_plugin
from simengine.plugin.testing import check_component


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_works_and_keeps_its_contract(kind, tmp_path):
    plugin, test = new_plugin(kind, "my_own", tmp_path / "folder")
    assert (plugin.name, test.name) == ("my_own.py", "test_my_own.py")
    registry = build_registry([str(plugin)], builtins=(), discover=False)
    assert registry.names(kind) == ["my_own"]
    assert registry.summary(kind, "my_own")
    assert all(field.description for field in registry.options_model(kind, "my_own").model_fields.values())
    check_component(kind, lambda: registry.create(kind, "my_own"))


def test_its_test_passes(tmp_path):
    _, test = new_plugin("calibrator", "component", tmp_path / "x")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "test_mine.py").write_text("mine")
    with pytest.raises(PluginError) as caught:
        new_plugin("loss", "mine", tmp_path)
    assert str(caught.value) == f"{tmp_path}/test_mine.py is there already; choose another name or folder"
    assert [item.name for item in tmp_path.iterdir()] == ["test_mine.py"]


@pytest.mark.parametrize("name", ["My", "1st", "a-b", "", "../x", "none", "off", "null"])
def test_names_that_cannot_be_used(name, tmp_path):
    with pytest.raises(PluginError) as caught:
        new_plugin("loss", name, tmp_path)
    assert str(caught.value) == (
        "a component's name is lower-case letters, digits and _, and not one of none, null, off; "
        f"received {name!r}"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_keyword_of_python(tmp_path):
    with pytest.raises(PluginError, match=r"^'class' is a keyword of Python; choose another name$"):
        new_plugin("loss", "class", tmp_path)


@pytest.mark.parametrize(("below", "reason"), [(".", "{file} is a file"), ("x", "Not a directory")])
def test_a_folder_that_is_a_file(below, reason, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    folder = file / below
    with pytest.raises(RunError) as caught:
        new_plugin("loss", "mine", folder)
    assert str(caught.value) == (
        f"{folder / 'mine.py'}: cannot be written ({reason.format(file=file)}); "
        "choose a folder that can be written to"
    )


def test_a_name_that_would_hide_a_module(tmp_path):
    with pytest.raises(
        PluginError, match=r"^'json' is the name of an importable module, which .*json.py would hide$"
    ):
        new_plugin("loss", "json", tmp_path)


def test_an_unknown_kind(tmp_path):
    with pytest.raises(PluginError, match=r"^unknown kind 'los' \(did you mean 'loss'\?\); known: "):
        new_plugin("los", "mine", tmp_path)
