import subprocess
import sys

HEAVY = {"tensorflow", "keras", "shap", "sklearn", "matplotlib"}


def test_checking_a_config_imports_nothing_heavy():
    code = """
import sys
from simengine.config.load import load_config
from simengine.plugin.check import check_config
from simengine.plugin.manager import build_registry
from simengine.plugin.schema import config_json_schema
registry = build_registry(discover=False)
check_config(load_config({}), registry)
config_json_schema(registry)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_importing_simengine_costs_nothing():
    code = "import sys, simengine; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY | {"numpy", "pandas", "pydantic", "numba"}) & set(done.stdout.split()) == set()
