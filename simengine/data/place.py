"""`Place`: where a value stands in the user's file, for error messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.types import IntArray


@dataclass(frozen=True, slots=True)
class Place:
    """The rows of a table under the numbers that a user sees.

    Parameters
    ----------
    origin : str
        File or object that the table came from.
    numbers : int64 array, shape (n,)
        Number of each row as the user counts them.
    word : str
        ``"line"`` for text files, ``"row"`` (1 is the first row of data) for others.
    """

    origin: str
    numbers: IntArray
    word: str = "row"

    @classmethod
    def rows(cls, origin: str, n: int) -> Place:
        """Return the place of ``n`` rows counted from 1."""
        return cls(origin, np.arange(1, n + 1, dtype=np.int64))

    def take(self, rows: IntArray) -> Place:
        """Return the place of some of the rows."""
        return Place(self.origin, self.numbers[rows], self.word)

    def where(self, row: int) -> str:
        """Return for example ``"line 17"``."""
        return f"{self.word} {self.numbers[row]}"

    def at(self, row: int, column: object) -> str:
        """Return for example ``"bars.csv: line 17: column 'close':"``."""
        return f"{self.origin}: {self.where(row)}: column {str(column)!r}:"
