"""What an ``on_bar`` rule sees of its account: the places of the numbers in the array that it is given."""

from __future__ import annotations

CASH = 0
EQUITY = 1
UNITS = 2
EXPOSURE = 3
ENTRY_PRICE = 4
ENTRY_BAR = 5
BARS_HELD = 6
BEST = 7
WORST = 8
STOP = 9
GOAL = 10
PNL = 11
TARGET = 12
TRADES = 13
VIEW_SIZE = 14
