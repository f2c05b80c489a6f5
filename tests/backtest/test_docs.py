"""docs/backtest.md says what the engine does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import backtest
from simengine.backtest.inputs import FILL_CONVENTIONS
from simengine.backtest.result import EXIT_REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text(encoding="utf-8")
CODE = re.search(r"```python\n(.*?)```", PAGE, re.S)[1]


def table(first):
    """The table whose head begins with ``first``, as text by column."""
    lines = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    head, _, *body = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    return pd.DataFrame(body, columns=head)


def as_printed(value, text):
    """The value with as many digits as the page prints."""
    return f"{value:.{len(text.partition('.')[2])}f}"


@pytest.fixture(scope="module")
def example():
    names = {}
    exec(compile(CODE, "docs/backtest.md", "exec"), names)
    return names


def test_the_bars_of_the_table_are_those_of_the_code(example):
    bars = table("bar")
    for name in ("open", "high", "low", "close"):
        assert bars[name].astype(float).tolist() == getattr(example["bars"], name).tolist()
    stated = pd.to_numeric(bars["target"]).to_numpy(dtype=float)
    np.testing.assert_array_equal(stated, np.array(example["targets"], dtype=float))


def test_equity_is_the_printed_one(example):
    printed = table("bar")["equity"].tolist()
    found = example["result"].equity
    assert [as_printed(value, text) for value, text in zip(found, printed, strict=True)] == printed


def test_trades_are_the_printed_ones(example):
    printed = table("side")
    found = example["result"].trades_frame(include_open=True)
    assert len(found) == len(printed)
    for name in printed.columns:
        for value, text in zip(found[name], printed[name], strict=True):
            assert (value if isinstance(value, str) else as_printed(value, text)) == text, name


def test_the_arithmetic_in_the_table_is_right():
    sums = re.findall(
        r"([\d.]+(?: [×/] \(?[\d.]+(?: × [\d.]+\))?)+) = ([\d.]+)", " ".join(table("bar")["what happens"])
    )
    assert len(sums) == 6
    for formula, text in sums:
        numbers = [float(number) for number in re.findall(r"[\d.]+", formula)]
        value = numbers[0] / (numbers[1] * numbers[2]) if "/" in formula else numbers[0] * numbers[1]
        assert as_printed(value, text) == text, formula


@pytest.mark.parametrize("rebalance", ["every_bar", {"band": 0.05}])
def test_the_other_rules_buy_again_in_bar_3(example, rebalance):
    options = {"cash": 10_000, "fee_bps": 10, "slippage_bps": 5, "stop_loss": 0.02}
    found = backtest(example["bars"], targets=example["targets"], rebalance=rebalance, **options)
    assert found.exposure.tolist()[2:4] == pytest.approx([0, 1])
    assert example["result"].exposure.tolist()[2:4] == [0, 0]


def test_columns_reasons_and_conventions_are_named(example):
    columns = ", ".join(example["result"].trades_frame().columns)
    assert f"`{columns}`" in " ".join(PAGE.split())
    assert all(f"`{name}`" in PAGE for name in (*EXIT_REASONS, *FILL_CONVENTIONS))
