"""The contract battery over every built-in component."""

import pytest

from simengine.plugin.kinds import KINDS
from simengine.plugin.manager import build_registry
from simengine.plugin.testing import check_component

REGISTRY = build_registry(discover=False)
BUILTINS = [(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]

SMALL = {
    ("source", "oracle_market"): {"bars": 2000, "symbols": 2},
    ("model", "xlstm"): {"embedding": 8, "heads": 2},
}
"""Options that keep a check quick."""

BARS = ["timestamp,open,high,low,close,volume"] + [
    f"2024-01-01T{hour:02d}:00:00Z,{100 + hour},{102 + hour},{99 + hour},{101 + hour},{10 + hour}"
    for hour in range(24)
]


@pytest.fixture
def bar_files(tmp_path):
    import pandas as pd

    csv, parquet = tmp_path / "bars.csv", tmp_path / "bars.parquet"
    csv.write_text("\n".join(BARS) + "\n")
    frame = pd.read_csv(csv, parse_dates=["timestamp"])
    frame.to_parquet(parquet)
    return {"csv": str(csv), "parquet": str(parquet)}


@pytest.mark.parametrize(("kind", "name"), BUILTINS, ids=[f"{kind}-{name}" for kind, name in BUILTINS])
def test_contract(kind, name, bar_files):
    options = dict(SMALL.get((kind, name), {}))
    if kind == "source" and name in bar_files:
        options["path"] = bar_files[name]
    check_component(kind, lambda: REGISTRY.create(kind, {"type": name, **options}))


def test_contract_of_a_model_that_carries_state():
    options = {**SMALL["model", "xlstm"], "blocks": ["slstm"], "stateful": True, "chunk": 8}
    check_component("model", lambda: REGISTRY.create("model", {"type": "xlstm", **options}))


def test_every_kind_has_two_components():
    assert [kind for kind in KINDS if len(REGISTRY.names(kind)) < 2] == []
