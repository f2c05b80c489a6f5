"""What lies at the top of the repository says what the code does."""

import json
import tomllib

import pytest

from simengine import api, load_config
from simengine.config.schema import Config


def test_the_shipped_schema_is_the_current_one(root):
    shipped = json.loads((root / "config.schema.json").read_text(encoding="utf-8"))
    assert shipped == api.schema(), "simengine check --schema > config.schema.json"


def test_the_source_distribution_holds_what_the_tests_read(root):
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert {"config.yaml", "config.schema.json", "examples", "docs", "README.md"} <= set(
        build["targets"]["sdist"]["include"]
    )


def test_the_shipped_config_spells_out_the_defaults(root):
    shipped = load_config(root / "config.yaml").model_dump()
    assert shipped == Config().model_dump()


@pytest.mark.parametrize("line", ["make demo", "make test", "simengine run config.yaml"])
def test_the_readme_names_the_commands(root, line):
    assert line in (root / "README.md").read_text(encoding="utf-8")


def test_the_plugin_of_the_readme_works(root, tmp_path):
    text = (root / "README.md").read_text(encoding="utf-8")
    code = next(block for block in text.split("```python\n")[1:] if "hookimpl" in block).split("```")[0]
    assert len(code.strip().splitlines()) <= 10
    (tmp_path / "sharpen.py").write_text(code, encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text("plugins: [sharpen.py]\ninference: {calibrator: {type: sharpen, power: 3}}\n")
    assert "power: 3.0" in api.resolved(config)[0]
