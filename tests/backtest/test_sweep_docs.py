"""docs/sweep.md says what a sweep is and what it prints."""

import re
from pathlib import Path

import pytest

from simengine.backtest.chunk import BLOCKS, COLUMNS
from simengine.backtest.variants import AXES

PAGE = (Path(__file__).parents[2] / "docs" / "sweep.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def result():
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)[1].replace("print(result)\n", "")
    names = {}
    exec(compile(code, "docs/sweep.md", "exec"), names)
    return names["result"]


def test_the_example_is_noise_and_is_called_so(result):
    assert len(result) == 93
    assert result.verdict.startswith("not significant")


def test_every_printed_statistic_is_explained(result):
    for label in result.overfitting_rows():
        words = re.sub(r"[\d.,]+ effective", "effective", label).replace("93 trials", "N trials")
        assert f"| {words} |" in PAGE, label


def test_columns_and_lists_are_named():
    assert all(f"`{name}`" in PAGE for name in (*COLUMNS, *AXES.values()))
    assert f"split {BLOCKS} blocks" in PAGE
