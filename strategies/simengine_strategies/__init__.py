"""The built-in trading strategies: one file each, registered like any user's plugin."""

MODULES: tuple[str, ...] = (
    "simengine_strategies.follow_signal",
    "simengine_strategies.confidence_sized",
    "simengine_strategies.buy_and_hold",
    "simengine_strategies.sma_cross",
    "simengine_strategies.reversal",
    "simengine_strategies.pyramiding",
)
"""Loaded by the plugin manager in this order."""
