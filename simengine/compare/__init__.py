"""Several runs, or several strategies of one run, in one table over the times they share."""

from simengine.compare.entry import Entry, read_entry
from simengine.compare.table import Comparison, compare_entries

__all__ = ["Comparison", "Entry", "compare_entries", "read_entry"]
