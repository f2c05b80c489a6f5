"""Synthetic minority rows."""
