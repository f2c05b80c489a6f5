"""docs/backtest.md says what the engine does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import BacktestResult, backtest
from simengine.backtest.inputs import FILL_CONVENTIONS
from simengine.backtest.result import EXIT_REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text(encoding="utf-8")
CODES = re.findall(r"```python\n(.*?)```", PAGE, re.S)
WORKED = dict(re.findall(r"^### (A .*?)\n(.*?)(?=^##)", PAGE, re.S | re.M))
TERMS = {"cash": 10_000, "fee_bps": 10, "slippage_bps": 5}


def table(text, first):
    """The table in a text whose head begins with ``first``, as text by column."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    head, _, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return pd.DataFrame(body, columns=head)


def as_printed(value, text):
    """The value with as many digits as the page prints."""
    return f"{value:.{len(text.partition('.')[2])}f}"


def run(last):
    """What the code of the page leaves behind up to its example number ``last``."""
    names = {}
    for code in CODES[: last + 1]:
        exec(compile(code, "docs/backtest.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def first():
    return run(0)


@pytest.fixture(scope="module", params=range(len(CODES)), ids=list(WORKED))
def example(request):
    return run(request.param), list(WORKED.values())[request.param]


def test_the_bars_of_the_tables_are_those_of_the_code(example):
    names, text = example
    bars = table(text, "bar")
    for name in ("open", "high", "low", "close"):
        assert bars[name].astype(float).tolist() == getattr(names["bars"], name).tolist()
    stated = pd.to_numeric(bars["target"]).to_numpy(dtype=float)
    np.testing.assert_array_equal(stated, np.array(names["targets"], dtype=float))


def test_equity_is_the_printed_one(example):
    names, text = example
    printed = table(text, "bar")["equity"].tolist()
    found = names["result"].equity
    assert [as_printed(value, cell) for value, cell in zip(found, printed, strict=True)] == printed


def test_trades_are_the_printed_ones(example):
    names, text = example
    printed = table(text, "side")
    found = names["result"].trades_frame(include_open=True)
    assert len(found) == len(printed)
    for name in printed.columns:
        for value, cell in zip(found[name], printed[name], strict=True):
            assert (value if isinstance(value, str) else as_printed(value, cell)) == cell, name


@pytest.mark.parametrize(("title", "count"), list(zip(WORKED, (6, 3), strict=True)))
def test_the_arithmetic_in_the_tables_is_right(title, count):
    sums = re.findall(
        r"([\d.]+(?: [×/] \(?[\d.]+(?: × [\d.]+\))?)+) = ([\d.]+)",
        " ".join(table(WORKED[title], "bar")["what happens"]),
    )
    assert len(sums) == count
    for formula, text in sums:
        numbers = [float(number) for number in re.findall(r"[\d.]+", formula)]
        value = numbers[0] / (numbers[1] * numbers[2]) if "/" in formula else numbers[0] * numbers[1]
        assert as_printed(value, text) == text, formula


def test_the_liquidation_costs_what_the_page_says():
    last = run(1)["result"].orders[-1]
    notional = -last["units"] * last["quote"]
    assert as_printed(notional * 0.001, "73.68") == "73.68"
    assert as_printed(notional * 0.005, "368.42") == "368.42"


@pytest.mark.parametrize("rebalance", ["every_bar", {"band": 0.05}])
def test_the_other_rules_buy_again_in_bar_3(first, rebalance):
    found = backtest(first["bars"], targets=first["targets"], rebalance=rebalance, stop_loss=0.02, **TERMS)
    assert found.exposure.tolist()[2:4] == pytest.approx([0, 1])
    assert first["result"].exposure.tolist()[2:4] == [0, 0]


def test_the_sensitivity_table_is_the_printed_one(first):
    found = backtest(first["bars"], targets=first["targets"], stop_loss=0.004, **TERMS).sensitivity()
    assert f"```\n{found!r}\n```" in PAGE
    assert len({row["final_equity"] for row in found.table.values()}) > 1


def test_columns_reasons_and_conventions_are_named(first):
    columns = ", ".join(first["result"].trades_frame().columns)
    assert f"`{columns}`" in " ".join(PAGE.split())
    assert all(f"`{name}`" in PAGE for name in (*EXIT_REASONS, *FILL_CONVENTIONS))


def test_every_option_is_in_the_table_with_its_default():
    options = [p for p in inspect.signature(backtest).parameters.values() if p.kind is p.KEYWORD_ONLY]
    defaults = {}
    for cell, text in table(PAGE, "option")[["option", "default"]].itertuples(index=False):
        names = re.findall(r"`(\w+)`", cell)
        defaults |= zip(names, text.split(", ") if len(names) > 1 else [text], strict=True)
    assert sorted(defaults) == sorted(option.name for option in options)
    for option in options:
        text = defaults[option.name]
        if isinstance(option.default, str):
            assert text == f'`"{option.default}"`', option.name
        elif option.default is None:
            assert not re.fullmatch(r"[\d.,]+", text), option.name
        else:
            assert float(text.replace(",", "")) == option.default, option.name


def test_every_statistic_has_its_formula(first):
    named = [name for cell in table(PAGE, "name")["name"] for name in re.findall(r"`(\w+)`", cell)]
    stats = first["result"].stats
    assert sorted(named) == sorted(stats)
    assert f"[{len(stats)} statistics](#statistics)" in PAGE


def test_every_public_part_of_a_result_is_named():
    hidden = {"sums", "ledger", "wins", "traded", "written", "gross", "sleeves", "simulation", "rerunnable"}
    public = {name for name in dir(BacktestResult) if not name.startswith("_")}
    public |= set(BacktestResult.__dataclass_fields__)
    for name in public - hidden - {"gross_value"}:
        assert re.search(rf"`(result\.)?{name}[`(]", PAGE), name


def test_links_lead_to_headings_and_files():
    folder = Path(__file__).parents[2] / "docs"
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, heading = target.partition("#")
        text = (folder / path).read_text(encoding="utf-8") if path else PAGE
        headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in
                    re.findall(r"^#+ (.*)$", text, re.M)}  # fmt: skip
        assert not heading or heading in headings, target
