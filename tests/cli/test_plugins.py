"""`simengine plugins`: lists, details, and a new plugin that works."""

import json
import subprocess
import sys

import pytest

from simengine.plugin.kinds import KINDS

TEN_LINES = """\
from scipy.special import log_softmax
from simengine import Component, hookimpl
class Sharpen:
    \"\"\"Raise the probabilities to a power.\"\"\"
    def __init__(self, power: float = 2.0): self.power = power
    def fit(self, log_proba, labels): return self
    def transform(self, log_proba): return log_softmax(self.power * log_proba, axis=1)

@hookimpl
def simengine_register_calibrators(): return [Component("sharpen", Sharpen)]
"""


def test_every_kind_has_two_components_or_more(simengine):
    code, out, _ = simengine("plugins", "list", "--json")
    assert code == 0
    listing = json.loads(out)
    assert set(listing) == set(KINDS)
    assert all(len(entry["components"]) >= 2 for entry in listing.values())
    assert all(component["summary"] for entry in listing.values() for component in entry["components"])


def test_list_is_the_default(simengine):
    assert simengine("plugins")[1] == simengine("plugins", "list")[1]
    assert simengine("plugins", "--json")[1] == simengine("plugins", "list", "--json")[1]


def test_show_prints_options_with_defaults(simengine):
    code, out, _ = simengine("plugins", "show", "decision", "prior_matched")
    assert code == 0
    assert out.startswith("decision: prior_matched   from simengine_plugins.decisions.prior_matched")
    assert "target" in out


def test_show_prints_types_and_defaults_as_a_config_has_them(simengine):
    _, out, _ = simengine("plugins", "show", "model", "xlstm")
    for line in (
        "  ema                number > 0, < 1 | null, default 0.99: momentum",
        "  stateful           boolean, default false: carry",
        "  dropout            number >= 0, < 1, default 0.2: share",
        "  blocks             list of mlstm | slstm | mlstm_large, default [slstm, slstm]: kinds",
    ):
        assert f"\n{line}" in out
    _, out, _ = simengine("plugins", "show", "model", "lstm")
    assert "\n  ema                number > 0, < 1 | null, default null: momentum" in out
    _, out, _ = simengine("plugins", "show", "source", "csv")
    assert "\n  path         string | list of string, required: " in out
    _, out, _ = simengine("plugins", "show", "source", "oracle_market")
    assert "\n  market   easy | medium | realistic | 'null' | null, default realistic: " in out


def test_show_of_an_unknown_component(simengine):
    code, _, err = simengine("plugins", "show", "decision", "argmx")
    assert code == 2
    assert err.startswith("simengine: unknown decision 'argmx' (did you mean 'argmax'?)")


def test_a_plugin_of_ten_lines_is_selectable(simengine, config, tmp_path):
    assert len(TEN_LINES.splitlines()) == 10
    (tmp_path / "sharpen.py").write_text(TEN_LINES, encoding="utf-8")
    path = config("plugins: [sharpen.py]\ninference: {calibrator: {type: sharpen, power: 3}}\n")
    code, out, _ = simengine("check", path, "--resolved")
    assert code == 0
    assert "power: 3.0" in out
    assert "sharpen" in simengine("plugins", "list", "--config", path)[1]


@pytest.mark.parametrize("kind", ["calibrator", "strategy"])
def test_a_new_plugin_passes_its_own_test_and_is_never_overwritten(simengine, tmp_path, kind):
    code, out, _ = simengine("plugins", "new", kind, "mine", "--folder", tmp_path, "--json")
    assert code == 0
    made = json.loads(out)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", made["test"]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    code, _, err = simengine("plugins", "new", kind, "mine", "--folder", tmp_path)
    assert code == 2
    assert err.count("\n") == 1
