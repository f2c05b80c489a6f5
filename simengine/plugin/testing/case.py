"""What every check of the battery uses: fresh components, clear failures, untouched inputs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simengine.plugin.state import get_state, read_state, set_state, write_state


@dataclass(frozen=True, slots=True)
class Case:
    """One component under test.

    Parameters
    ----------
    kind, name : str
        For messages.
    fresh : callable
        Returns a new, unfitted component, equal every time.
    seed : int
        Of the synthetic data.
    """

    kind: str
    name: str
    fresh: Callable[[], Any]
    seed: int

    def expect(self, condition: object, message: str) -> None:
        """Raise an AssertionError that names the component unless ``condition`` holds."""
        if not condition:
            raise AssertionError(f"{self.kind} {self.name}: {message}")

    def array(self, value: object, what: str, shape: tuple[int, ...], *dtypes: type) -> Any:  # noqa: ANN401
        """Expect an array of a shape and one of some dtypes; return it."""
        self.expect(
            isinstance(value, np.ndarray), f"{what} must be an array, received {type(value).__name__}"
        )
        found = np.asarray(value)
        self.expect(found.shape == shape, f"{what} must have the shape {shape}, received {found.shape}")
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        self.expect(
            any(found.dtype == dtype for dtype in dtypes),
            f"{what} must be {names}, received {found.dtype.name}",
        )
        return found

    def same(self, first: object, second: object, message: str) -> None:
        """Expect two results to be equal to the bit."""
        self.expect(fingerprint(first) == fingerprint(second), message)

    @contextmanager
    def untouched(self, what: str, *inputs: object) -> Iterator[None]:
        """Expect that a block changes none of its inputs."""
        before = fingerprint(inputs)
        yield
        self.expect(fingerprint(inputs) == before, f"{what} changed its input; work on a copy")

    def restored(self, fitted: object) -> Any:  # noqa: ANN401
        """Return a fresh component with the state of ``fitted``, carried through files."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.json"
            write_state(path, get_state(fitted))
            copy = self.fresh()
            set_state(copy, read_state(path))
        return copy


def fingerprint(value: object) -> object:
    """Return something that is equal for equal values only; arrays compare by dtype, shape and bytes."""
    if isinstance(value, np.ndarray | np.generic):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, Mapping):
        return [(key, fingerprint(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [fingerprint(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return [fingerprint(getattr(value, item.name)) for item in fields(value)]
    return repr(value)
