"""`backtest` against the slow, independent ledger of `reference` on random markets that use every feature.

A mismatch of seed 17: ``cd tests/backtest; python -m reference.compare 17 --trace``.
"""

from __future__ import annotations

import pytest
from reference.compare import check

PER_BLOCK = 75


@pytest.mark.parametrize("block", range(16))
def test_agrees_with_the_ledger_on_random_markets(block):
    differing = {}
    for seed in range(block * PER_BLOCK, (block + 1) * PER_BLOCK):
        _, _, found = check(seed)
        if found:
            differing[seed] = found[:3]
    assert not differing
