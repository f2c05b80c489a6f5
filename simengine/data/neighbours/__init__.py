"""Exact nearest neighbours among windows that are never materialised.

`search.nearest` is the entry. It compiles with numba, so import it where it is used.
"""
