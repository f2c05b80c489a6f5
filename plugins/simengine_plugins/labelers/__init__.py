"""SELL / HOLD / BUY labels of bars."""
