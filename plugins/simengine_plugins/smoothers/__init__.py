"""Soft training targets from hard labels."""
