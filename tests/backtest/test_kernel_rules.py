"""The kernel copies its rules field by field; a copy must forget none of them."""

from __future__ import annotations

from typing import get_type_hints

import numpy as np
import pytest

from simengine.backtest.kernel import single
from simengine.backtest.kernel.layout import Rules

PINNED = {
    "tiered": False,
    "fixed_fee": 0.0,
    "minimum_fee": 0.0,
    "impact": 0.0,
    "cap": np.inf,
    "carry": False,
    "financed": False,
    "borrow": 0.0,
    "tick": 0.0,
    "lot": 0.0,
    "minimum": 0.0,
    "rounds": False,
    "offset": np.nan,
    "limit_bars": 1,
    "straight": True,
    "watches": False,
}
"""What `single.plain` switches off, and the flag that says so."""


KINDS = get_type_hints(Rules)


def distinctive():
    """Rules of which no two numbers are alike and none is that of `PINNED`; flags are on."""
    numbers = {float: lambda k: 100.0 + k, int: lambda k: 100 + k, bool: lambda k: True}
    values = {name: numbers[KINDS[name]](k) for k, name in enumerate(Rules._fields) if name != "fees"}
    return Rules(fees=np.array([[0.0, 0.001], [1e6, 0.0008]]), **values)


def assert_copied(found, rules, **other):
    """Every field is that of ``rules``, or the one in ``other``."""
    assert set(other) <= set(Rules._fields)
    for name in Rules._fields:
        wanted = other.get(name, getattr(rules, name))
        np.testing.assert_array_equal(getattr(found, name), wanted, err_msg=name)


def flipped(rules):
    """The same rules with the flags off."""
    return rules._replace(**{name: False for name, kind in KINDS.items() if kind is bool})


@pytest.fixture(params=[distinctive, lambda: flipped(distinctive())], ids=["flags on", "flags off"])
def rules(request):
    return request.param()


def test_plain_keeps_all_but_what_it_switches_off(rules):
    assert_copied(single.plain(rules), rules, **PINNED)


def test_whole_keeps_all(rules):
    assert_copied(single.whole(rules), rules, straight=False)


def test_with_rounding_keeps_all_but_the_grid(rules):
    found = single.with_rounding(0.5, 0.25, 0.125, rules)
    assert_copied(found, rules, tick=0.5, lot=0.25, minimum=0.125, straight=False)
