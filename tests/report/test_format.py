"""How numbers are written."""

from __future__ import annotations

import pytest

from simengine.report.format import count, money, number, percent, signed, signed_percent, significant, words


@pytest.mark.parametrize("write", [count, money, number, percent, signed, signed_percent, significant])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "text", True])
def test_what_is_no_number_is_a_dash(write, value):
    assert write(value) == "\N{EN DASH}"


def test_numbers():
    nbsp, minus = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
    assert percent(0.2834) == f"28.3{nbsp}%"
    assert signed_percent(-0.0312) == f"{minus}3.12{nbsp}%"
    assert signed_percent(0.0312) == f"+3.12{nbsp}%"
    assert number(1.23456) == "1.235"
    assert signed(0.71) == "+0.71"
    assert count(12345) == "12,345"
    assert money(-1234.5) == f"{minus}1,234.50"
    assert significant(0.000123456789) == "0.000123457"
    assert words("buy_and_hold") == "buy and hold"


def test_a_rounded_zero_has_no_sign():
    assert signed_percent(-0.000001) == "0.00\N{NO-BREAK SPACE}%"
    assert signed(0.0) == "0.00"
