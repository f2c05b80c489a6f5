"""Bars, windows, splits and scaling."""
