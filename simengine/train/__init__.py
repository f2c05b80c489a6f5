"""Supervised training on index-fed windows."""
