"""Searches of the labeler's options on train."""
