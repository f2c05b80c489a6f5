"""Options that the file sources share, and what they say of their files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Paths = Annotated[
    str | tuple[str, ...],
    Field(min_length=1, description="file or list of files, relative to the current directory"),
]
SymbolName = Annotated[
    str | None,
    Field(description="name of the instrument (default: file name); picks one of a symbol column"),
]


class ReadsFiles:
    """A source with a ``path``."""

    path: str | tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that `load` reads, for the manifest of a run."""
        return (self.path,) if isinstance(self.path, str) else self.path
